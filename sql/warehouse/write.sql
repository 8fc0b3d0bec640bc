-- The second half of load(): rejects and changes go from _staged to their tables, and the cube is told.

-- Rows that cannot be loaded replace what was known of the rows of this batch.
CREATE FUNCTION empatia._reject_rows(src empatia.source, stream empatia.adapter) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    total bigint;
    same CONSTANT text := 'b.source_key IS NOT DISTINCT FROM j.source_key AND b.reason = j.reason AND b."row" = j."row"';
BEGIN
    DROP TABLE IF EXISTS pg_temp._bad;
    CREATE TEMP TABLE _bad ON COMMIT DROP AS
        SELECT r._key AS source_key, s._reason AS reason,
               coalesce(r._row, to_jsonb(r) - '{_n,_retried,_key,_cursor,_deleted,_reject,_row}'::text[]) AS "row"
        FROM pg_temp._staged s JOIN pg_temp._raw r USING (_n) WHERE s._reason IS NOT NULL;
    GET DIAGNOSTICS total = ROW_COUNT;
    EXECUTE empatia._render($q$
        DELETE FROM {dw}.reject j
        WHERE j.client_id = $1 AND j.source_id = $2 AND j.stream = $3
          AND ($4 OR j.source_key IN (SELECT r._key FROM pg_temp._raw r)
                     -- a duplicate is not read again only because the row that won is
                     AND (j.reason NOT LIKE 'duplicate key%' OR j."row" IN (SELECT r._row FROM pg_temp._raw r WHERE r._key = j.source_key)))
          AND NOT EXISTS (SELECT FROM pg_temp._bad b WHERE {same}) $q$, 'same', same)
    -- rows without a key, and rows that are gone, are only known when the whole stream was read
    USING src.client_id, src.source_id, stream.stream,
          empatia._reads_everything(src, stream)
          OR NOT EXISTS (SELECT FROM empatia.source_cursor c WHERE c.source_id = src.source_id AND c.stream = stream.stream AND c.cursor_at IS NOT NULL);
    IF total > 0 THEN
        EXECUTE empatia._render('UPDATE {dw}.reject j SET last_seen_at = clock_timestamp() FROM pg_temp._bad b
                WHERE j.client_id = $1 AND j.source_id = $2 AND j.stream = $3 AND {same}', 'same', same)
            USING src.client_id, src.source_id, stream.stream;
        EXECUTE empatia._render($q$
            INSERT INTO {dw}.reject (client_id, source_id, stream, source_table, source_key, reason, "row")
            SELECT $1, $2, $3, $4, b.source_key, b.reason, b."row" FROM pg_temp._bad b
            WHERE NOT EXISTS (SELECT FROM {dw}.reject j WHERE j.client_id = $1 AND j.source_id = $2 AND j.stream = $3 AND {same}) $q$, 'same', same)
            USING src.client_id, src.source_id, stream.stream, src.source_schema || '.' || coalesce(stream.source_table, stream.stream);
    END IF;
    DROP TABLE pg_temp._bad;
    RETURN total;
END
$$;
COMMENT ON FUNCTION empatia._reject_rows(empatia.source, empatia.adapter) IS 'keeps the rows of _staged that have a reason in the reject table; returns their number';

CREATE FUNCTION empatia._change_days_sql(relation text, alias text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE relation
        WHEN 'fact_interaction' THEN format('(VALUES (%s.day))', alias)
        WHEN 'fact_assignment' THEN format('(VALUES (coalesce(%1$s.submitted_day, ''-infinity'')), (coalesce(%1$s.due_day, %1$s.assigned_day, ''-infinity'')), (''-infinity''))', alias)
    END
$$;
COMMENT ON FUNCTION empatia._change_days_sql(text, text) IS 'days of a fact row in which the cube may change; -infinity: the student''s assignments changed, and with them perhaps their number';

CREATE FUNCTION empatia._analyze(relation text, client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    table_name CONSTANT text := CASE WHEN relation LIKE 'fact%' THEN relation || '_' || client_id ELSE relation END;
BEGIN
    -- a foreign partition would send all its rows here
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass(empatia._render('{dw}.') || quote_ident(table_name)) AND c.relkind = 'r') THEN
        EXECUTE empatia._render('ANALYZE {dw}.') || quote_ident(table_name);
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._analyze(text, integer) IS 'statistics of a warehouse table, or of the client''s partition of a fact table';

-- Writes what is new, different or gone in _staged.
CREATE FUNCTION empatia._write_stream(src empatia.source, stream empatia.adapter, OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    target CONSTANT text := empatia._render('{dw}.') || quote_ident(stream.relation);
    columns text;
    assignments text;
    keys text;
    staged_values text;
    target_values text;
    own_rows boolean;
    empty boolean;
    tracked boolean;
    good text;
    gone text;
BEGIN
    SELECT string_agg(quote_ident(t.name), ', '),
           string_agg(format('%1$I = d.%1$I', t.name), ', ') FILTER (WHERE NOT t.is_key),
           string_agg(format('t.%1$I = d.%1$I', t.name), ' AND ') FILTER (WHERE t.is_key),
           string_agg('d.' || quote_ident(t.name), ', '), string_agg('t.' || quote_ident(t.name), ', '), bool_or(t.name = 'source_id')
    INTO columns, assignments, keys, staged_values, target_values, own_rows
    FROM empatia._target_columns(stream.relation) t;
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s t WHERE t.client_id = $1)', target) INTO empty USING src.client_id;
    -- once the cube was built it must hear of changes to facts
    EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {results}.cube_sync y WHERE y.client_id = $1)') INTO tracked USING src.client_id;
    tracked := tracked AND stream.relation LIKE 'fact%';

    DROP TABLE IF EXISTS pg_temp._diff, pg_temp._gone;
    -- a first load does not look for what cannot be there
    EXECUTE format('CREATE TEMP TABLE _diff ON COMMIT DROP AS
            SELECT d.*, t.client_id IS NULL AS _new %s FROM pg_temp._staged d LEFT JOIN %s t ON t.client_id = %s AND %s
            WHERE d._reason IS NULL AND NOT d._deleted AND NOT %L AND (t.client_id IS NULL OR NOT %L AND (%s) IS DISTINCT FROM (%s))',
        CASE WHEN tracked THEN ', t AS _old' END, target, src.client_id, keys, empty, stream.mode = 'add', target_values, staged_values);
    -- a fact whose newest version cannot be loaded is no longer what the source says: it goes, as in a load from scratch. A unit or a
    -- person stays as last known, since facts hang on it. A row that is only tried again says nothing new.
    good := CASE WHEN empatia._keeps_removed(stream.relation) THEN 'NOT (d._deleted AND d._reason IS NULL)' ELSE 'd._reason IS NULL AND NOT d._deleted' END;
    IF empatia._reads_everything(src, stream)
       -- what one stream lacks another stream of the same relation may have
       AND (SELECT count(*) FROM empatia.adapter a WHERE (a.adapter, a.relation, a.kind) = (stream.adapter, stream.relation, stream.kind)) = 1
       -- dimensions are shared by the sources of a client: what one of them lacks another may have
       AND (own_rows OR (SELECT count(*) FROM empatia.source o WHERE o.client_id = src.client_id) = 1) THEN
        gone := format('NOT EXISTS (SELECT FROM pg_temp._staged d WHERE %s AND %s)', keys, good)
            || CASE WHEN own_rows THEN format(' AND t.source_id = %s', src.source_id) ELSE '' END
            || CASE WHEN stream.relation IN ('assignment', 'fact_assignment') THEN format(' AND t.kind = %L', stream.kind) ELSE '' END;
    ELSE
        gone := format('EXISTS (SELECT FROM pg_temp._staged d WHERE %1$s AND NOT (%2$s) AND NOT (d._retried AND d._reason IS NOT NULL)) AND NOT EXISTS (SELECT FROM pg_temp._staged d WHERE %1$s AND %2$s)', keys, good);
    END IF;
    EXECUTE format('CREATE TEMP TABLE _gone ON COMMIT DROP AS SELECT t.* FROM %s t WHERE t.client_id = %s AND NOT %L AND %s', target, src.client_id, empty, gone);

    IF tracked THEN
        EXECUTE empatia._render($q$
            INSERT INTO {dw}.change (client_id, change_id, user_id, day, only_added, source_id, added)
            SELECT $1, i.id, c.user_id, c.day, $2 AND bool_and(c.id IS NOT NULL), $3, CASE WHEN $2 AND bool_and(c.id IS NOT NULL) THEN array_agg(c.id) END
            FROM (SELECT nextval('{dw}.change_id_seq') AS id) i, (
                SELECT d.user_id, v.day, CASE WHEN d._new THEN {id} END AS id FROM pg_temp._diff d, LATERAL {new_days} v (day)
                UNION ALL SELECT (d._old).user_id, v.day, NULL FROM pg_temp._diff d, LATERAL {old_days} v (day) WHERE NOT d._new
                UNION ALL SELECT g.user_id, v.day, NULL FROM pg_temp._gone g, LATERAL {gone_days} v (day)) c
            GROUP BY i.id, c.user_id, c.day $q$,
            'id', CASE stream.relation WHEN 'fact_interaction' THEN 'd.interaction_id' ELSE 'NULL::bigint' END,
            'new_days', empatia._change_days_sql(stream.relation, 'd'),
            'old_days', empatia._change_days_sql(stream.relation, '(d._old)'),
            'gone_days', empatia._change_days_sql(stream.relation, 'g')) USING src.client_id, stream.relation = 'fact_interaction', src.source_id;
    END IF;
    IF empatia._keeps_removed(stream.relation) THEN
        EXECUTE format('UPDATE %s t SET removed = true FROM pg_temp._gone d WHERE t.client_id = $1 AND NOT t.removed AND %s', target, keys) USING src.client_id;
    ELSE
        EXECUTE format('DELETE FROM %s t USING pg_temp._gone d WHERE t.client_id = $1 AND %s', target, keys) USING src.client_id;
    END IF;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    EXECUTE format('UPDATE %s t SET %s FROM pg_temp._diff d WHERE t.client_id = $1 AND %s AND NOT d._new', target, assignments, keys) USING src.client_id;
    GET DIAGNOSTICS updated = ROW_COUNT;
    EXECUTE format('INSERT INTO %1$s (client_id, %2$s) SELECT $1, %3$s FROM pg_temp.%4$I d WHERE %5$s', target, columns, staged_values,
        CASE WHEN empty THEN '_staged' ELSE '_diff' END,
        CASE WHEN empty THEN 'd._reason IS NULL AND NOT d._deleted' ELSE 'd._new' END) USING src.client_id;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    -- a first build may run beside this load without seeing it, nor being seen by it: the next one finds that everybody's facts may be others
    IF stream.relation LIKE 'fact%' AND NOT tracked AND inserted + updated + deleted > 0 THEN
        EXECUTE empatia._render('INSERT INTO {dw}.change (client_id, change_id) SELECT $1, nextval(''{dw}.change_id_seq'')') USING src.client_id;
    END IF;
    -- the streams and the build that follow join this table: without statistics the planner takes it for empty
    IF inserted > 1000 THEN
        PERFORM empatia._analyze(stream.relation, src.client_id);
    END IF;
    DROP TABLE pg_temp._diff, pg_temp._gone;
END
$$;
COMMENT ON FUNCTION empatia._write_stream(empatia.source, empatia.adapter) IS 'writes what is new, different or gone in _staged to its table, and tells the cube';

-- Facts and assignments carry the path of their unit: when a unit moves, so do they.
CREATE FUNCTION empatia._move_facts(client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fact text;
BEGIN
    FOREACH fact IN ARRAY ARRAY['fact_interaction', 'fact_assignment'] LOOP
        EXECUTE empatia._render($q$
            WITH path AS (
                SELECT f.ctid AS row_id, f.tableoid AS part, c.environment_id, coalesce(p.course_id, f.course_id) AS course_id,
                       coalesce(s.space_id, f.space_id) AS space_id, coalesce(l.subject_id, f.subject_id) AS subject_id
                FROM {dw}.{fact} f
                LEFT JOIN {dw}.lecture l ON l.client_id = f.client_id AND l.lecture_id = f.lecture_id
                LEFT JOIN {dw}.subject s ON s.client_id = f.client_id AND s.subject_id = coalesce(l.subject_id, f.subject_id)
                LEFT JOIN {dw}.space p ON p.client_id = f.client_id AND p.space_id = coalesce(s.space_id, f.space_id)
                LEFT JOIN {dw}.course c ON c.client_id = f.client_id AND c.course_id = coalesce(p.course_id, f.course_id)
                WHERE f.client_id = $1 AND c.environment_id IS NOT NULL),
            moved AS (
                UPDATE {dw}.{fact} f SET environment_id = p.environment_id, course_id = p.course_id, space_id = p.space_id, subject_id = p.subject_id
                FROM path p WHERE f.client_id = $1 AND p.row_id = f.ctid AND p.part = f.tableoid
                  AND (f.environment_id, f.course_id, f.space_id, f.subject_id) IS DISTINCT FROM (p.environment_id, p.course_id, p.space_id, p.subject_id)
                RETURNING f.user_id)
            INSERT INTO {dw}.change (client_id, change_id, user_id)
            SELECT $1, i.id, u.user_id FROM (SELECT nextval('{dw}.change_id_seq') AS id) i, (SELECT DISTINCT m.user_id FROM moved m) u $q$,
            'fact', fact) USING client_id;
    END LOOP;
    EXECUTE empatia._render($q$
        WITH path AS (
            SELECT f.client_id, f.source_id, f.kind, f.assignment_id, c.environment_id, coalesce(p.course_id, f.course_id) AS course_id,
                   coalesce(s.space_id, f.space_id) AS space_id, coalesce(l.subject_id, f.subject_id) AS subject_id
            FROM {dw}.assignment f
            LEFT JOIN {dw}.lecture l ON l.client_id = f.client_id AND l.lecture_id = f.lecture_id
            LEFT JOIN {dw}.subject s ON s.client_id = f.client_id AND s.subject_id = coalesce(l.subject_id, f.subject_id)
            LEFT JOIN {dw}.space p ON p.client_id = f.client_id AND p.space_id = coalesce(s.space_id, f.space_id)
            LEFT JOIN {dw}.course c ON c.client_id = f.client_id AND c.course_id = coalesce(p.course_id, f.course_id)
            WHERE f.client_id = $1 AND c.environment_id IS NOT NULL)
        UPDATE {dw}.assignment f SET environment_id = p.environment_id, course_id = p.course_id, space_id = p.space_id, subject_id = p.subject_id
        FROM path p WHERE (p.client_id, p.source_id, p.kind, p.assignment_id) = (f.client_id, f.source_id, f.kind, f.assignment_id)
          AND (f.environment_id, f.course_id, f.space_id, f.subject_id) IS DISTINCT FROM (p.environment_id, p.course_id, p.space_id, p.subject_id) $q$) USING client_id;
END
$$;
COMMENT ON FUNCTION empatia._move_facts(integer) IS 'gives the facts and assignments of a client the present path of their units';
