-- Segments: weighted K-Means, a Gaussian mixture or DBSCAN on the distinct feature vectors of the dense cube.

CREATE TYPE empatia.segment_row AS (model_version bigint, client text, level text, grain text, rank integer, label text, size bigint,
    share double precision, score double precision, centroid jsonb);
COMMENT ON TYPE empatia.segment_row IS 'a segment: its label, size over the dense cube, engagement score and centroid in original units';

CREATE TYPE empatia.segment_profile_row AS (model_version bigint, client text, level text, grain text, rank integer, label text, size bigint,
    share double precision, score double precision, centroid jsonb, standardised jsonb, inertia double precision,
    silhouette double precision, silhouette_sample bigint, davies_bouldin double precision, calinski_harabasz double precision);
COMMENT ON TYPE empatia.segment_profile_row IS 'a segment with the quality of its model; silhouette_sample null: computed over every row';

CREATE TYPE empatia.choose_k_row AS (level text, grain text, k integer, segments integer, inertia double precision, silhouette double precision,
    silhouette_sample bigint, davies_bouldin double precision, calinski_harabasz double precision, elbow boolean, recommended boolean);
COMMENT ON TYPE empatia.choose_k_row IS 'one candidate number of segments; recommended: highest silhouette';

CREATE FUNCTION empatia._label(level text, grain text, rank integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT l.label FROM empatia.label_rank l
                     WHERE l.rank = $3 AND l.level IN ($1, '*') AND l.grain IN ($2, '*')
                     -- a row for the level and grain goes before one for the level, and that before one for the grain
                     ORDER BY l.level = '*', l.grain = '*' LIMIT 1),
                    CASE rank WHEN 0 THEN 'ruído' ELSE 'segmento ' || $3 END)
$$;
COMMENT ON FUNCTION empatia._label(text, text, integer) IS 'label of a rank at a level and grain; rank 0 is the noise of DBSCAN';

CREATE FUNCTION empatia._features(level text, grain text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT p.features FROM empatia.pipeline p WHERE p.level = $1 AND p.grain = $2),
                    ARRAY['posts', 'post_replies', 'help_requests', 'help_request_replies', 'assigned_exercises', 'submitted_exercises'])
$$;
COMMENT ON FUNCTION empatia._features(text, text) IS 'features of the segments of a level and grain';

