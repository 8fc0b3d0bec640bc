-- Adapters are data: SELECTs from a source's own tables to the columns of a canonical relation.

CREATE TABLE empatia.relation_column (
    relation text NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    type text NOT NULL CHECK (type IN ('bigint', 'text', 'double precision', 'timestamptz', 'boolean', 'jsonb', 'kind')),
    is_key boolean NOT NULL DEFAULT false,
    required boolean NOT NULL DEFAULT false,
    default_value text,
    parent text,
    PRIMARY KEY (relation, name)
);
COMMENT ON TABLE empatia.relation_column IS 'columns that an adapter''s query may return for each canonical relation; shipped, not configuration';
COMMENT ON COLUMN empatia.relation_column.required IS 'a row without it is rejected';
COMMENT ON COLUMN empatia.relation_column.default_value IS 'what a missing value means';
COMMENT ON COLUMN empatia.relation_column.parent IS 'dimension in which the value must exist';

INSERT INTO empatia.relation_column (relation, position, name, type, is_key, required, default_value, parent) VALUES
    ('environment', 1, 'environment_id', 'bigint', true, true, NULL, NULL),
    ('environment', 2, 'name', 'text', false, false, NULL, NULL),
    ('environment', 3, 'removed', 'boolean', false, false, 'false', NULL),
    ('course', 1, 'course_id', 'bigint', true, true, NULL, NULL),
    ('course', 2, 'environment_id', 'bigint', false, true, NULL, 'environment'),
    ('course', 3, 'name', 'text', false, false, NULL, NULL),
    ('course', 4, 'removed', 'boolean', false, false, 'false', NULL),
    ('space', 1, 'space_id', 'bigint', true, true, NULL, NULL),
    ('space', 2, 'course_id', 'bigint', false, true, NULL, 'course'),
    ('space', 3, 'name', 'text', false, false, NULL, NULL),
    ('space', 4, 'removed', 'boolean', false, false, 'false', NULL),
    ('space', 5, 'starts_at', 'timestamptz', false, false, NULL, NULL),
    ('subject', 1, 'subject_id', 'bigint', true, true, NULL, NULL),
    ('subject', 2, 'space_id', 'bigint', false, true, NULL, 'space'),
    ('subject', 3, 'name', 'text', false, false, NULL, NULL),
    ('subject', 4, 'removed', 'boolean', false, false, 'false', NULL),
    ('lecture', 1, 'lecture_id', 'bigint', true, true, NULL, NULL),
    ('lecture', 2, 'subject_id', 'bigint', false, true, NULL, 'subject'),
    ('lecture', 3, 'name', 'text', false, false, NULL, NULL),
    ('lecture', 4, 'kind', 'text', false, false, NULL, NULL),
    ('lecture', 5, 'removed', 'boolean', false, false, 'false', NULL),
    ('student', 1, 'user_id', 'bigint', true, true, NULL, NULL),
    ('student', 2, 'name', 'text', false, false, NULL, NULL),
    ('student', 3, 'attributes', 'jsonb', false, false, NULL, NULL),
    ('student', 4, 'removed', 'boolean', false, false, 'false', NULL),
    ('enrolment', 1, 'enrolment_id', 'bigint', true, true, NULL, NULL),
    ('enrolment', 2, 'space_id', 'bigint', false, true, NULL, 'space'),
    ('enrolment', 3, 'user_id', 'bigint', false, true, NULL, 'student'),
    ('enrolment', 4, 'role', 'text', false, false, NULL, NULL),
    ('enrolment', 5, 'enrolled_at', 'timestamptz', false, false, NULL, NULL),
    ('enrolment', 6, 'ended_at', 'timestamptz', false, false, NULL, NULL),
    ('enrolment', 7, 'outcome', 'text', false, false, NULL, NULL),
    ('enrolment', 8, 'attributes', 'jsonb', false, false, NULL, NULL),
    ('environment_role', 1, 'environment_role_id', 'bigint', true, true, NULL, NULL),
    ('environment_role', 2, 'environment_id', 'bigint', false, true, NULL, 'environment'),
    ('environment_role', 3, 'user_id', 'bigint', false, true, NULL, 'student'),
    ('environment_role', 4, 'role', 'text', false, false, NULL, NULL),
    ('grade_group', 1, 'grade_group_id', 'bigint', true, true, NULL, NULL),
    ('grade_group', 2, 'space_id', 'bigint', false, false, NULL, 'space'),
    ('grade_group', 3, 'name', 'text', false, false, NULL, NULL),
    ('grade_group', 4, 'weight', 'double precision', false, false, NULL, NULL),
    ('assignment', 2, 'assignment_id', 'bigint', true, true, NULL, NULL),
    ('assignment', 3, 'title', 'text', false, false, NULL, NULL),
    ('assignment', 4, 'opens_at', 'timestamptz', false, false, NULL, NULL),
    ('assignment', 5, 'due_at', 'timestamptz', false, false, NULL, NULL),
    ('assignment', 6, 'max_grade', 'double precision', false, false, NULL, NULL),
    ('assignment', 7, 'weight', 'double precision', false, false, NULL, NULL),
    ('assignment', 8, 'grade_group_id', 'bigint', false, false, NULL, NULL),
    ('assignment', 9, 'environment_id', 'bigint', false, false, NULL, 'environment'),
    ('assignment', 10, 'course_id', 'bigint', false, false, NULL, 'course'),
    ('assignment', 11, 'space_id', 'bigint', false, false, NULL, 'space'),
    ('assignment', 12, 'subject_id', 'bigint', false, false, NULL, 'subject'),
    ('assignment', 13, 'lecture_id', 'bigint', false, false, NULL, 'lecture'),
    ('assignment', 14, 'removed', 'boolean', false, false, 'false', NULL),
    ('gradebook', 1, 'gradebook_id', 'bigint', true, true, NULL, NULL),
    ('gradebook', 2, 'space_id', 'bigint', false, false, NULL, 'space'),
    ('gradebook', 3, 'user_id', 'bigint', false, false, NULL, 'student'),
    ('gradebook', 4, 'grade_group_id', 'bigint', false, false, NULL, NULL),
    ('gradebook', 5, 'grade', 'double precision', false, false, NULL, NULL),
    ('friendship', 1, 'friendship_id', 'bigint', true, true, NULL, NULL),
    ('friendship', 2, 'user_id', 'bigint', false, true, NULL, 'student'),
    ('friendship', 3, 'friend_id', 'bigint', false, true, NULL, NULL),
    ('friendship', 4, 'status', 'text', false, false, NULL, NULL),
    ('friendship', 5, 'accepted_at', 'timestamptz', false, false, NULL, NULL),
    ('fact_interaction', 1, 'interaction_id', 'bigint', true, true, NULL, NULL),
    ('fact_interaction', 2, 'user_id', 'bigint', false, true, NULL, 'student'),
    ('fact_interaction', 3, 'kind', 'kind', false, true, NULL, NULL),
    ('fact_interaction', 4, 'amount', 'bigint', false, true, '1', NULL),
    ('fact_interaction', 5, 'occurred_at', 'timestamptz', false, true, NULL, NULL),
    ('fact_interaction', 6, 'environment_id', 'bigint', false, false, NULL, 'environment'),
    ('fact_interaction', 7, 'course_id', 'bigint', false, false, NULL, 'course'),
    ('fact_interaction', 8, 'space_id', 'bigint', false, false, NULL, 'space'),
    ('fact_interaction', 9, 'subject_id', 'bigint', false, false, NULL, 'subject'),
    ('fact_interaction', 10, 'lecture_id', 'bigint', false, false, NULL, 'lecture'),
    ('fact_assignment', 2, 'assignment_id', 'bigint', true, true, NULL, NULL),
    ('fact_assignment', 3, 'user_id', 'bigint', true, true, NULL, 'student'),
    ('fact_assignment', 4, 'assigned_at', 'timestamptz', false, false, NULL, NULL),
    ('fact_assignment', 5, 'due_at', 'timestamptz', false, false, NULL, NULL),
    ('fact_assignment', 6, 'submitted_at', 'timestamptz', false, false, NULL, NULL),
    ('fact_assignment', 7, 'status', 'text', false, false, NULL, NULL),
    ('fact_assignment', 8, 'grade', 'double precision', false, false, NULL, NULL),
    ('fact_assignment', 9, 'max_grade', 'double precision', false, false, NULL, NULL),
    ('fact_assignment', 10, 'environment_id', 'bigint', false, false, NULL, 'environment'),
    ('fact_assignment', 11, 'course_id', 'bigint', false, false, NULL, 'course'),
    ('fact_assignment', 12, 'space_id', 'bigint', false, false, NULL, 'space'),
    ('fact_assignment', 13, 'subject_id', 'bigint', false, false, NULL, 'subject'),
    ('fact_assignment', 14, 'lecture_id', 'bigint', false, false, NULL, 'lecture');

