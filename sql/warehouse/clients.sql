-- Clients and their sources.

CREATE FUNCTION empatia.add_client(code text, name text DEFAULT NULL, time_zone text DEFAULT NULL)
RETURNS TABLE (client_id integer, client text, message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    w CONSTANT empatia.warehouse := empatia._warehouse();
    old record;
    new_zone boolean;
    fact text;
BEGIN
    IF code IS NULL OR code = '' THEN
        PERFORM empatia._fail('invalid_parameter_value', 'expected a client code, found nothing');
    END IF;
    IF time_zone IS NOT NULL AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = time_zone) THEN
        PERFORM empatia._fail('invalid_parameter_value', format('unknown time zone "%s"', time_zone),
            'Use an IANA name such as America/Recife; pg_timezone_names lists them.');
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('empatia.add_client', 0));
    EXECUTE empatia._render('SELECT * FROM {dw}.client c WHERE c.code = $1') INTO old USING code;
    client := code;
    -- a new client lives in UTC; one that exists keeps the zone that a call does not name
    time_zone := coalesce(time_zone, old.time_zone, 'UTC');
    IF old.client_id IS NOT NULL THEN
        client_id := old.client_id;
        new_zone := old.time_zone <> time_zone;
        IF old.name = coalesce(name, old.name) AND NOT new_zone THEN
            message := 'exists already, nothing changed';
            RETURN NEXT;
            RETURN;
        END IF;
        EXECUTE empatia._render('UPDATE {dw}.client c SET name = coalesce($2, c.name), time_zone = $3 WHERE c.client_id = $1')
            USING client_id, name, time_zone;
        IF new_zone THEN
            -- changes are numbered in the order in which they are committed: not beside a load
            PERFORM pg_advisory_xact_lock(hashtextextended('empatia.load', client_id));
            PERFORM empatia._recompute_days(client_id, time_zone);
        END IF;
        message := CASE WHEN new_zone THEN 'updated: the days of its facts follow the new time zone' ELSE 'updated' END;
        RETURN NEXT;
        RETURN;
    END IF;
    EXECUTE empatia._render('INSERT INTO {dw}.client (code, name, time_zone) VALUES ($1, $2, $3) RETURNING client_id')
        INTO client_id USING code, coalesce(name, code), time_zone;
    FOREACH fact IN ARRAY ARRAY['fact_interaction', 'fact_assignment'] LOOP
        EXECUTE format('CREATE TABLE %1$I.%2$I PARTITION OF %1$I.%3$I FOR VALUES IN (%4$s)', w.dw_schema, fact || '_' || client_id, fact, client_id);
        EXECUTE format('COMMENT ON TABLE %I.%I IS %L', w.dw_schema, fact || '_' || client_id, format('%s of client %s', fact, code));
    END LOOP;
    message := 'added: next, SELECT * FROM empatia.add_source(client, adapter, source_schema)';
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia.add_client(text, text, text) IS 'adds a client and its fact partitions; time zone default UTC; called again it updates the name and time zone that are given';

CREATE FUNCTION empatia._recompute_days(client_id integer, time_zone text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE empatia._render($q$
        WITH moved AS (
            UPDATE {dw}.fact_interaction f SET day = (f.occurred_at AT TIME ZONE $2)::date
            WHERE f.client_id = $1 AND f.day <> (f.occurred_at AT TIME ZONE $2)::date RETURNING f.user_id),
        handed_in AS (
            UPDATE {dw}.fact_assignment f SET assigned_day = (f.assigned_at AT TIME ZONE $2)::date,
                due_day = (f.due_at AT TIME ZONE $2)::date, submitted_day = (f.submitted_at AT TIME ZONE $2)::date
            WHERE f.client_id = $1 RETURNING f.user_id)
        INSERT INTO {dw}.change (client_id, change_id, user_id)
        SELECT $1, nextval('{dw}.change_id_seq'), u.user_id FROM (SELECT m.user_id FROM moved m UNION SELECT h.user_id FROM handed_in h) u $q$)
        USING client_id, time_zone;
END
$$;
COMMENT ON FUNCTION empatia._recompute_days(integer, text) IS 'the calendar days of a client''s facts after its time zone changed';

CREATE TABLE empatia.source (
    source_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id integer NOT NULL,
    adapter text NOT NULL,
    source_schema text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    added_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    UNIQUE (client_id, adapter, source_schema)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.source', '');
SELECT pg_catalog.pg_extension_config_dump('empatia.source_source_id_seq', '');
COMMENT ON TABLE empatia.source IS 'where each client''s data land, and the adapter that reads them';
COMMENT ON COLUMN empatia.source.options IS 'time_zone of the source''s naive timestamps (default UTC); snapshot: rows that are gone from the source are deleted; and the adapter''s own';

CREATE TABLE empatia.source_cursor (
    source_id integer NOT NULL REFERENCES empatia.source ON DELETE CASCADE,
    stream text NOT NULL,
    cursor_at timestamptz,
    loaded_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, stream)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.source_cursor', '');
COMMENT ON TABLE empatia.source_cursor IS 'how far each stream of a source has been read; delete a row to read it from the start';

CREATE FUNCTION empatia.add_source(client text, adapter text, source_schema text, options jsonb DEFAULT '{}')
RETURNS TABLE (source_id integer, streams text[], skipped text[], message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    id CONSTANT integer := empatia._client_id($1);
    old empatia.source;
BEGIN
    PERFORM empatia._check_adapter($2);
    IF $3 IS NULL OR to_regnamespace(quote_ident($3)) IS NULL THEN
        PERFORM empatia._fail('invalid_schema_name', format('schema %s does not exist', coalesce(quote_literal($3), 'null')),
            'Give the schema that your loader (Airbyte, dlt, postgres_fdw, COPY) writes to.');
    END IF;
    PERFORM empatia._check_source_options($2, coalesce($4, '{}'));
    -- the tables are looked at now, so that a mistake is found on Monday and not by the first scheduled load
    SELECT array_agg(a.stream ORDER BY a.position) FILTER (WHERE a.usable), array_agg(a.stream ORDER BY a.position) FILTER (WHERE NOT a.usable)
    INTO streams, skipped
    FROM (SELECT a.stream, a.position, empatia._check_stream($3, a) AS usable FROM
              (SELECT * FROM empatia.adapter a WHERE a.adapter = $2 ORDER BY a.position, a.stream) a) a;
    SELECT * INTO old FROM empatia.source s WHERE s.client_id = id AND s.adapter = $2 AND s.source_schema = $3;
    IF old.source_id IS NULL THEN
        INSERT INTO empatia.source (client_id, adapter, source_schema, options) VALUES (id, $2, $3, coalesce($4, '{}'))
            RETURNING source.source_id INTO source_id;
        message := 'added: next, SELECT * FROM empatia.load()';
    ELSE
        source_id := old.source_id;
        message := 'exists already, nothing changed';
        IF old.options <> coalesce($4, '{}') THEN
            UPDATE empatia.source s SET options = coalesce($4, '{}') WHERE s.source_id = old.source_id;
            -- other options may read the same rows differently
            DELETE FROM empatia.source_cursor c WHERE c.source_id = old.source_id;
            message := 'options changed: the next load reads the source from the start';
        END IF;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION empatia.add_source(text, text, text, jsonb) IS 'registers a source schema of a client and the adapter that reads it, after checking its tables and columns';
