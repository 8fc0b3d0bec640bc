-- What was predicted, what came of it, and how far inputs have drifted: ordinary tables of whoever calls create_warehouse().

CREATE FUNCTION empatia._risk_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE IF NOT EXISTS {results}.prediction (
    prediction_id bigint GENERATED ALWAYS AS IDENTITY,
    predicted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    model text NOT NULL,
    version bigint NOT NULL,
    student_id text,
    inputs jsonb NOT NULL,
    risk_score double precision NOT NULL,
    class text NOT NULL,
    threshold double precision,
    factors jsonb NOT NULL,
    imputed text[] NOT NULL,
    unknown text[] NOT NULL,
    latency_ms double precision,
    origin text NOT NULL DEFAULT 'call' CHECK (origin IN ('call', 'relation')),
    predicted_by name NOT NULL DEFAULT CURRENT_USER
) PARTITION BY RANGE (predicted_at);
CREATE TABLE IF NOT EXISTS {results}.prediction_other PARTITION OF {results}.prediction DEFAULT;
CREATE INDEX IF NOT EXISTS prediction_student ON {results}.prediction (student_id, predicted_at DESC);
CREATE INDEX IF NOT EXISTS prediction_model ON {results}.prediction (model, predicted_at);
CREATE INDEX IF NOT EXISTS prediction_call ON {results}.prediction (predicted_at) WHERE origin = 'call';
COMMENT ON TABLE {results}.prediction IS 'predictions of models of tables, one row each, partitioned by month; setting prediction_retention says how long they are kept';
COMMENT ON COLUMN {results}.prediction.inputs IS 'what the model was given, by its own columns; those missing are not there';
COMMENT ON COLUMN {results}.prediction.factors IS 'the strongest reasons, signed, with the value and in words';
COMMENT ON COLUMN {results}.prediction.imputed IS 'columns of the model that were not given';
COMMENT ON COLUMN {results}.prediction.unknown IS 'what was given and no column goes by';
COMMENT ON COLUMN {results}.prediction.origin IS 'call: predict(); relation: predict_rows()';
COMMENT ON TABLE {results}.prediction_other IS 'predictions of months without a partition of their own, until maintain_predictions() runs';

CREATE TABLE IF NOT EXISTS {results}.prediction_tally (
    day date NOT NULL,
    model text NOT NULL,
    class text NOT NULL,
    batch bigint NOT NULL,
    predictions bigint NOT NULL,
    calls bigint NOT NULL,
    seconds double precision NOT NULL,
    within bigint[] NOT NULL,
    PRIMARY KEY (day, model, class, batch)
);
COMMENT ON TABLE {results}.prediction_tally IS 'how many predictions there were: metrics() counts only calls of predict() since prediction_watermark besides, and goes on counting what retention deletes';
COMMENT ON COLUMN {results}.prediction_tally.day IS 'in UTC';
COMMENT ON COLUMN {results}.prediction_tally.batch IS '0, or the transaction that wrote the row and shall not wait for another one: those are added to 0 later';
COMMENT ON COLUMN {results}.prediction_tally.calls IS 'those whose latency is known: by predict(), not predict_rows()';
COMMENT ON COLUMN {results}.prediction_tally.seconds IS 'sum of their latencies';
COMMENT ON COLUMN {results}.prediction_tally.within IS 'how many of them took at most 1, 2, 5, 10, 20, 50, 100, 250 and 1000 ms';

CREATE TABLE IF NOT EXISTS {results}.prediction_watermark (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    counted_until timestamptz NOT NULL,
    next_until timestamptz NOT NULL,
    next_xid xid8 NOT NULL
);
INSERT INTO {results}.prediction_watermark (counted_until, next_until, next_xid) VALUES ('-infinity', '-infinity', '0') ON CONFLICT DO NOTHING;
COMMENT ON TABLE {results}.prediction_watermark IS 'how far prediction_tally has counted the calls of predict()';
COMMENT ON COLUMN {results}.prediction_watermark.counted_until IS 'calls before this moment are counted';
COMMENT ON COLUMN {results}.prediction_watermark.next_until IS 'calls before this moment can be counted once all transactions before next_xid are over';

CREATE TABLE IF NOT EXISTS {results}.outcome (
    model text NOT NULL,
    student_id text NOT NULL,
    observed_at timestamptz NOT NULL,
    class text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by name NOT NULL DEFAULT CURRENT_USER,
    PRIMARY KEY (model, student_id, observed_at)
);
COMMENT ON TABLE {results}.outcome IS 'what really came of students for whom a model predicted: written by record_outcome(), compared by live_metrics()';

CREATE TABLE IF NOT EXISTS {results}.drift_history (
    checked_at timestamptz NOT NULL,
    model text NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    psi double precision,
    jensen_shannon double precision,
    missing_before double precision,
    missing_now double precision,
    level text NOT NULL,
    rows bigint NOT NULL,
    since timestamptz,
    against text,
    PRIMARY KEY (model, checked_at, kind, name)
);
COMMENT ON TABLE {results}.drift_history IS 'drift of models of tables as check_drift() found it';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._risk_ddl() IS 'tables of predictions, outcomes and drift';

CREATE FUNCTION empatia._ensure_predictions() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
    IF EXISTS (SELECT FROM empatia.warehouse) AND to_regclass(empatia._render('{results}.prediction_watermark')) IS NULL THEN
        EXECUTE empatia._render(empatia._risk_ddl());
    END IF;
    PERFORM empatia._ensure_month(clock_timestamp());
END
$$;
COMMENT ON FUNCTION empatia._ensure_predictions() IS 'creates the tables of predictions in a warehouse that does not have them';

