-- Statistics for the joins of the view cubo_engajamento.

-- The planner reads the statistics of a partitioned table from the table itself, and autovacuum never gathers those. Without them, or
-- without those of the small tables, it takes the view for a handful of rows and joins millions one by one. But gathering takes as long as
-- classifying does: what grew or shrank by less than a tenth has the statistics that it had, which is also autovacuum's measure. Only the newest
-- period, which is what most queries ask for, is in no statistics until they are gathered again, and a week is less than a tenth of the rows.
CREATE FUNCTION empatia._needs_analyze(relation regclass, present double precision, newest date DEFAULT NULL) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- creating an index counts the rows as well: a count alone, as after a restore, is no statistics
    SELECT NOT EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
        OR abs(coalesce(present, 0) - c.reltuples) > greatest(c.reltuples, 0) / 10
        OR present > 1.005 * c.reltuples AND newest > (
            SELECT max(v) FROM pg_stats s, unnest(s.most_common_vals::text::date[] || s.histogram_bounds::text::date[]) v
            WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = 'period_start')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;
COMMENT ON FUNCTION empatia._needs_analyze(regclass, double precision, date) IS 'whether a table that has so many rows now has no statistics, those of another size, or none of its newest period';

CREATE FUNCTION empatia._analyze_cube(parent text, leaves text[], newest_day date DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    keys CONSTANT text := '(client_id, level, grain, user_id, unit_id, period_start)';
    relation text;
    present bigint;
    newest date;
    outgrown boolean;
BEGIN
    -- ANALYZE holds its lock until commit: what another session is analysing is left to it, or builds of different clients would wait
    FOREACH relation IN ARRAY ARRAY['{dw}.client', '{results}.cube_build', '{results}.cube_period', '{results}.cube_class_zero', '{results}.cube_label'] LOOP
        relation := empatia._render(relation);
        EXECUTE 'SELECT count(*) FROM ' || relation INTO present;
        IF present > 0 AND empatia._needs_analyze(relation::regclass, present) THEN
            EXECUTE 'ANALYZE (SKIP_LOCKED) ' || relation;
        END IF;
    END LOOP;
    -- the statistics of the whole serve until the parts have doubled: gathering them reads every part
    EXECUTE empatia._render('SELECT p.reltuples < 0 OR (SELECT sum(b.stored_rows) FROM {results}.cube_build b WHERE $2 = ''cube'' OR b.model_version IS NOT NULL) > 2 * p.reltuples
            FROM pg_class p WHERE p.oid = $1') INTO outgrown USING to_regclass(empatia._render('{results}.') || quote_ident(parent)), parent;
    IF outgrown THEN
        EXECUTE empatia._render('ANALYZE (SKIP_LOCKED) {dw}.student, {results}.cube_unit, {results}.cube_member, {results}.cube_assigned, {results}.{parent} {keys}',
                                'parent', quote_ident(parent), 'keys', keys);
        RETURN; -- the parts were analysed with it
    END IF;
    FOREACH relation IN ARRAY leaves LOOP
        EXECUTE empatia._render('SELECT sum(b.stored_rows) FROM {results}.cube_build b WHERE $2 || lower(format(''_%s_%s'', b.level, b.grain)) = $1') INTO present USING relation, parent;
        EXECUTE empatia._render('SELECT max(p.period_start) FROM {results}.cube_period p
            WHERE p.level = upper(split_part($1, ''_'', -2)) AND p.grain = upper(split_part($1, ''_'', -1)) AND p.period_start <= $2') INTO newest USING relation, newest_day;
        relation := empatia._render('{results}.') || quote_ident(relation);
        IF empatia._needs_analyze(relation::regclass, present, newest) THEN
            EXECUTE format('ANALYZE (SKIP_LOCKED) %s %s', relation, keys);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._analyze_cube(text, text[], date) IS 'statistics for the joins of the view cubo_engajamento, after some parts of the cube or of its classes were written, and the last day in which something changed';