CREATE TABLE empatia.adapter (
    adapter text NOT NULL CHECK (adapter <> ''),
    relation text NOT NULL,
    stream text NOT NULL CHECK (stream <> ''),
    source_table text,
    position integer NOT NULL DEFAULT 100,
    query text NOT NULL,
    requires jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(requires) = 'object'),
    optional boolean NOT NULL DEFAULT false,
    kind text NOT NULL DEFAULT 'assignment',
    mode text NOT NULL DEFAULT 'upsert' CHECK (mode IN ('upsert', 'snapshot', 'add')),
    options text[] NOT NULL DEFAULT '{}',
    shipped boolean NOT NULL DEFAULT false,
    PRIMARY KEY (adapter, stream)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.adapter', 'WHERE NOT shipped');
COMMENT ON TABLE empatia.adapter IS 'adapters: per canonical relation a query over the tables of a source; INSERT your own for a new platform, see docs/adapters.md';
COMMENT ON COLUMN empatia.adapter.relation IS 'canonical relation the query fills; see empatia.relation_column for its columns';
COMMENT ON COLUMN empatia.adapter.stream IS 'name of this query within the adapter, usually its main source table';
COMMENT ON COLUMN empatia.adapter.source_table IS 'table that rejected rows are said to come from; default: the stream''s name';
COMMENT ON COLUMN empatia.adapter.position IS 'order of loading within the adapter; parents before children';
COMMENT ON COLUMN empatia.adapter.query IS 'SELECT with the macros {source}, {cursor table alias}, {deleted table alias}, {column table alias name}, {exists table} and {option name}';
COMMENT ON COLUMN empatia.adapter.requires IS 'source tables and columns the query needs: {"table": ["column", ...], ...}';
COMMENT ON COLUMN empatia.adapter.optional IS 'skip the query where a required table is missing, instead of refusing the source';
COMMENT ON COLUMN empatia.adapter.kind IS 'for assignments: module of the source that the ids belong to, since ids of different modules may be equal';
COMMENT ON COLUMN empatia.adapter.mode IS 'upsert: rows are added and changed; snapshot: the query returns everything, so rows it no longer returns are deleted (where no other stream of the adapter fills the relation); add: rows are added, never changed';
COMMENT ON COLUMN empatia.adapter.options IS 'options that the query reads with {option name}';

