-- One level and grain of a client's cube: how it has to be brought up to date, the native pass that does it, and the record of it.

CREATE TYPE empatia.build_part AS (level text, grain text, date_from date, date_to date, automatic_from boolean, automatic_to boolean, mode text,
    since bigint, recount boolean, keep_changed bigint, stored_rows bigint, dense_rows bigint, written_rows bigint, deleted_rows bigint, seconds double precision);
COMMENT ON TYPE empatia.build_part IS 'what build_cube() knows of a part while it works: since: the last change that it contains; recount: whether rows of it may have gone since; keep_changed: up to how many changed cells are remembered';

-- Per grain the students and periods that changed after a change, and whether some changed as a whole.
CREATE FUNCTION empatia._touched_periods(client_id integer, since bigint, date_from date, date_to date, first_day integer, OUT grain text, OUT total bigint, OUT whole boolean)
RETURNS SETOF record
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE empatia._render($q$
        WITH changed AS MATERIALIZED (SELECT DISTINCT h.user_id, h.day FROM {dw}.change h WHERE h.client_id = $1 AND h.change_id > $2
                                      AND (h.day IS NULL OR h.day BETWEEN $3 AND $4)),
        whole AS MATERIALIZED (SELECT c.user_id FROM changed c WHERE c.day IS NULL),
        -- there are far fewer days than changes
        day AS MATERIALIZED (SELECT d.day, g.grain, empatia.period_start(g.grain, d.day, $5, $3) AS period_start
                             FROM (SELECT DISTINCT c.day FROM changed c WHERE c.day IS NOT NULL) d, unnest(empatia._grains()) g (grain))
        SELECT g.grain, coalesce(t.total, 0) + (SELECT count(*) FROM whole) * (SELECT count(*) FROM empatia.periods(g.grain, $3, $4, $5)), EXISTS (SELECT FROM whole)
        FROM unnest(empatia._grains()) g (grain)
        LEFT JOIN (SELECT p.grain, count(*) AS total
                   FROM (SELECT DISTINCT d.grain, c.user_id, d.period_start FROM changed c JOIN day d USING (day)
                         WHERE c.user_id NOT IN (SELECT w.user_id FROM whole w)) p GROUP BY p.grain) t USING (grain) $q$)
    USING client_id, since, date_from, date_to, first_day;
END
$$;
COMMENT ON FUNCTION empatia._touched_periods(integer, bigint, date, date, integer) IS 'number of students x periods changed after a change, per grain, and whether any student changed in all periods';

