-- load(): sources -> dimensions and facts. One stream after the other: read and check (stage.sql), reject and write (write.sql).

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
            PERFORM empatia._doing(format('load %s, reading %s', done.client, stream.stream));
            done.read := empatia._read_stream(src, stream);
            PERFORM empatia._doing(format('load %s, checking %s rows of %s', done.client, done.read, stream.stream));
            PERFORM empatia._stage_stream(src, stream, zone);
            done.rejected := empatia._reject_rows(src, stream);
            PERFORM empatia._doing(format('load %s, writing %s rows of %s', done.client, done.read, stream.stream));
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
    PERFORM empatia._doing(NULL);
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
