-- How many predictions there were, for metrics(): counted while they are made, since a scrape has no time to count a day of them.
-- Rows of predict_rows() are added by itself. Calls of predict() are counted by one in a thousand of them, up to a moment before which none can come any more.

CREATE FUNCTION empatia._tally_sql(source text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format($q$
        SELECT (p.predicted_at AT TIME ZONE 'UTC')::date AS day, p.model, p.class, count(*) AS predictions, count(p.latency_ms) AS calls,
               coalesce(sum(greatest(0, least(p.latency_ms, 86400000))) FILTER (WHERE p.latency_ms IS NOT NULL), 0) / 1000 AS seconds,
               ARRAY[count(*) FILTER (WHERE p.latency_ms <= 1), count(*) FILTER (WHERE p.latency_ms <= 2), count(*) FILTER (WHERE p.latency_ms <= 5),
                     count(*) FILTER (WHERE p.latency_ms <= 10), count(*) FILTER (WHERE p.latency_ms <= 20), count(*) FILTER (WHERE p.latency_ms <= 50),
                     count(*) FILTER (WHERE p.latency_ms <= 100), count(*) FILTER (WHERE p.latency_ms <= 250), count(*) FILTER (WHERE p.latency_ms <= 1000)] AS "within"
        FROM %s p WHERE p.origin = 'call' AND p.predicted_at >= (SELECT w.counted_until FROM {results}.prediction_watermark w) AND p.predicted_at < $1
        GROUP BY 1, 2, 3 $q$, source)
$$;
COMMENT ON FUNCTION empatia._tally_sql(text) IS 'query of the calls in a table of predictions that are not counted yet, up to moment $1, as prediction_tally has them';

CREATE FUNCTION empatia._add_tally(counted text, batch bigint) RETURNS text
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT format($q$
        INSERT INTO {results}.prediction_tally AS t (day, model, class, batch, predictions, calls, seconds, "within")
        SELECT c.day, c.model, c.class, %s, sum(c.predictions), sum(c.calls), sum(c.seconds),
               ARRAY[sum(c."within"[1]), sum(c."within"[2]), sum(c."within"[3]), sum(c."within"[4]), sum(c."within"[5]), sum(c."within"[6]), sum(c."within"[7]), sum(c."within"[8]), sum(c."within"[9])]::bigint[]
        FROM (%s) c GROUP BY c.day, c.model, c.class
        ON CONFLICT (day, model, class, batch) DO UPDATE SET predictions = t.predictions + excluded.predictions, calls = t.calls + excluded.calls, seconds = t.seconds + excluded.seconds,
            "within" = ARRAY(SELECT u.a + u.b FROM unnest(t."within", excluded."within") WITH ORDINALITY u (a, b, place) ORDER BY u.place) $q$, batch, counted)
$$;
COMMENT ON FUNCTION empatia._add_tally(text, bigint) IS 'statement that adds counts to those of a batch in prediction_tally';

-- A recorded call has its transaction's number before it has its time. So who began at T and has number X knows that calls before T are of transactions below X:
-- once a snapshot finds all of these over, it sees every call before T that there will ever be.
CREATE FUNCTION empatia._tally_predictions() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own CONSTANT xid8 := pg_current_xact_id();
    running CONSTANT xid8 := pg_snapshot_xmin(pg_current_snapshot());
    mark record;
    until timestamptz;
BEGIN
    -- no other transaction waits for this one, nor fails because of it
    IF NOT pg_try_advisory_xact_lock(hashtextextended('empatia.tally', 0)) THEN
        RETURN false;
    END IF;
    EXECUTE empatia._render('SELECT w.* FROM {results}.prediction_watermark w') INTO mark;
    until := CASE WHEN running >= own THEN now() WHEN running >= mark.next_xid THEN mark.next_until END;
    IF until > mark.counted_until THEN
        EXECUTE empatia._render(empatia._add_tally(empatia._tally_sql('{results}.prediction'), 0)) USING until;
    END IF;
    IF has_table_privilege(empatia._render('{results}.prediction_tally'), 'DELETE') THEN
        EXECUTE empatia._render(format('WITH gone AS (DELETE FROM {results}.prediction_tally WHERE batch <> 0 RETURNING *) %s', empatia._add_tally('SELECT * FROM gone', 0)));
    END IF;
    -- a promise that was not kept yet stands: each call would put it off for another one. Numbers ahead of ours come from another server's dump.
    EXECUTE empatia._render($q$
        UPDATE {results}.prediction_watermark SET counted_until = greatest(counted_until, $1), next_until = CASE WHEN $2 THEN now() ELSE next_until END, next_xid = CASE WHEN $2 THEN $3 ELSE next_xid END
        WHERE $2 OR counted_until < $1 $q$)
        USING until, running >= least(own, mark.next_xid) OR mark.next_xid > own, own;
    RETURN true;
END
$$;
COMMENT ON FUNCTION empatia._tally_predictions() IS 'counts the calls of predict() that can be counted by now into prediction_tally; false: another transaction is doing it';

CREATE FUNCTION empatia._may_tally() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT current_setting('transaction_isolation') = 'read committed'
           AND bool_and(has_table_privilege(t.name, p.privilege) AND NOT row_security_active(t.name))
    FROM (VALUES ('prediction', 'SELECT'), ('prediction_tally', 'SELECT'), ('prediction_tally', 'INSERT'), ('prediction_tally', 'UPDATE'),
                 ('prediction_watermark', 'SELECT'), ('prediction_watermark', 'UPDATE')) p (relation, privilege),
         LATERAL (SELECT empatia._render('{results}.' || p.relation)) t (name)
$$;
COMMENT ON FUNCTION empatia._may_tally() IS 'whether a call of predict() may count others: it must not fail because of that';

-- What is about to be deleted. The caller is the one who counts, and has locked the table: nothing can be added.
CREATE FUNCTION empatia._tally_rest(part regclass, until timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE empatia._render(empatia._add_tally(empatia._tally_sql(part::text), 0)) USING until;
END
$$;
COMMENT ON FUNCTION empatia._tally_rest(regclass, timestamptz) IS 'counts the calls in a table of predictions, up to a moment, that were not counted yet';