-- full: all cells are computed, incremental: those of students and periods that changed, unchanged: none.
CREATE FUNCTION empatia._plan_parts(client_id integer, level text, grain text, range_from date, range_to date, automatic_from boolean, automatic_to boolean, full_build boolean)
RETURNS empatia.build_part[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    basis CONSTANT text := empatia._setting_value('assignment_basis');
    first_day CONSTANT integer := empatia._setting_value('first_day_of_week')::integer;
    old record;
    touched record;
    counted jsonb := '{}';
    part empatia.build_part;
    parts empatia.build_part[] := '{}';
    all_touched bigint := 0;
    all_stored bigint := 0;
BEGIN
    FOR old IN EXECUTE empatia._render('SELECT c.combination_level, c.combination_grain, b.* FROM empatia._combinations($2, $3) WITH ORDINALITY c (combination_level, combination_grain, i)
            LEFT JOIN {results}.cube_build b ON (b.client_id, b.level, b.grain) = ($1, c.combination_level, c.combination_grain) ORDER BY c.i') USING client_id, level, grain LOOP
        part := (old.combination_level, old.combination_grain, range_from, range_to, automatic_from, automatic_to, 'full',
                 NULL, false, 0, old.stored_rows, NULL, 0, 0, 0);
        IF old.client_id IS NOT NULL AND NOT full_build AND old.assignment_basis = basis AND old.first_day_of_week = first_day
           -- days that new facts added to an automatic end of the range hold no facts that the change log does not know
           AND (old.date_from = range_from OR old.automatic_from AND automatic_from AND old.date_from > range_from AND part.grain <> 'ALL')
           AND (old.date_to = range_to OR old.automatic_to AND automatic_to AND old.date_to < range_to) THEN
            IF NOT counted ? old.change_id::text THEN
                counted := counted || jsonb_build_object(old.change_id, CASE WHEN NOT empatia._everybody_changed(client_id, old.change_id)
                    THEN (SELECT jsonb_object_agg(t.grain, to_jsonb(t)) FROM empatia._touched_periods(client_id, old.change_id, range_from, range_to, first_day) t) END);
            END IF;
            SELECT * INTO touched FROM jsonb_to_record(counted -> old.change_id::text -> part.grain) AS t (total bigint, whole boolean);
            part.recount := coalesce(touched.whole, false);
            part.mode := CASE WHEN touched.total IS NULL THEN 'full' WHEN touched.total = 0 THEN 'unchanged'
                              WHEN touched.total <= 1000 OR touched.total <= old.stored_rows / 5 THEN 'incremental' ELSE 'full?' END;
            part.since := CASE WHEN touched.total > 0 THEN old.change_id END;
            all_touched := all_touched + coalesce(touched.total, 0);
            all_stored := all_stored + CASE WHEN touched.total > 0 THEN old.stored_rows ELSE 0 END;
        END IF;
        -- few changed cells of a part that is classified are classified by themselves
        IF old.model_version IS NOT NULL THEN
            part.keep_changed := greatest(1000, old.stored_rows / 5);
        END IF;
        parts := parts || part;
    END LOOP;
    -- Beyond a fifth of the cells one pass over all facts is cheaper than that many look-ups. But what costs is reading all facts, and it is not
    -- worth while for a part of few cells where the others do without.
    FOR i IN 1 .. cardinality(parts) LOOP
        part := parts[i];
        IF part.mode = 'full?' THEN
            part.mode := CASE WHEN all_touched <= all_stored / 5 THEN 'incremental' ELSE 'full' END;
        END IF;
        IF part.mode = 'full' THEN
            part.since := NULL;
        END IF;
        parts[i] := part;
    END LOOP;
    RETURN parts;
END
$$;
COMMENT ON FUNCTION empatia._plan_parts(integer, text, text, date, date, boolean, boolean, boolean) IS 'decides how each part of a client''s cube has to be brought up to date';

-- Other clients' partitions are none of this one's business.
CREATE FUNCTION empatia._fact_tables(dw text, client_id integer, fact text) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.relid FROM pg_inherits i, pg_class c, pg_partition_tree(c.oid) t
    WHERE i.inhparent = to_regclass(dw || '.' || fact) AND c.oid = i.inhrelid
      AND pg_get_expr(c.relpartbound, c.oid) ~ format('^DEFAULT$|[( ]%s[,)]', client_id)
$$;
COMMENT ON FUNCTION empatia._fact_tables(text, integer, text) IS 'the partitions of a table of facts (in a schema, quoted) that hold those of a client';

-- Whether the cells of a client can be computed in this process: its facts are ordinary tables of this database (those of a
-- foreign or distributed table stay where they are, the query goes there), and no row security filters what is written.
CREATE FUNCTION empatia._is_native(client_id integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    facts regclass[];
    distributed boolean := false;
BEGIN
    IF empatia._setting_value('builder') = 'sql' THEN
        RETURN false;
    END IF;
    SELECT array_agg(t) INTO facts FROM (VALUES ('fact_interaction'), ('fact_assignment')) f (name), empatia._fact_tables(quote_ident((empatia._warehouse()).dw_schema), client_id, f.name) t;
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition d WHERE d.logicalrelid = ANY ($1))' INTO distributed
            USING facts || to_regclass(empatia._render('{dw}.fact_interaction')) || to_regclass(empatia._render('{dw}.fact_assignment'));
    END IF;
    RETURN NOT distributed
        AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = ANY (facts) AND c.relkind NOT IN ('r', 'p'))
        AND NOT EXISTS (SELECT FROM pg_partition_tree(to_regclass(empatia._render('{results}.cube'))) t
                        JOIN pg_class c ON c.oid = t.relid WHERE c.relkind NOT IN ('r', 'p') OR row_security_active(c.oid));
END
$$;
COMMENT ON FUNCTION empatia._is_native(integer) IS 'whether build_cube() computes the cells of a client itself, or with a query';

-- Every part that is not as it should be, in one pass. The time that this takes is shared out over the parts by their rows.
CREATE FUNCTION empatia._build_native(client_id integer, INOUT parts empatia.build_part[], OUT left_out jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    w CONSTANT empatia.warehouse := empatia._warehouse();
    stale record;
    cells record;
    part empatia.build_part;
    shares double precision[] := '{}';
    taken double precision;
BEGIN
    SELECT array_agg(p.level) AS levels, array_agg(p.grain) AS grains, array_agg(p.since) AS since, array_agg(p.keep_changed) AS keep_changed,
           min(p.date_from) AS date_from, min(p.date_to) AS date_to
    INTO stale FROM unnest(parts) p WHERE p.mode <> 'unchanged';
    IF stale.levels IS NULL THEN
        RETURN;
    END IF;
    FOR cells IN SELECT * FROM empatia._build_cells(client_id, w.dw_schema::text, w.results_schema::text, stale.levels, stale.grains, stale.since, stale.keep_changed,
                                                    stale.date_from, stale.date_to, empatia._setting_value('first_day_of_week')::integer,
                                                    empatia._setting_value('assignment_basis')) LOOP
        FOR i IN 1 .. cardinality(parts) LOOP
            IF (parts[i].level, parts[i].grain) = (cells.level, cells.grain) THEN
                part := parts[i];
                part.written_rows := cells.inserted_rows;
                part.deleted_rows := cells.deleted_rows;
                part.stored_rows := coalesce(cells.all_rows, part.stored_rows + cells.inserted_rows - cells.deleted_rows);
                parts[i] := part;
            END IF;
        END LOOP;
        IF cells.all_rows IS NOT NULL THEN
            left_out := jsonb_strip_nulls(jsonb_build_object('hangs on no space', nullif(cells.hang_on_no_space, 0),
                'not a student of the space', nullif(cells.not_student, 0), 'outside the range', nullif(cells.outside_range, 0)));
        END IF;
    END LOOP;
    taken := extract(epoch FROM clock_timestamp() - began);
    SELECT array_agg(CASE WHEN p.mode <> 'unchanged' THEN 1 + p.stored_rows * (p.mode = 'full')::integer + p.written_rows + p.deleted_rows ELSE 0 END ORDER BY i)
    INTO shares FROM unnest(parts) WITH ORDINALITY AS p (level, grain, date_from, date_to, automatic_from, automatic_to, mode, since, recount, keep_changed,
                                                         stored_rows, dense_rows, written_rows, deleted_rows, seconds, i);
    FOR i IN 1 .. cardinality(parts) LOOP
        part := parts[i];
        part.seconds := part.seconds + taken * shares[i] / (SELECT sum(s) FROM unnest(shares) s);
        parts[i] := part;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._build_native(integer, empatia.build_part[]) IS 'brings the parts that are not unchanged up to date in one pass, leaving the keys of changed cells in _changed; returns the parts with their rows and seconds, and the facts left out';

-- Periods and the entries in cube_build, once the cells are written; of all parts at once, since most of the time would go into planning 35 times the same.
CREATE FUNCTION empatia._finish_parts(client_id integer, parts empatia.build_part[], at_change bigint) RETURNS empatia.build_part[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    basis CONSTANT text := empatia._setting_value('assignment_basis');
    first_day CONSTANT integer := empatia._setting_value('first_day_of_week')::integer;
    levels CONSTANT text[] := ARRAY(SELECT p.level FROM unnest(parts) p);
    grains CONSTANT text[] := ARRAY(SELECT p.grain FROM unnest(parts) p);
    -- all parts of a call have the same range
    starts date[] := '{}';
    ends date[] := '{}';
    of_grain text[] := '{}';
    dense jsonb;
    part empatia.build_part;
BEGIN
    SELECT array_agg(n.grain), array_agg(p.period_start), array_agg(p.period_end) INTO of_grain, starts, ends
    FROM (SELECT DISTINCT unnest(grains)) n (grain), empatia.periods(n.grain, parts[1].date_from, parts[1].date_to, first_day) p;
    EXECUTE empatia._render($q$
        WITH present AS MATERIALIZED (
            SELECT b.level, b.grain, n.period_start, n.period_end FROM unnest($2, $3) b (level, grain) JOIN unnest($4, $5, $6) n (grain, period_start, period_end) USING (grain)),
        gone AS (
            DELETE FROM {results}.cube_period p WHERE p.client_id = $1 AND (p.level, p.grain) IN (SELECT b.level, b.grain FROM unnest($2, $3) b (level, grain))
                AND (p.level, p.grain, p.period_start) NOT IN (SELECT n.level, n.grain, n.period_start FROM present n))
        INSERT INTO {results}.cube_period AS p (client_id, level, grain, period_start, period_end)
        SELECT $1, n.level, n.grain, n.period_start, n.period_end FROM present n
        WHERE (n.level, n.grain, n.period_start, n.period_end) NOT IN (SELECT o.level, o.grain, o.period_start, o.period_end FROM {results}.cube_period o WHERE o.client_id = $1)
        ON CONFLICT ON CONSTRAINT cube_period_pkey DO UPDATE SET period_end = excluded.period_end $q$) USING client_id, levels, grains, of_grain, starts, ends;
    EXECUTE empatia._render('SELECT jsonb_object_agg(b.level || b.grain, (y.members ->> b.level)::bigint * (SELECT count(*) FROM unnest($4) n (grain) WHERE n.grain = b.grain))
            FROM {results}.cube_sync y, unnest($2, $3) b (level, grain) WHERE y.client_id = $1') INTO dense USING client_id, levels, grains, of_grain;
    FOR i IN 1 .. cardinality(parts) LOOP
        part := parts[i];
        part.dense_rows := dense -> (part.level || part.grain);
        -- rows of students who left go when the structure of the cube does, from every part
        IF part.recount AND part.mode <> 'full' THEN
            EXECUTE format('SELECT count(*) FROM %s c WHERE c.client_id = $1', empatia._render('{results}.') || quote_ident(lower(format('cube_%s_%s', part.level, part.grain))))
                INTO part.stored_rows USING client_id;
        END IF;
        parts[i] := part;
    END LOOP;
    EXECUTE empatia._render($q$
        INSERT INTO {results}.cube_build AS b (client_id, level, grain, date_from, date_to, automatic_from, automatic_to, assignment_basis, first_day_of_week, change_id, seen_change_id, stored_rows, dense_rows, built_at)
        -- all facts were read before this statement began, so none of a later change is in the cells
        SELECT $1, p.level, p.grain, p.date_from, p.date_to, p.automatic_from, p.automatic_to, $3, $4, $5, greatest($5, h.seen), p.stored_rows, p.dense_rows, clock_timestamp()
        FROM unnest($2) p, (SELECT max(h.change_id) AS seen FROM {dw}.change h WHERE h.client_id = $1) h
        ON CONFLICT ON CONSTRAINT cube_build_pkey DO UPDATE SET date_from = excluded.date_from, date_to = excluded.date_to, automatic_from = excluded.automatic_from, automatic_to = excluded.automatic_to,
            assignment_basis = excluded.assignment_basis, first_day_of_week = excluded.first_day_of_week, change_id = excluded.change_id, seen_change_id = excluded.seen_change_id,
            stored_rows = excluded.stored_rows, dense_rows = excluded.dense_rows, built_at = excluded.built_at $q$)
        USING client_id, parts, basis, first_day, at_change;
    RETURN parts;
END
$$;
COMMENT ON FUNCTION empatia._finish_parts(integer, empatia.build_part[], bigint) IS 'records the parts of a client''s cube that were built';