CREATE FUNCTION empatia._by_feature(features text[], numbers double precision[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_object_agg(f, n) FROM unnest(features, numbers) u (f, n)
$$;
COMMENT ON FUNCTION empatia._by_feature(text[], double precision[]) IS 'numbers by the name of their feature';

CREATE FUNCTION empatia._fit_part(level text, grain text, k integer, client text, seed bigint, n_init integer, max_iter integer, tolerance double precision,
    algorithm text, options jsonb)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    features CONSTANT text[] := empatia._features(level, grain);
    clusters CONSTANT integer := coalesce(k, (SELECT p.k FROM empatia.pipeline p WHERE p.level = $1 AND p.grain = $2), 4);
    results CONSTANT text := empatia._native_results(level, grain);
    weights double precision[];
    fitted record;
    new_version bigint;
    range record;
BEGIN
    PERFORM empatia._require_cube(level, grain, id);
    EXECUTE empatia._render('SELECT min(b.date_from) AS first, max(b.date_to) AS last, sum(b.dense_rows) AS dense_rows FROM {results}.cube_build b
            WHERE b.level = $1 AND b.grain = $2 AND ($3 IS NULL OR b.client_id = $3)') INTO range USING level, grain, id;
    IF range.dense_rows = 0 THEN
        -- a platform need not have units of every level: that is no fault of its data
        RAISE NOTICE '% x %: no segments, for no unit of this level has a member', level, grain;
        RETURN NULL;
    END IF;
    SELECT array_agg(coalesce(w.weight, 0) ORDER BY u.i) INTO weights
    FROM unnest(features) WITH ORDINALITY u (f, i) LEFT JOIN empatia.score_weight w ON w.measure = u.f;
    SELECT * INTO fitted FROM empatia._fit_segments(CASE WHEN results IS NULL THEN empatia._vectors_sql(level, grain, features) ELSE '' END, id, features, weights, clusters, seed, n_init, max_iter, tolerance,
        algorithm, options, results, level, grain);
    IF fitted.n_clusters < clusters AND algorithm <> 'dbscan' THEN
        RAISE NOTICE '% x %: % instead of % segments, for there are no more distinct rows', level, grain, fitted.n_clusters, clusters;
    END IF;
    INSERT INTO empatia.model (level, grain, client_id, client, algorithm, target, features, parameters, metrics, date_from, date_to,
                               rows, distinct_rows, seconds, seed, fingerprint, extension_version, encoded)
    VALUES (level, grain, id, client, algorithm, 'segment', features,
            fitted.parameters || jsonb_build_object('score_weights', empatia._by_feature(features, weights)), fitted.metrics,
            range.first, range.last, fitted.total_rows, fitted.distinct_rows, extract(epoch FROM clock_timestamp() - began),
            seed, fitted.fingerprint, empatia.version(), fitted.encoded)
    RETURNING version INTO new_version;
    RETURN new_version;
END
$$;
COMMENT ON FUNCTION empatia._fit_part(text, text, integer, text, bigint, integer, integer, double precision, text, jsonb) IS 'fits and registers the segments of one level and grain; returns the model version, null where there are no rows';

CREATE FUNCTION empatia._segments(model_version bigint) RETURNS SETOF empatia.segment_row
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.version, m.client, m.level, m.grain, s.rank, empatia._label(m.level, m.grain, s.rank), s.size,
           s.size::double precision / nullif(m.rows, 0), s.score + 0.0 /* never -0 */, empatia._by_feature(m.features, s.centroid)
    FROM empatia.model m, empatia._describe_segments(m.encoded) s WHERE m.version = $1 ORDER BY s.rank = 0, s.rank
$$;
COMMENT ON FUNCTION empatia._segments(bigint) IS 'segments of a model, best first, noise last';

CREATE FUNCTION empatia.kmeans_segments(level text DEFAULT NULL, grain text DEFAULT NULL, k integer DEFAULT NULL, client text DEFAULT NULL,
    seed bigint DEFAULT 42, n_init integer DEFAULT NULL, max_iter integer DEFAULT 300, tolerance double precision DEFAULT 1e-4,
    algorithm text DEFAULT 'kmeans', options jsonb DEFAULT '{}')
RETURNS SETOF empatia.segment_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
    version bigint;
BEGIN
    IF k < 1 OR k > 1000 THEN
        PERFORM empatia._fail('invalid_parameter_value', format('k must be within 1..1000, not %s', k));
    END IF;
    IF seed IS NULL OR max_iter IS NULL OR tolerance IS NULL OR algorithm IS NULL OR options IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'seed, max_iter, tolerance, algorithm and options must not be null', 'Leave them out to get their defaults.');
    END IF;
    IF algorithm = 'dbscan' AND (k IS NOT NULL OR n_init IS NOT NULL) THEN
        PERFORM empatia._fail('invalid_parameter_value', 'dbscan has neither k nor n_init: it finds the number of segments itself',
            'Leave them out; options => ''{"eps": 0.5, "min_points": 20}'' says how dense a segment is.');
    END IF;
    FOR part IN SELECT * FROM empatia._combinations(level, grain) LOOP
        PERFORM empatia._doing(format('segments of %s x %s', part.combination_level, part.combination_grain));
        version := empatia._fit_part(part.combination_level, part.combination_grain, k, client, seed, n_init, max_iter, tolerance,
            algorithm, options);
        RETURN QUERY SELECT s.* FROM empatia._segments(version) s;
    END LOOP;
    PERFORM empatia._doing(NULL);
END
$$;
COMMENT ON FUNCTION empatia.kmeans_segments(text, text, integer, text, bigint, integer, integer, double precision, text, jsonb) IS
    'discovers the segments of a level and grain (or of every active combination) and registers the model; client: a model of that client alone; n_init null: 10 starts, or 100 where those of kmeans disagree; algorithm: kmeans, gmm (options: regularisation, covariance), dbscan (options: eps, min_points)';

-- The newest model that applies: the client's own before the one of all clients.
CREATE FUNCTION empatia._model_for(level text, grain text, client_id integer) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.version FROM empatia.model m
    WHERE m.level = $1 AND m.grain = $2 AND m.task = 'segmentation' AND (m.client_id = $3 OR m.client_id IS NULL)
    ORDER BY m.client_id IS NULL, m.version DESC LIMIT 1
$$;
COMMENT ON FUNCTION empatia._model_for(text, text, integer) IS 'version of the model that classifies a client at a level and grain; null where there is none';

CREATE FUNCTION empatia._require_model(level text, grain text, client_id integer) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    version CONSTANT bigint := empatia._model_for(level, grain, client_id);
BEGIN
    IF version IS NULL THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('there is no model for %s x %s', level, grain),
            format('Run SELECT * FROM empatia.kmeans_segments(%L, %L).', level, grain));
    END IF;
    RETURN version;
END
$$;
COMMENT ON FUNCTION empatia._require_model(text, text, integer) IS 'the model that applies, or an error that says how to make one';

CREATE FUNCTION empatia.segment_profile(level text, grain text, client text DEFAULT NULL) RETURNS SETOF empatia.segment_profile_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    applies bigint;
    m empatia.model;
    judged record;
BEGIN
    PERFORM empatia._require_cube(level, grain, id);
    applies := empatia._require_model(level, grain, id);
    SELECT * INTO m FROM empatia.model r WHERE r.version = applies;
    SELECT * INTO judged FROM empatia._judge_segments(empatia._vectors_sql(level, grain, m.features), id, m.encoded, empatia._native_results(level, grain), level, grain);
    RETURN QUERY
        SELECT m.version, m.client, m.level, m.grain, s.rank, empatia._label(m.level, m.grain, s.rank), s.size,
               s.size::double precision / nullif(m.rows, 0), s.score + 0.0 /* never -0 */, empatia._by_feature(m.features, s.centroid),
               empatia._by_feature(m.features, s.standardised), (m.metrics ->> 'inertia')::double precision,
               judged.silhouette, judged.silhouette_sample, judged.davies_bouldin, judged.calinski_harabasz
        FROM empatia._describe_segments(m.encoded) s ORDER BY s.rank = 0, s.rank;
END
$$;
COMMENT ON FUNCTION empatia.segment_profile(text, text, text) IS
    'segments of the model in use, with centroids (original and standardised) and indices of quality computed over the present cube';

CREATE FUNCTION empatia.choose_k(level text, grain text, k_min integer DEFAULT 2, k_max integer DEFAULT 8, client text DEFAULT NULL,
    seed bigint DEFAULT 42, n_init integer DEFAULT 10)
RETURNS SETOF empatia.choose_k_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id CONSTANT integer := CASE WHEN client IS NOT NULL THEN empatia._client_id(client) END;
    features CONSTANT text[] := empatia._features(level, grain);
BEGIN
    PERFORM empatia._require_cube(level, grain, id);
    IF k_min IS NULL OR k_max IS NULL OR seed IS NULL OR n_init IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'k_min, k_max, seed and n_init must not be null', 'Leave them out to get their defaults.');
    END IF;
    PERFORM empatia._doing(format('choose_k of %s x %s', level, grain));
    RETURN QUERY SELECT level, grain, t.k, t.n_clusters, t.inertia, t.silhouette, t.silhouette_sample, t.davies_bouldin, t.calinski_harabasz, t.elbow, t.recommended
        FROM empatia._try_k(empatia._vectors_sql(level, grain, features), id, features, k_min, k_max, seed, n_init, empatia._native_results(level, grain), level, grain) t;
    PERFORM empatia._doing(NULL);
END
$$;
COMMENT ON FUNCTION empatia.choose_k(text, text, integer, integer, text, bigint, integer) IS
    'K-Means for every k from k_min to k_max, with inertia, silhouette, Davies-Bouldin and Calinski-Harabasz, and a recommendation';
