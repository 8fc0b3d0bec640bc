-- Metrics for Prometheus. They are read from tables, not counted in memory: every backend says the same, also after a crash.

-- Buckets of a histogram have the name of the histogram and _bucket, _sum and _count.
CREATE FUNCTION empatia._prediction_metrics() RETURNS TABLE (name text, type text, help text, labels jsonb, value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- nothing was predicted yet, or it is not for this role
    IF NOT coalesce((SELECT bool_and(has_table_privilege(to_regclass(format('%I.%I', w.results_schema, t.name)), 'SELECT'))
                     FROM empatia.warehouse w, unnest('{prediction,prediction_tally,prediction_watermark,drift_history}'::text[]) t (name)), false) THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE empatia._render($q$
        WITH counted AS MATERIALIZED (SELECT t.model, t.class, t.predictions, t.calls, t.seconds, t.within FROM {results}.prediction_tally t
                                      UNION ALL SELECT r.model, r.class, r.predictions, r.calls, r.seconds, r.within FROM ({rest}) r),
        latency AS (SELECT c.model, sum(c.calls) AS calls, sum(c.seconds) AS seconds FROM counted c GROUP BY c.model HAVING sum(c.calls) > 0),
        bucket AS (SELECT c.model, b.bound, sum(c.within[b.place]) AS calls
                   FROM counted c, unnest('{0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.25,1}'::text[]) WITH ORDINALITY b (bound, place) GROUP BY c.model, b.bound)
        SELECT 'empatia_predictions_total', 'counter', 'recorded predictions of models of tables', jsonb_build_object('model', c.model, 'class', c.class), sum(c.predictions)::double precision
        FROM counted c GROUP BY c.model, c.class
        UNION ALL
        SELECT 'empatia_prediction_duration_seconds' || v.suffix, 'histogram', 'how long recorded calls of predict() took', v.labels, v.value
        FROM latency l, LATERAL (
            SELECT '_bucket' AS suffix, jsonb_build_object('model', l.model, 'le', b.bound) AS labels, b.calls::double precision AS value FROM bucket b WHERE b.model = l.model
            UNION ALL SELECT '_bucket', jsonb_build_object('model', l.model, 'le', '+Inf'), l.calls::double precision
            UNION ALL SELECT '_sum', jsonb_build_object('model', l.model), l.seconds
            UNION ALL SELECT '_count', jsonb_build_object('model', l.model), l.calls::double precision) v $q$, 'rest', empatia._render(empatia._tally_sql('{results}.prediction')))
        USING 'infinity'::timestamptz;
    RETURN QUERY EXECUTE empatia._render($q$
        SELECT 'empatia_drift_psi', 'gauge', 'population stability index of the last check_drift(), by feature, score and class', jsonb_build_object('model', h.model, 'kind', h.kind, 'name', h.name), h.psi
        FROM (SELECT d.model, max(d.checked_at) AS checked_at FROM {results}.drift_history d GROUP BY d.model) last JOIN {results}.drift_history h USING (model, checked_at)
        UNION ALL
        SELECT 'empatia_drift_checked_timestamp_seconds', 'gauge', 'when drift was last checked', jsonb_build_object('model', d.model), extract(epoch FROM max(d.checked_at))::double precision
        FROM {results}.drift_history d GROUP BY d.model $q$);
END
$$;
COMMENT ON FUNCTION empatia._prediction_metrics() IS 'rows of empatia._metrics() about predictions and their drift';

CREATE FUNCTION empatia._metrics() RETURNS TABLE (name text, type text, help text, labels jsonb, value double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT 'empatia_info', 'gauge', 'version of the extension', jsonb_build_object('version', empatia.version()), 1::double precision;
    RETURN QUERY
        SELECT 'empatia_steps_total', 'counter', 'steps of the pipeline that ended', jsonb_build_object('action', s.action, 'status', e.status), sum(e.steps)::double precision
        FROM empatia.step_tally s, LATERAL (VALUES ('done', s.done), ('failed', s.failed), ('cancelled', s.cancelled)) e (status, steps) GROUP BY s.action, e.status HAVING sum(e.steps) > 0
        UNION ALL
        SELECT 'empatia_step_rows_total', 'counter', 'rows that steps of the pipeline read, stored, trained on or classified', jsonb_build_object('action', s.action), sum(s.rows)::double precision
        FROM empatia.step_tally s WHERE s.done > 0 GROUP BY s.action;
    RETURN QUERY
        WITH last AS (
            SELECT s.last_success, s.last_seconds, jsonb_strip_nulls(jsonb_build_object('action', s.action, 'client', s.client, 'level', s.level, 'grain', s.grain)) AS labels
            FROM empatia.step_tally s WHERE s.last_success IS NOT NULL)
        SELECT 'empatia_step_last_success_timestamp_seconds', 'gauge', 'when a step of the pipeline last succeeded', l.labels, extract(epoch FROM l.last_success)::double precision FROM last l
        UNION ALL
        SELECT 'empatia_step_last_duration_seconds', 'gauge', 'how long it took', l.labels, l.last_seconds FROM last l;
    RETURN QUERY
        SELECT 'empatia_model_created_timestamp_seconds', 'gauge', 'when the classifier in use was trained', u.labels, extract(epoch FROM u.created_at)::double precision
        FROM (SELECT DISTINCT ON (d.level, d.grain, d.client_id, d.name) d.version, m.created_at,
                     jsonb_strip_nulls(jsonb_build_object('version', m.version::text, 'target', m.target, 'level', d.level, 'grain', d.grain, 'client', m.client, 'model', d.name)) AS labels
              FROM empatia.deployment d LEFT JOIN empatia.model m USING (version) ORDER BY d.level, d.grain, d.client_id, d.name, d.deployment_id DESC) u
        WHERE u.version IS NOT NULL
        UNION ALL
        SELECT 'empatia_model_score', 'gauge', 'out-of-fold score of the classifier in use',
               jsonb_strip_nulls(jsonb_build_object('version', u.version::text, 'level', u.level, 'grain', u.grain, 'client', u.client, 'model', u.name, 'metric', e.key)), (e.value ->> 'pooled')::double precision
        FROM (SELECT DISTINCT ON (d.level, d.grain, d.client_id, d.name) d.version, d.level, d.grain, d.name, m.client, m.metrics
              FROM empatia.deployment d LEFT JOIN empatia.model m USING (version) ORDER BY d.level, d.grain, d.client_id, d.name, d.deployment_id DESC) u, jsonb_each(u.metrics) e
        WHERE e.value ->> 'pooled' IS NOT NULL;
    -- without a warehouse there is no more to say
    IF NOT EXISTS (SELECT FROM empatia.warehouse) THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE empatia._render($q$
        SELECT 'empatia_rejected_rows', 'gauge', 'rows that could not be loaded and are kept with their reason', jsonb_build_object('client', c.code), count(r.client_id)::double precision
        FROM {dw}.client c LEFT JOIN {dw}.reject r USING (client_id) GROUP BY c.code $q$);
    RETURN QUERY EXECUTE empatia._render($q$
        WITH part AS (SELECT b.*, jsonb_build_object('client', c.code, 'level', b.level, 'grain', b.grain) AS labels FROM {results}.cube_build b JOIN {dw}.client c USING (client_id))
        SELECT 'empatia_cube_built_timestamp_seconds', 'gauge', 'when a part of the cube was last brought up to date', p.labels, extract(epoch FROM p.built_at)::double precision FROM part p
        UNION ALL SELECT 'empatia_cube_classified_timestamp_seconds', 'gauge', 'when a part of the cube was last classified', p.labels, extract(epoch FROM p.classified_at)::double precision
                  FROM part p WHERE p.classified_at IS NOT NULL
        UNION ALL SELECT 'empatia_cube_dense_rows', 'gauge', 'members x periods of a part of the cube', p.labels, p.dense_rows::double precision FROM part p
        UNION ALL SELECT 'empatia_cube_stored_rows', 'gauge', 'rows of a part of the cube in which something happened', p.labels, p.stored_rows::double precision FROM part p $q$);
    RETURN QUERY SELECT * FROM empatia._prediction_metrics();
END
$$;
COMMENT ON FUNCTION empatia._metrics() IS 'rows of the view empatia.metric';

CREATE VIEW empatia.metric AS SELECT m.name, m.type, m.help, m.labels, m.value FROM empatia._metrics() m;
COMMENT ON VIEW empatia.metric IS 'what metrics() says, as rows: for exporters that read SQL';

-- Format: https://prometheus.io/docs/instrumenting/exposition_formats (0.0.4). Lines of a metric stand together.
CREATE FUNCTION empatia.metrics() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH line AS (
        SELECT CASE m.type WHEN 'histogram' THEN regexp_replace(m.name, '_(bucket|sum|count)$', '') ELSE m.name END AS name, m.type, m.help, m.labels, m.name || coalesce(
                   (SELECT '{' || string_agg(l.key || '="' || replace(replace(replace(l.value, '\', '\\'), '"', '\"'), E'\n', '\n') || '"', ',' ORDER BY l.key) || '}'
                    FROM jsonb_each_text(m.labels) l), '') || ' '
               || CASE m.value WHEN 'NaN' THEN 'NaN' WHEN 'Infinity' THEN '+Inf' WHEN '-Infinity' THEN '-Inf' ELSE m.value::text END AS text
        FROM empatia._metrics() m WHERE m.value IS NOT NULL),
    family AS (
        SELECT l.name, format(E'# HELP %s %s\n# TYPE %1$s %3$s\n', l.name, replace(replace(min(l.help), '\', '\\'), E'\n', '\n'), min(l.type)) || string_agg(l.text, E'\n' ORDER BY l.labels - 'le', (l.labels ->> 'le')::double precision, l.text) AS text
        FROM line l GROUP BY l.name)
    SELECT string_agg(f.text, E'\n' ORDER BY f.name) || E'\n' FROM family f
$$;
COMMENT ON FUNCTION empatia.metrics() IS 'metrics of loads, builds, models and predictions in the text format of Prometheus';