-- Whoever may not create a partition, or meets one that is being created, writes to the default one.
CREATE FUNCTION empatia._ensure_month(moment timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    first CONSTANT timestamptz := date_trunc('month', moment, 'UTC');
    part CONSTANT text := 'prediction_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
    parent regclass;
    any_row boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM empatia.warehouse) THEN
        RETURN false;
    END IF;
    parent := to_regclass(empatia._render('{results}.prediction'));
    IF parent IS NULL OR to_regclass(empatia._render('{results}.{part}', 'part', quote_ident(part))) IS NOT NULL
       OR NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = parent), 'USAGE') THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('empatia.prediction', 0));
    -- looked up in the table: what to_regclass() has not found before the wait it does not find after it either
    IF EXISTS (SELECT FROM pg_class c WHERE c.relname = part AND c.relnamespace = (SELECT p.relnamespace FROM pg_class p WHERE p.oid = parent)) THEN
        RETURN false;
    END IF;
    EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {results}.prediction_other WHERE predicted_at >= $1 AND predicted_at < $2)')
        INTO any_row USING first, first + interval '1 month';
    IF any_row THEN
        RETURN false; -- maintain_predictions() moves them
    END IF;
    EXECUTE format(empatia._render('CREATE TABLE {results}.%I PARTITION OF {results}.prediction FOR VALUES FROM (%L) TO (%L)'), part, first,
        date_trunc('month', first + interval '40 days', 'UTC'));
    RETURN true;
END
$$;
COMMENT ON FUNCTION empatia._ensure_month(timestamptz) IS 'creates the partition of predictions of a month';

CREATE FUNCTION empatia.maintain_predictions(months_ahead integer DEFAULT 2) RETURNS TABLE (partition text, action text, rows bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    keep CONSTANT interval := coalesce(empatia._setting_value('prediction_retention'), '24 months')::interval;
    month timestamptz;
    oldest timestamptz;
    found record;
BEGIN
    IF months_ahead IS NULL OR months_ahead NOT BETWEEN 0 AND 120 THEN
        PERFORM empatia._fail('invalid_parameter_value', format('months_ahead must be from 0 to 120, not %s', coalesce(months_ahead::text, 'null')));
    END IF;
    -- two at once: the second waits before it has touched a partition that the first one needs
    PERFORM pg_advisory_xact_lock(hashtextextended('empatia.prediction', 0));
    PERFORM empatia._ensure_predictions();
    -- months that fell into the default partition; whoever may write a prediction may also date it as nobody else does
    FOR month IN EXECUTE empatia._render('SELECT DISTINCT date_trunc(''month'', predicted_at, ''UTC'') FROM {results}.prediction_other WHERE predicted_at BETWEEN ''1970-01-01'' AND $1 ORDER BY 1')
                 USING clock_timestamp() + interval '1 day' LOOP
        EXECUTE empatia._render('CREATE TEMPORARY TABLE empatia_moved AS SELECT * FROM {results}.prediction_other WHERE predicted_at >= $1 AND predicted_at < $2')
            USING month, date_trunc('month', month + interval '40 days', 'UTC');
        EXECUTE empatia._render('DELETE FROM {results}.prediction_other WHERE predicted_at >= $1 AND predicted_at < $2') USING month, date_trunc('month', month + interval '40 days', 'UTC');
        PERFORM empatia._ensure_month(month);
        EXECUTE empatia._render('INSERT INTO {results}.prediction OVERRIDING SYSTEM VALUE SELECT * FROM pg_temp.empatia_moved');
        GET DIAGNOSTICS rows = ROW_COUNT;
        DROP TABLE pg_temp.empatia_moved;
        partition := 'prediction_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
        action := 'moved out of prediction_other';
        RETURN NEXT;
    END LOOP;
    FOR i IN 0 .. months_ahead LOOP
        month := date_trunc('month', clock_timestamp(), 'UTC') + make_interval(months => i);
        IF empatia._ensure_month(month) THEN
            partition := 'prediction_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
            action := 'created';
            rows := 0;
            RETURN NEXT;
        END IF;
    END LOOP;
    IF NOT empatia._tally_predictions() THEN
        -- nor waited for: who counts may want a partition that this transaction has locked
        RETURN QUERY SELECT 'prediction', 'nothing deleted: another transaction is counting, call again', 0::bigint;
        RETURN;
    END IF;
    oldest := date_trunc('month', clock_timestamp() - keep, 'UTC');
    FOR found IN SELECT c.oid::regclass AS part, c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
                 WHERE h.inhparent = to_regclass(empatia._render('{results}.prediction')) AND c.relname ~ '^prediction_\d{4}_\d{2}$'
                   AND make_timestamptz(substr(c.relname, 12, 4)::integer, substr(c.relname, 17, 2)::integer, 1, 0, 0, 0, 'UTC') < oldest LOOP
        EXECUTE format('LOCK TABLE %s', found.part);
        PERFORM empatia._tally_rest(found.part, 'infinity');
        EXECUTE format('SELECT count(*) FROM %s', found.part) INTO rows;
        EXECUTE format('DROP TABLE %s', found.part);
        partition := found.relname;
        action := 'dropped: older than ' || keep;
        RETURN NEXT;
    END LOOP;
    EXECUTE empatia._render('LOCK TABLE {results}.prediction_other IN SHARE ROW EXCLUSIVE MODE');
    PERFORM empatia._tally_rest(empatia._render('{results}.prediction_other')::regclass, oldest);
    EXECUTE empatia._render('DELETE FROM {results}.prediction_other WHERE predicted_at < $1') USING oldest;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows > 0 THEN
        partition := 'prediction_other';
        action := 'deleted: older than ' || keep;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION empatia.maintain_predictions(integer) IS 'creates the partitions of predictions of the coming months, and drops those older than the setting prediction_retention, once they are counted';
