-- The first half of load(): what an adapter's query returned, converted and checked. The work tables are temporary and live for one
-- stream: _raw (the query's rows), _staged (converted, with the reason of each row that cannot be loaded).

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
