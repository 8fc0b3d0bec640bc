-- The rows of the dense cube as distinct feature vectors with their counts: what every model is fitted on. Stored rows are counted as
-- they are; the rows in which nothing happened are counted arithmetically: members x periods - stored rows, per number of assignments.

CREATE FUNCTION empatia._assigned_sql() RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'CASE b.assignment_basis WHEN ''due'' THEN x.assigned_exercises ELSE coalesce(a.assigned_exercises, 0) END'
$$;
COMMENT ON FUNCTION empatia._assigned_sql() IS 'expression of a stored row''s assigned exercises';

-- $1 client_id or null
CREATE FUNCTION empatia._vectors_sql(level text, grain text, features text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$ SELECT empatia._render($q$
    WITH build AS (
        SELECT b.client_id, b.assignment_basis, b.dense_rows,
               (SELECT count(*) FROM {results}.cube_period p WHERE (p.client_id, p.level, p.grain) = (b.client_id, b.level, b.grain)) AS periods
        FROM {results}.cube_build b WHERE b.level = {level} AND b.grain = {grain} AND ($1 IS NULL OR b.client_id = $1)),
    stored AS (
        SELECT q.client_id, q.universe, {names}, count(*) AS n
        FROM (SELECT x.client_id, coalesce(a.assigned_exercises, 0) AS universe, {stored}
              FROM build b
              JOIN {results}.{cube} x ON x.client_id = b.client_id
              LEFT JOIN {results}.cube_assigned a ON b.assignment_basis = 'universe' AND a.client_id = x.client_id AND a.level = {level}
                                                 AND a.user_id = x.user_id AND a.unit_id = x.unit_id) q
        GROUP BY q.client_id, q.universe, {names}),
    assigned AS (
        SELECT a.client_id, a.assigned_exercises AS universe, count(*) * b.periods AS n
        FROM build b JOIN {results}.cube_assigned a ON b.assignment_basis = 'universe' AND a.client_id = b.client_id AND a.level = {level}
        GROUP BY a.client_id, a.assigned_exercises, b.periods),
    dense AS (
        SELECT d.client_id, d.universe, d.n FROM assigned d
        UNION ALL
        SELECT b.client_id, 0, b.dense_rows - coalesce((SELECT sum(d.n) FROM assigned d WHERE d.client_id = b.client_id), 0) FROM build b),
    zero AS (
        SELECT d.universe, d.n - coalesce((SELECT sum(s.n) FROM stored s WHERE s.client_id = d.client_id AND s.universe = d.universe), 0) AS n
        FROM dense d)
    SELECT {names}, sum(v.n)::double precision AS n
    FROM (SELECT {names}, s.n FROM stored s UNION ALL SELECT {zeros}, z.n FROM zero z WHERE z.n > 0) v
    GROUP BY {names} ORDER BY {names} $q$,
    'stored', (SELECT string_agg(format('(%s)::double precision AS %I', CASE f WHEN 'assigned_exercises' THEN empatia._assigned_sql() ELSE 'x.' || f END, f), ', ' ORDER BY i)
               FROM unnest(features) WITH ORDINALITY u (f, i)),
    'names', (SELECT string_agg(quote_ident(f), ', ' ORDER BY i) FROM unnest(features) WITH ORDINALITY u (f, i)),
    'zeros', (SELECT string_agg(CASE f WHEN 'assigned_exercises' THEN 'z.universe' ELSE '0' END || '::double precision AS ' || quote_ident(f), ', ' ORDER BY i)
              FROM unnest(features) WITH ORDINALITY u (f, i)),
    'cube', lower(format('cube_%s_%s', level, grain)), 'level', quote_literal(level), 'grain', quote_literal(grain))
$f$;
COMMENT ON FUNCTION empatia._vectors_sql(text, text, text[]) IS 'query of the distinct feature vectors of the dense cube and their counts (last column); $1 client_id or null for all';

-- The rows of a part and its classes are read and written by this process where both are ordinary tables of this database and no row
-- security filters what is written. Otherwise queries do it: they go to where the rows are.
CREATE FUNCTION empatia._native_results(level text, grain text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    results CONSTANT text := (empatia._warehouse()).results_schema;
    part CONSTANT text := lower(format('_%s_%s', level, grain));
    tables CONSTANT regclass[] := ARRAY[to_regclass(format('%I.%I', results, 'cube' || part)), to_regclass(format('%I.%I', results, 'cube_class' || part))];
    distributed boolean := false;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition d WHERE d.logicalrelid = ANY ($1))' INTO distributed USING tables;
    END IF;
    IF distributed OR empatia._setting_value('builder') = 'sql'
       OR EXISTS (SELECT FROM pg_class c WHERE c.oid = ANY (tables) AND (c.relkind <> 'r' OR row_security_active(c.oid))) THEN
        RETURN NULL;
    END IF;
    RETURN results;
END
$$;
COMMENT ON FUNCTION empatia._native_results(text, text) IS 'schema of the results where a part is read and written by this process; null: by queries';

CREATE FUNCTION empatia._require_cube(level text, grain text, client_id integer) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    built boolean;
BEGIN
    IF level IS NULL OR grain IS NULL THEN
        PERFORM empatia._fail('null_value_not_allowed', 'expected a level and a grain, found null', 'For example (''SPA'', ''WEEK'').');
    END IF;
    PERFORM empatia._check_combination(level, grain);
    EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {results}.cube_build b WHERE b.level = $1 AND b.grain = $2 AND ($3 IS NULL OR b.client_id = $3))')
        INTO built USING level, grain, client_id;
    IF NOT built THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', format('the cube has no part %s x %s', level, grain),
            format('Run SELECT * FROM empatia.build_cube(%L, %L).', level, grain));
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._require_cube(text, text, integer) IS 'refuses a level and grain that was not built';
