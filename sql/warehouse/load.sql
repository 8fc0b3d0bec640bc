-- load(): sources -> dimensions and facts. One stream after the other: read, convert and check, reject, write.
-- The work tables are temporary and live for one stream: _raw (what the adapter's query returned), _staged (converted, with the
-- reason of each row that cannot be loaded), _diff (what is new or different).

CREATE FUNCTION empatia._to_timestamp(value text, time_zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(empatia._parse_instant(value), empatia._parse_local(value) AT TIME ZONE time_zone)
$$;
COMMENT ON FUNCTION empatia._to_timestamp(text, text) IS 'instant of an ISO text, in the given zone where it names none; null where it is no instant';

-- Text goes through functions that return null instead of failing, so that one bad cell costs one row and not the load.
CREATE FUNCTION empatia._convert_sql(source_type regtype, type text, ref text, time_zone text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN source_type IS NULL THEN 'NULL::' || CASE type WHEN 'kind' THEN 'text' ELSE type END
        WHEN type IN ('text', 'kind') THEN ref || '::text'
        WHEN type = 'jsonb' THEN format('to_jsonb(%s)', ref)
        WHEN type IN ('bigint', 'double precision') AND source_type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
            THEN ref || '::' || type
        WHEN type = 'bigint' THEN format('empatia._to_bigint(%s::text)', ref)
        WHEN type = 'double precision' THEN format('empatia._to_double(%s::text)', ref)
        WHEN type = 'timestamptz' AND source_type = 'timestamptz'::regtype THEN format('CASE WHEN isfinite(%1$s) THEN %1$s END', ref)
        WHEN type = 'timestamptz' AND source_type IN ('timestamp'::regtype, 'date'::regtype)
            THEN format('CASE WHEN isfinite(%1$s) THEN %1$s::timestamp AT TIME ZONE %2$L END', ref, time_zone)
        WHEN type = 'timestamptz' THEN format('empatia._to_timestamp(%s::text, %L)', ref, time_zone)
        WHEN type = 'boolean' AND source_type = 'boolean'::regtype THEN ref
        WHEN type = 'boolean' THEN format('empatia._to_boolean(%s::text)', ref)
    END
$$;
COMMENT ON FUNCTION empatia._convert_sql(regtype, text, text, text) IS 'expression that converts a source column to a canonical type, null where it cannot';

CREATE FUNCTION empatia._has_path(relation text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM empatia.relation_column c WHERE c.relation = $1 AND c.name = 'lecture_id' AND NOT c.is_key)
$$;
COMMENT ON FUNCTION empatia._has_path(text) IS 'whether rows of the relation hang on a unit of any level, with the path above it';

CREATE FUNCTION empatia._keeps_removed(relation text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM empatia.relation_column c WHERE c.relation = $1 AND c.name = 'removed')
$$;
COMMENT ON FUNCTION empatia._keeps_removed(text) IS 'whether rows deleted at the source stay, marked as removed';

-- Columns of the target besides client_id, and the expression of each over c (converted row), path and day aliases.
CREATE FUNCTION empatia._target_columns(relation text) RETURNS TABLE (name text, expression text, is_key boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'source_id', '$2', true WHERE relation IN ('assignment', 'fact_assignment', 'fact_interaction')
    UNION ALL
    SELECT 'kind', '$3', true WHERE relation IN ('assignment', 'fact_assignment')
    UNION ALL
    SELECT CASE c.type WHEN 'kind' THEN 'interaction_type_id' ELSE c.name END,
           CASE WHEN c.type = 'kind' THEN 'k.interaction_type_id'
                -- units and people that the source deleted stay, marked: facts still name them
                WHEN c.name = 'removed' THEN 'coalesce(c.removed, false) OR coalesce(r._deleted, false)'
                WHEN empatia._has_path(relation) AND c.parent IN ('environment', 'course', 'space', 'subject', 'lecture') THEN
                    CASE c.parent WHEN 'environment' THEN 'coalesce(pc.environment_id, c.environment_id)'
                                  WHEN 'course' THEN 'coalesce(pp.course_id, c.course_id)'
                                  WHEN 'space' THEN 'coalesce(ps.space_id, c.space_id)'
                                  WHEN 'subject' THEN 'coalesce(pl.subject_id, c.subject_id)'
                                  ELSE 'c.lecture_id' END
                ELSE 'c.' || quote_ident(c.name) END,
           c.is_key
    FROM empatia.relation_column c WHERE c.relation = $1
    UNION ALL
    SELECT d.name, format('(c.%I AT TIME ZONE $4)::date', d.instant), false
    FROM (VALUES ('fact_interaction', 'day', 'occurred_at'), ('fact_assignment', 'assigned_day', 'assigned_at'),
                 ('fact_assignment', 'due_day', 'due_at'), ('fact_assignment', 'submitted_day', 'submitted_at')) d (relation, name, instant)
    WHERE d.relation = $1
$$;
COMMENT ON FUNCTION empatia._target_columns(text) IS 'columns of a warehouse table and how load() computes them; $2 source_id, $3 kind, $4 the client''s time zone';

-- Joins that resolve parents. A row with a path names its innermost unit; the rest of the path comes from the dimensions.
CREATE FUNCTION empatia._parents_sql(relation text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN empatia._has_path(relation) THEN $q$
        LEFT JOIN {dw}.lecture pl ON pl.client_id = $1 AND pl.lecture_id = c.lecture_id
        LEFT JOIN {dw}.subject ps ON ps.client_id = $1 AND ps.subject_id = coalesce(pl.subject_id, c.subject_id)
        LEFT JOIN {dw}.space pp ON pp.client_id = $1 AND pp.space_id = coalesce(ps.space_id, c.space_id)
        LEFT JOIN {dw}.course pc ON pc.client_id = $1 AND pc.course_id = coalesce(pp.course_id, c.course_id)
        LEFT JOIN {dw}.environment pv ON pv.client_id = $1 AND pv.environment_id = coalesce(pc.environment_id, c.environment_id)$q$ ELSE '' END
    || CASE WHEN relation = 'fact_interaction' THEN '
        LEFT JOIN {dw}.interaction_type k ON k.code = c.kind' ELSE '' END
    || coalesce((SELECT string_agg(format('
        LEFT JOIN {dw}.%1$I p_%2$s ON p_%2$s.client_id = $1 AND p_%2$s.%3$I = c.%2$I', c.parent, c.name,
            CASE c.parent WHEN 'student' THEN 'user_id' ELSE c.parent || '_id' END), '')
        FROM empatia.relation_column c
        WHERE c.relation = $1 AND c.parent IS NOT NULL AND (c.parent = 'student' OR NOT empatia._has_path(relation))), '')
$$;
COMMENT ON FUNCTION empatia._parents_sql(text) IS 'joins from a converted row to its parents, as a template';

-- Branches of the CASE that says why a row cannot be loaded; the first that applies is the reason.
CREATE FUNCTION empatia._reasons_sql(relation text, raw_types jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(branch, E'\n' ORDER BY position, part) FROM (
        SELECT 0 AS part, c.position, format('WHEN c.%1$I IS NULL AND nullif(r.%1$I::text, '''') IS NOT NULL THEN %2$L || quote_literal(left(r.%1$I::text, 100))',
                      c.name, format('column %s: expected %s, found ', c.name, c.type)) AS branch
        FROM empatia.relation_column c WHERE c.relation = $1 AND raw_types ? c.name
        UNION ALL
        SELECT 1, c.position, format('WHEN c.%I IS NULL THEN %L', c.name, c.name || ' is null')
        FROM empatia.relation_column c WHERE c.relation = $1 AND c.required
        UNION ALL
        SELECT 2, 100 + c.position, format('WHEN c.%1$I IS NOT NULL AND %2$s IS NULL THEN %3$L || c.%1$I', c.name,
            CASE WHEN c.parent = 'student' OR NOT empatia._has_path(relation) THEN 'p_' || c.name || '.client_id'
                 ELSE CASE c.parent WHEN 'lecture' THEN 'pl' WHEN 'subject' THEN 'ps' WHEN 'space' THEN 'pp' WHEN 'course' THEN 'pc' ELSE 'pv' END || '.client_id' END,
            'unknown ' || CASE c.parent WHEN 'student' THEN 'user' ELSE c.parent END || ' ')
        FROM empatia.relation_column c WHERE c.relation = $1 AND c.parent IS NOT NULL
        UNION ALL
        SELECT 3, 200, b.branch FROM (VALUES
            ('fact_interaction', 'WHEN k.interaction_type_id IS NULL THEN ''unknown kind '' || quote_literal(c.kind)'),
            ('fact_interaction', 'WHEN c.amount < 0 THEN ''amount '' || c.amount || '' is negative'''),
            ('fact_assignment', 'WHEN c.max_grade <= 0 THEN ''max_grade '' || c.max_grade || '' is not positive'''),
            ('fact_assignment', 'WHEN c.grade < 0 THEN ''grade '' || c.grade || '' is negative'''),
            ('fact_assignment', 'WHEN c.grade > c.max_grade THEN ''grade '' || c.grade || '' is above max_grade '' || c.max_grade')) b (relation, branch)
        WHERE b.relation = $1
        UNION ALL
        SELECT 4, 300, format('WHEN c.%1$I < $5::date::timestamp AT TIME ZONE ''UTC'' OR c.%1$I > $6::date::timestamp AT TIME ZONE ''UTC'' THEN %2$L || c.%1$I', c.name, c.name || ' is outside valid_from..valid_to: ')
        FROM empatia.relation_column c WHERE c.relation = $1 AND c.relation LIKE 'fact%' AND c.type = 'timestamptz') b
$$;
COMMENT ON FUNCTION empatia._reasons_sql(text, jsonb) IS 'branches of a CASE with the reasons for which a row of the relation is rejected';

-- The adapter is somebody's own SQL: a misspelt column would be nulls in every row, so it is refused.
CREATE FUNCTION empatia._raw_columns(stream empatia.adapter, time_zone text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    types jsonb;
    wrong text;
    columns text;
BEGIN
    SELECT jsonb_object_agg(a.attname, a.atttypid::bigint) INTO types FROM pg_attribute a WHERE a.attrelid = 'pg_temp._raw'::regclass AND a.attnum > 0;
    SELECT t INTO wrong FROM jsonb_object_keys(types) t
    WHERE t NOT IN ('_key', '_cursor', '_deleted', '_reject', '_row')
      AND NOT EXISTS (SELECT FROM empatia.relation_column c WHERE c.relation = stream.relation AND c.name = t) ORDER BY t LIMIT 1;
    IF FOUND THEN
        PERFORM empatia._fail('undefined_column', format('adapter "%s", stream "%s": the query returns column "%s", which %s does not have', stream.adapter, stream.stream, wrong, stream.relation),
            (SELECT 'The columns are ' || string_agg(c.name, ', ' ORDER BY c.position) || ', and for every relation _key, _cursor, _deleted, _reject and _row.'
             FROM empatia.relation_column c WHERE c.relation = stream.relation));
    END IF;
    SELECT c.name INTO wrong FROM empatia.relation_column c
    WHERE c.relation = stream.relation AND c.required AND c.default_value IS NULL AND NOT types ? c.name ORDER BY c.position LIMIT 1;
    IF FOUND THEN
        PERFORM empatia._fail('undefined_column', format('adapter "%s", stream "%s": the query does not return column "%s", which %s needs', stream.adapter, stream.stream, wrong, stream.relation));
    END IF;
    SELECT string_agg('q.' || quote_ident(t), ', ' ORDER BY t) INTO columns FROM jsonb_object_keys(types) t WHERE t NOT LIKE '\_%';
    SELECT columns || string_agg(format(', %s AS %I',
            -- an incremental stream finds its rejected rows again by their key
            CASE WHEN o.name = '_key' AND NOT types ? '_key' AND types ? '_cursor'
                 THEN (SELECT string_agg(format('q.%I::text', c.name), $q$ || '/' || $q$ ORDER BY c.position)
                       FROM empatia.relation_column c WHERE c.relation = stream.relation AND c.is_key)
                 ELSE empatia._convert_sql((types ->> o.name)::oid::regtype, o.type, 'q.' || o.name, time_zone) END, o.name), '' ORDER BY o.name)
    INTO columns
    FROM (VALUES ('_key', 'text'), ('_cursor', 'timestamptz'), ('_deleted', 'boolean'), ('_reject', 'text'), ('_row', 'jsonb')) o (name, type);
    RETURN columns;
END
$$;
COMMENT ON FUNCTION empatia._raw_columns(empatia.adapter, text) IS 'select list over the adapter''s query q, whose columns _raw has; refuses columns that the relation does not have';

-- Reads a stream into _raw: what is new since the cursor, and the rows that were rejected before.
CREATE FUNCTION empatia._read_stream(src empatia.source, stream empatia.adapter) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    query CONSTANT text := empatia._render_stream(src.source_schema, stream, src.options);
    since timestamptz;
    columns text;
    total bigint;
BEGIN
    SELECT c.cursor_at - empatia._setting_value('cursor_overlap')::interval INTO since
    FROM empatia.source_cursor c WHERE c.source_id = src.source_id AND c.stream = stream.stream;
    -- a first look at the query's columns, without a row
    DROP TABLE IF EXISTS pg_temp._raw;
    EXECUTE format('CREATE TEMP TABLE _raw ON COMMIT DROP AS SELECT * FROM (%s) q LIMIT 0', query);
    columns := empatia._raw_columns(stream, coalesce(src.options ->> 'time_zone', 'UTC'));
    DROP TABLE pg_temp._raw;
    EXECUTE format('CREATE TEMP TABLE _raw ON COMMIT DROP AS
            SELECT row_number() OVER () AS _n, %s AS _retried, q.* FROM (SELECT %s FROM (%s) q) q WHERE %s',
        CASE WHEN since IS NULL OR empatia._reads_everything(src, stream) THEN 'false' ELSE format('coalesce(q._cursor < %L, false)', since) END, columns, query,
        CASE WHEN since IS NULL OR empatia._reads_everything(src, stream) THEN 'true' ELSE empatia._render(format(
            'q._cursor IS NULL OR q._cursor >= %L OR q._key IN (SELECT j.source_key FROM {dw}.reject j WHERE j.client_id = %s AND j.source_id = %s AND j.stream = %L
               AND j.reason NOT LIKE ''duplicate key%%'')', -- a duplicate without the row that won would win
            since, src.client_id, src.source_id, stream.stream)) END);
    GET DIAGNOSTICS total = ROW_COUNT;
    RETURN total;
END
$$;
COMMENT ON FUNCTION empatia._read_stream(empatia.source, empatia.adapter) IS 'reads what is new in a stream into the temporary table _raw; returns the number of rows';

CREATE FUNCTION empatia._reads_everything(src empatia.source, stream empatia.adapter) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT stream.mode = 'snapshot' OR coalesce((src.options ->> 'snapshot')::boolean, false)
$$;
COMMENT ON FUNCTION empatia._reads_everything(empatia.source, empatia.adapter) IS 'whether a stream is a snapshot: rows that it no longer returns are deleted';

-- Converts _raw into _staged: target columns, and the reason why a row cannot be loaded.
CREATE FUNCTION empatia._stage_stream(src empatia.source, stream empatia.adapter, time_zone text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    raw_types jsonb;
    keys text;
    null_key text;
    converted text;
    targets text;
    query text;
BEGIN
    SELECT jsonb_object_agg(a.attname, a.atttypid::bigint) INTO raw_types FROM pg_attribute a
    WHERE a.attrelid = 'pg_temp._raw'::regclass AND a.attnum > 0;
    SELECT string_agg(CASE WHEN c.default_value IS NULL THEN e.expression
                           -- what needs no conversion needs no look at its text, which is most of what a large load would do
                           WHEN (raw_types ->> c.name)::oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN format('coalesce(%s, %L)', e.expression, c.default_value)
                           WHEN raw_types ? c.name THEN format('CASE WHEN nullif(r.%I::text, '''') IS NULL THEN %L ELSE %s END', c.name, c.default_value, e.expression)
                           ELSE quote_literal(c.default_value) || '::' || c.type END || ' AS ' || quote_ident(c.name), ', ' ORDER BY c.position)
    INTO converted
    FROM empatia.relation_column c,
         empatia._convert_sql((raw_types ->> c.name)::oid::regtype, c.type, 'r.' || quote_ident(c.name), coalesce(src.options ->> 'time_zone', 'UTC')) e (expression)
    WHERE c.relation = stream.relation;
    SELECT string_agg(t.expression || ' AS ' || quote_ident(t.name), ', '), string_agg(quote_ident(t.name), ', ') FILTER (WHERE t.is_key)
    INTO targets, keys FROM empatia._target_columns(stream.relation) t;
    SELECT string_agg(format('c.%I IS NULL', c.name), ' OR ') INTO null_key
    FROM empatia.relation_column c WHERE c.relation = stream.relation AND c.is_key;
    query := empatia._render($q$
        CREATE TEMP TABLE _staged ON COMMIT DROP AS
        SELECT r._n, r._retried, {targets}, {deleted} AS _deleted,
               -- of a deleted row only the key matters
               CASE WHEN r._reject IS NOT NULL AND NOT {deleted} THEN r._reject
                    WHEN {deleted} AND NOT ({null_key}) THEN NULL {reasons} END AS _reason
        FROM pg_temp._raw r CROSS JOIN LATERAL (SELECT {converted} OFFSET 0) c {parents}$q$,
        'deleted', CASE WHEN empatia._keeps_removed(stream.relation) THEN 'false' ELSE 'coalesce(r._deleted, false)' END,
        'targets', targets, 'null_key', null_key, 'reasons', empatia._reasons_sql(stream.relation, raw_types),
        'converted', converted, 'parents', empatia._parents_sql(stream.relation));
    -- CREATE TABLE AS takes no parameters
    query := replace(replace(replace(query, '$1', src.client_id::text), '$2', src.source_id::text), '$3', quote_literal(stream.kind));
    query := replace(replace(replace(query, '$4', quote_literal(time_zone)), '$5', quote_literal(empatia._setting_value('valid_from'))), '$6', quote_literal(empatia._setting_value('valid_to')));
    DROP TABLE IF EXISTS pg_temp._staged;
    EXECUTE query;
    -- of rows with equal keys the one that changed last is loaded
    EXECUTE format($q$
        UPDATE pg_temp._staged s SET _reason = 'duplicate key: another row with this key is loaded'
        FROM (SELECT d._n, row_number() OVER (PARTITION BY %2$s ORDER BY r._cursor DESC NULLS LAST, d._n DESC) AS place
              FROM pg_temp._staged d JOIN pg_temp._raw r USING (_n)
              WHERE d._reason IS NULL AND (%2$s) IN (SELECT %1$s FROM pg_temp._staged WHERE _reason IS NULL GROUP BY %1$s HAVING count(*) > 1)) twice
        WHERE twice._n = s._n AND twice.place > 1 $q$, keys, 'd.' || replace(keys, ', ', ', d.'));
    ANALYZE pg_temp._staged;
END
$$;
COMMENT ON FUNCTION empatia._stage_stream(empatia.source, empatia.adapter, text) IS 'converts and checks _raw into the temporary table _staged';

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
        WHEN 'fact_assignment' THEN format('(VALUES (coalesce(%1$s.submitted_day, ''-infinity'')), (coalesce(%1$s.due_day, %1$s.assigned_day, ''-infinity'')))', alias)
    END
$$;
COMMENT ON FUNCTION empatia._change_days_sql(text, text) IS 'days of a fact row in which the cube may change; -infinity: in none, but the student''s assignments changed';

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
            INSERT INTO {dw}.change (client_id, change_id, user_id, day)
            SELECT $1, i.id, c.user_id, c.day
            FROM (SELECT nextval('{dw}.change_id_seq') AS id) i, (
                SELECT d.user_id, v.day FROM pg_temp._diff d, LATERAL {new_days} v (day)
                UNION SELECT (d._old).user_id, v.day FROM pg_temp._diff d, LATERAL {old_days} v (day) WHERE NOT d._new
                UNION SELECT g.user_id, v.day FROM pg_temp._gone g, LATERAL {gone_days} v (day)) c $q$,
            'new_days', empatia._change_days_sql(stream.relation, 'd'),
            'old_days', empatia._change_days_sql(stream.relation, '(d._old)'),
            'gone_days', empatia._change_days_sql(stream.relation, 'g')) USING src.client_id;
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

CREATE TYPE empatia.load_row AS (client text, source_id integer, adapter text, stream text, relation text, read bigint, inserted bigint,
    updated bigint, deleted bigint, rejected bigint, seconds double precision, message text);
COMMENT ON TYPE empatia.load_row IS 'what load() did with one stream of a source';

-- Texts made of instants and numbers (keys, rows as jsonb, reasons) must not depend on who loads.
CREATE FUNCTION empatia._load_client(id integer) RETURNS SETOF empatia.load_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET intervalstyle = 'postgres' SET extra_float_digits = 1 AS $$
DECLARE
    zone text;
    src empatia.source;
    stream empatia.adapter;
    done empatia.load_row;
    began timestamptz;
    moves boolean := false;
BEGIN
    EXECUTE empatia._render('SELECT c.code, c.time_zone FROM {dw}.client c WHERE c.client_id = $1') INTO done.client, zone USING id;
    IF NOT EXISTS (SELECT FROM empatia.source s WHERE s.client_id = id) THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('client "%s" has no source', done.client),
            format('Run SELECT * FROM empatia.add_source(%L, adapter, source_schema).', done.client));
    END IF;
    -- one load per client at a time: its changes are numbered in the order in which they are committed
    IF NOT pg_try_advisory_xact_lock(hashtextextended('empatia.load', id)) THEN
        PERFORM empatia._fail('lock_not_available', format('another session is loading client "%s"', done.client), 'Wait until it is done.');
    END IF;
    -- every stream is checked before anything is written
    PERFORM empatia._check_stream(s.source_schema, s.stream)
    FROM (SELECT s.source_schema, a AS stream FROM empatia.source s JOIN empatia.adapter a ON a.adapter = s.adapter WHERE s.client_id = id
          ORDER BY s.source_id, a.position, a.stream) s;
    FOR src IN SELECT * FROM empatia.source s WHERE s.client_id = id ORDER BY s.source_id LOOP
        FOR stream IN SELECT * FROM empatia.adapter a WHERE a.adapter = src.adapter ORDER BY a.position, a.stream LOOP
            began := clock_timestamp();
            done := (done.client, src.source_id, src.adapter, stream.stream, stream.relation, 0, 0, 0, 0, 0, 0, NULL);
            IF NOT empatia._check_stream(src.source_schema, stream) THEN
                done.message := 'skipped: the source does not have ' || (SELECT string_agg(t, ', ' ORDER BY t) FROM jsonb_object_keys(stream.requires) t);
                RETURN NEXT done;
                CONTINUE;
            END IF;
            done.read := empatia._read_stream(src, stream);
            PERFORM empatia._stage_stream(src, stream, zone);
            done.rejected := empatia._reject_rows(src, stream);
            SELECT w.inserted, w.updated, w.deleted INTO done.inserted, done.updated, done.deleted FROM empatia._write_stream(src, stream) w;
            INSERT INTO empatia.source_cursor AS c (source_id, stream, cursor_at, loaded_at)
            -- a row from the future (the year 9999 of a broken clock) is read every time; it must not hide what comes after it
            SELECT src.source_id, stream.stream, max(r._cursor) FILTER (WHERE r._cursor <= clock_timestamp()), clock_timestamp() FROM pg_temp._raw r
            ON CONFLICT ON CONSTRAINT source_cursor_pkey DO UPDATE
            SET cursor_at = greatest(c.cursor_at, excluded.cursor_at), loaded_at = excluded.loaded_at;
            moves := moves OR stream.relation IN ('course', 'space', 'subject', 'lecture') AND done.updated > 0;
            done.seconds := extract(epoch FROM clock_timestamp() - began);
            RETURN NEXT done;
        END LOOP;
    END LOOP;
    IF moves THEN
        PERFORM empatia._move_facts(id);
    END IF;
    DROP TABLE IF EXISTS pg_temp._raw, pg_temp._staged;
END
$$;
COMMENT ON FUNCTION empatia._load_client(integer) IS 'loads every source of a client, all or nothing';

CREATE FUNCTION empatia.load(client text DEFAULT NULL) RETURNS SETOF empatia.load_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id integer;
    code text;
    failed integer := 0;
    loaded integer := 0;
    problem text;
    failure empatia.load_row;
BEGIN
    IF client IS NOT NULL THEN
        RETURN QUERY SELECT * FROM empatia._load_client(empatia._client_id(client));
        RETURN;
    END IF;
    FOR id, code IN EXECUTE empatia._render('SELECT c.client_id, c.code FROM {dw}.client c
            WHERE EXISTS (SELECT FROM empatia.source s WHERE s.client_id = c.client_id) ORDER BY c.client_id') LOOP
        -- each client is its own unit of work: one client's trouble does not keep the others' data out
        BEGIN
            RETURN QUERY SELECT * FROM empatia._load_client(id);
            loaded := loaded + 1;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
            RAISE WARNING 'client "%" was not loaded: %', code, problem;
            failed := failed + 1;
            failure.client := code;
            failure.message := 'failed, nothing of this client was loaded: ' || problem;
            RETURN NEXT failure;
        END;
    END LOOP;
    IF loaded + failed = 0 THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', 'there is nothing to load: no client has a source',
            'Run SELECT * FROM empatia.add_client(code) and empatia.add_source(client, adapter, source_schema).');
    ELSIF loaded = 0 THEN
        PERFORM empatia._fail('external_routine_exception', format('no client was loaded; the last error was: %s', problem), 'The warnings say why.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia.load(text) IS 'loads what is new in the sources of a client, or of all clients; bad rows go to the reject table';