CREATE FUNCTION empatia._adapter_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM empatia.relation_column c WHERE c.relation = NEW.relation) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown canonical relation "%s"', NEW.relation),
            (SELECT 'The relations are ' || string_agg(DISTINCT c.relation, ', ' ORDER BY c.relation) || '.' FROM empatia.relation_column c));
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION empatia._adapter_check() IS 'refuses an adapter row for a relation that does not exist';
CREATE TRIGGER adapter_check BEFORE INSERT OR UPDATE ON empatia.adapter
    FOR EACH ROW EXECUTE FUNCTION empatia._adapter_check();

CREATE FUNCTION empatia._check_adapter(adapter text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM empatia.adapter a WHERE a.adapter = $1) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown adapter %s', coalesce('"' || $1 || '"', 'null')),
            (SELECT 'The adapters are ' || string_agg(DISTINCT a.adapter, ', ' ORDER BY a.adapter) || '.' FROM empatia.adapter a));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_adapter(text) IS 'refuses an adapter that does not exist';

CREATE FUNCTION empatia._check_source_options(adapter text, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    valid text[];
    unknown text;
BEGIN
    IF jsonb_typeof(options) <> 'object' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('expected options as a JSON object, found %s', jsonb_typeof(options)));
    END IF;
    SELECT array_agg(DISTINCT o ORDER BY o) INTO valid
    FROM (SELECT unnest(a.options) FROM empatia.adapter a WHERE a.adapter = $1
          UNION ALL SELECT unnest(ARRAY['time_zone', 'snapshot'])) v (o);
    SELECT k INTO unknown FROM jsonb_object_keys(options) k WHERE k <> ALL (valid) ORDER BY k LIMIT 1;
    IF FOUND THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown option "%s" for adapter "%s"', unknown, $1),
            'The options are ' || array_to_string(valid, ', ') || '.');
    END IF;
    IF options ? 'time_zone' AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = options ->> 'time_zone') THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown time zone "%s"', options ->> 'time_zone'),
            'Use an IANA name such as America/Recife; pg_timezone_names lists them.');
    END IF;
    IF options ? 'snapshot' AND jsonb_typeof(options -> 'snapshot') <> 'boolean' THEN
        PERFORM empatia._fail('invalid_parameter_value', format('option "snapshot": expected true or false, found %s', options -> 'snapshot'));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._check_source_options(text, jsonb) IS 'refuses options that the adapter does not have';

-- Columns of a source table as the catalog has them; null: no such table.
CREATE FUNCTION empatia._source_columns(source_schema text, source_table text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = source_schema AND c.relname = source_table AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
$$;
COMMENT ON FUNCTION empatia._source_columns(text, text) IS 'columns of a source table and their types; null where there is no such table';

CREATE FUNCTION empatia._check_stream(source_schema text, stream empatia.adapter) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    needed record;
    present jsonb;
    missing text;
BEGIN
    FOR needed IN SELECT t.key AS name, t.value AS columns FROM jsonb_each(stream.requires) t ORDER BY t.key LOOP
        present := empatia._source_columns(source_schema, needed.name);
        IF present IS NULL THEN
            IF stream.optional THEN
                RETURN false;
            END IF;
            PERFORM empatia._fail('undefined_table',
                format('source table %I.%I does not exist: adapter "%s" reads %s from it', source_schema, needed.name, stream.adapter, stream.relation),
                'Check the schema that was given to add_source(), and that the loader has landed the table.');
        END IF;
        SELECT c INTO missing FROM jsonb_array_elements_text(needed.columns) c WHERE NOT present ? c LIMIT 1;
        IF FOUND THEN
            PERFORM empatia._fail('undefined_column',
                format('column "%s" of source table %I.%I does not exist: adapter "%s" reads %s from it', missing, source_schema, needed.name, stream.adapter, stream.relation),
                (SELECT 'The table has the columns ' || string_agg(k, ', ' ORDER BY k) || '.' FROM jsonb_object_keys(present) k));
        END IF;
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION empatia._check_stream(text, empatia.adapter) IS 'whether a source has what a stream needs: false for an optional stream without its tables, an error otherwise';

-- When a row landed or changed. A loader's own extracted-at comes first: it never runs backwards, while updated_at may be older
-- than rows that were read before.
CREATE FUNCTION empatia._cursor_sql(columns jsonb, alias text, time_zone text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((
        SELECT CASE WHEN c.name = '_dlt_load_id' THEN format('pg_catalog.to_timestamp(%s.%I::double precision)', alias, c.name)
                    WHEN columns ->> c.name = 'timestamp with time zone' THEN format('%s.%I', alias, c.name)
                    WHEN columns ->> c.name IN ('timestamp without time zone', 'date')
                        THEN format('(%s.%I::timestamp AT TIME ZONE %L)', alias, c.name, time_zone)
                    ELSE format('empatia._to_timestamp(%s.%I::text, %L)', alias, c.name, time_zone) END
        FROM unnest(ARRAY['_airbyte_extracted_at', '_airbyte_emitted_at', '_dlt_load_id', 'updated_at']) WITH ORDINALITY c (name, position)
        WHERE columns ? c.name ORDER BY c.position LIMIT 1), 'NULL::timestamptz')
$$;
COMMENT ON FUNCTION empatia._cursor_sql(jsonb, text, text) IS 'expression of a row''s cursor: the loader''s extracted-at column, else updated_at, else null (everything is read every time)';

CREATE FUNCTION empatia._deleted_sql(columns jsonb, alias text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- as text, MySQL's zero date and the empty string are how a loader writes null
    SELECT coalesce('(' || string_agg(CASE WHEN columns ->> c LIKE 'timestamp%' THEN format('%s.%I IS NOT NULL', alias, c)
                                           ELSE format('coalesce(%s.%I::text !~ %L, false)', alias, c, '^\s*(0000-00-00.*)?$') END, ' OR ') || ')', 'false')
    FROM unnest(ARRAY['deleted_at', '_ab_cdc_deleted_at', '_sdc_deleted_at']) c WHERE columns ? c
$$;
COMMENT ON FUNCTION empatia._deleted_sql(jsonb, text) IS 'expression that says whether a row was deleted at the source';

CREATE FUNCTION empatia._render_stream(source_schema text, stream empatia.adapter, options jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rendered text := replace(stream.query, '{source}', quote_ident(source_schema));
    macro text[];
    words text[];
    columns jsonb;
BEGIN
    FOR macro IN SELECT DISTINCT regexp_matches(stream.query, '\{((?:cursor|deleted|column|option|exists) [^{}]*)\}', 'g') LOOP
        words := regexp_split_to_array(macro[1], '\s+');
        columns := empatia._source_columns(source_schema, words[2]);
        rendered := replace(rendered, '{' || macro[1] || '}', CASE words[1]
            WHEN 'cursor' THEN empatia._cursor_sql(columns, words[3], coalesce(options ->> 'time_zone', 'UTC'))
            WHEN 'deleted' THEN empatia._deleted_sql(columns, words[3])
            WHEN 'column' THEN CASE WHEN columns ? words[4] THEN words[3] || '.' || quote_ident(words[4]) ELSE 'NULL::text' END
            WHEN 'exists' THEN CASE WHEN columns IS NULL THEN 'false' ELSE 'true' END
            ELSE quote_nullable(options ->> words[2]) || '::text'
        END);
    END LOOP;
    RETURN rendered;
END
$$;
COMMENT ON FUNCTION empatia._render_stream(text, empatia.adapter, jsonb) IS 'the query of a stream for one source, macros filled in';
