-- The structure of the cube: its units, members and how many assignments each member has. A snapshot of the warehouse, so that readers
-- see structure and cells of the same moment.

CREATE FUNCTION empatia._units_sql() RETURNS text
LANGUAGE sql IMMUTABLE AS $f$ SELECT $q$
    SELECT v.client_id, 'ENV' AS level, v.environment_id AS unit_id, 'ENV' AS member_level, v.environment_id AS member_unit_id,
           v.environment_id, NULL::bigint AS course_id, NULL::bigint AS space_id, NULL::bigint AS subject_id, NULL::bigint AS lecture_id,
           v.name AS environment_name, NULL AS course_name, NULL AS space_name, NULL AS subject_name, NULL AS lecture_name
    FROM environment v
    UNION ALL
    SELECT c.client_id, 'CRS', c.course_id, 'CRS', c.course_id, c.environment_id, c.course_id, NULL, NULL, NULL,
           c.environment_name, c.name, NULL, NULL, NULL
    FROM course c
    UNION ALL
    SELECT s.client_id, 'SPA', s.space_id, 'SPA', s.space_id, s.environment_id, s.course_id, s.space_id, NULL, NULL,
           s.environment_name, s.course_name, s.name, NULL, NULL
    FROM space s
    UNION ALL
    SELECT b.client_id, 'SUB', b.subject_id, 'SPA', b.space_id, b.environment_id, b.course_id, b.space_id, b.subject_id, NULL,
           b.environment_name, b.course_name, b.space_name, b.name, NULL
    FROM subject b
    UNION ALL
    SELECT l.client_id, 'LEC', l.lecture_id, 'SPA', b.space_id, b.environment_id, b.course_id, b.space_id, b.subject_id, l.lecture_id,
           b.environment_name, b.course_name, b.space_name, b.name, l.name
    FROM subject b JOIN {dw}.lecture l ON l.client_id = b.client_id AND l.subject_id = b.subject_id AND NOT l.removed
$q$ $f$;
COMMENT ON FUNCTION empatia._units_sql() IS 'query template over environment, course, space and subject (not removed, with names above them): the units of all levels';

CREATE FUNCTION empatia._stage_structure(client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp._unit, pg_temp._member;
    EXECUTE empatia._render($q$
        CREATE TEMP TABLE _unit ON COMMIT DROP AS
        WITH environment AS (SELECT v.client_id, v.environment_id, v.name FROM {dw}.environment v WHERE v.client_id = {client} AND NOT v.removed),
        course AS (SELECT c.client_id, c.course_id, c.name, v.environment_id, v.name AS environment_name
                   FROM environment v JOIN {dw}.course c USING (client_id, environment_id) WHERE NOT c.removed),
        space AS (SELECT s.client_id, s.space_id, s.name, c.environment_id, c.environment_name, c.course_id, c.name AS course_name
                  FROM course c JOIN {dw}.space s USING (client_id, course_id) WHERE NOT s.removed),
        subject AS (SELECT b.client_id, b.subject_id, b.name, s.environment_id, s.environment_name, s.course_id, s.course_name, s.space_id, s.name AS space_name
                    FROM space s JOIN {dw}.subject b USING (client_id, space_id) WHERE NOT b.removed)
        {units}$q$, 'units', empatia._units_sql(), 'client', client_id::text);
    EXECUTE empatia._render($q$
        CREATE TEMP TABLE _member ON COMMIT DROP AS
        WITH student AS MATERIALIZED ({students} AND e.client_id = {client})
        SELECT DISTINCT s.client_id, v.level, v.unit_id, s.user_id
        FROM student s, LATERAL (VALUES ('ENV', s.environment_id), ('CRS', s.course_id), ('SPA', s.space_id)) v (level, unit_id)$q$,
        'students', empatia._students_sql(), 'client', client_id::text);
    ANALYZE pg_temp._unit;
    ANALYZE pg_temp._member;
END
$$;
COMMENT ON FUNCTION empatia._stage_structure(integer) IS 'the present units and members of a client, in the temporary tables _unit and _member';

-- Students whose cells the new structure changes: they joined or left a unit, or a unit of one of their spaces came, went or moved.
CREATE FUNCTION empatia._log_structure_changes(client_id integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    load_key CONSTANT bigint := hashtextextended('empatia.load', client_id);
    now_at bigint;
BEGIN
    DROP TABLE IF EXISTS pg_temp._affected;
    EXECUTE empatia._render($q$
        CREATE TEMP TABLE _affected ON COMMIT DROP AS
        WITH unit_diff AS (
            SELECT coalesce(n.space_id, o.space_id) AS new_space, coalesce(o.space_id, n.space_id) AS old_space
            FROM (SELECT * FROM pg_temp._unit WHERE level IN ('SUB', 'LEC')) n
            FULL JOIN (SELECT * FROM {results}.cube_unit u WHERE u.client_id = {client} AND u.level IN ('SUB', 'LEC')) o USING (level, unit_id)
            WHERE (n.environment_id, n.course_id, n.space_id, n.subject_id) IS DISTINCT FROM (o.environment_id, o.course_id, o.space_id, o.subject_id)),
        member_diff AS (
            SELECT user_id FROM pg_temp._member n
            FULL JOIN (SELECT * FROM {results}.cube_member m WHERE m.client_id = {client}) o USING (client_id, level, unit_id, user_id)
            WHERE n.ctid IS NULL OR o.client_id IS NULL),
        affected AS (
            SELECT user_id FROM member_diff
            UNION SELECT m.user_id FROM {results}.cube_member m
                  WHERE m.client_id = {client} AND m.level = 'SPA' AND m.unit_id IN (SELECT new_space FROM unit_diff UNION SELECT old_space FROM unit_diff))
        SELECT a.user_id FROM affected a $q$, 'client', client_id::text);
    IF NOT EXISTS (SELECT FROM pg_temp._affected) THEN
        EXECUTE empatia._render('SELECT coalesce(max(h.change_id), 0) FROM {dw}.change h WHERE h.client_id = $1') INTO now_at USING client_id;
        DROP TABLE pg_temp._affected;
        RETURN now_at;
    END IF;
    -- Changes are numbered in the order in which they are committed: a number taken beside a load that is not committed would be above
    -- that load's, and its changes would be taken for known. So this waits for the load; one that begins later has higher numbers.
    PERFORM pg_advisory_lock(load_key);
    BEGIN
        EXECUTE empatia._render('INSERT INTO {dw}.change (client_id, change_id, user_id)
            SELECT $1, i.id, a.user_id FROM (SELECT nextval($2) AS id) i, pg_temp._affected a') USING client_id, empatia._render('{dw}.change_id_seq')::regclass;
        EXECUTE empatia._render('SELECT max(h.change_id) FROM {dw}.change h WHERE h.client_id = $1') INTO now_at USING client_id;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock(load_key);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(load_key);
    DROP TABLE pg_temp._affected;
    RETURN now_at;
END
$$;
COMMENT ON FUNCTION empatia._log_structure_changes(integer) IS 'adds the students to the change log whose units differ between the warehouse and the cube; returns the last change';

CREATE FUNCTION empatia._write_structure(client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE empatia._render('DELETE FROM {results}.cube_unit o WHERE o.client_id = $1
        AND NOT EXISTS (SELECT FROM pg_temp._unit n WHERE (n.level, n.unit_id) = (o.level, o.unit_id) AND n IS NOT DISTINCT FROM o)') USING client_id;
    -- EXCEPT reads each side once; ON CONFLICT tries every row's key, and an anti-join may scan the table that it fills once per row
    EXECUTE empatia._render('INSERT INTO {results}.cube_unit SELECT n.* FROM pg_temp._unit n EXCEPT SELECT o.* FROM {results}.cube_unit o WHERE o.client_id = $1') USING client_id;
    EXECUTE empatia._render('DELETE FROM {results}.cube_member o WHERE o.client_id = $1
        AND NOT EXISTS (SELECT FROM pg_temp._member n WHERE (n.level, n.unit_id, n.user_id) = (o.level, o.unit_id, o.user_id))') USING client_id;
    EXECUTE empatia._render('INSERT INTO {results}.cube_member SELECT n.* FROM pg_temp._member n EXCEPT SELECT o.* FROM {results}.cube_member o WHERE o.client_id = $1') USING client_id;
    -- cells of members who left go at once, also from parts of the cube that this call does not build
    EXECUTE empatia._render($q$
        DELETE FROM {results}.cube c USING (SELECT DISTINCT h.user_id FROM {dw}.change h WHERE h.client_id = $1 AND h.day IS NULL) a
        WHERE c.client_id = $1 AND c.user_id = a.user_id
          AND NOT EXISTS (SELECT FROM {results}.cube_unit u JOIN {results}.cube_member m
                              ON m.client_id = u.client_id AND m.level = u.member_level AND m.unit_id = u.member_unit_id
                          WHERE u.client_id = c.client_id AND u.level = c.level AND u.unit_id = c.unit_id AND m.user_id = c.user_id) $q$) USING client_id;
END
$$;
COMMENT ON FUNCTION empatia._write_structure(integer) IS 'brings cube_unit and cube_member up to _unit and _member';

CREATE FUNCTION empatia._write_assigned(client_id integer, since bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who CONSTANT text := CASE WHEN since IS NULL THEN 'true'
        ELSE '{user} IN (SELECT h.user_id FROM {dw}.change h WHERE h.client_id = $1 AND h.change_id > $2)' END;
BEGIN
    EXECUTE empatia._render('DELETE FROM {results}.cube_assigned a WHERE a.client_id = $1 AND {who}', 'who', replace(who, '{user}', 'a.user_id')) USING client_id, since;
    EXECUTE empatia._render($q$
        INSERT INTO {results}.cube_assigned (client_id, level, user_id, unit_id, assigned_exercises)
        SELECT f.client_id, v.level, f.user_id, v.unit_id, count(*)
        FROM {dw}.fact_assignment f
        JOIN {results}.cube_member m ON m.client_id = $1 AND m.level = 'SPA' AND m.unit_id = f.space_id AND m.user_id = f.user_id,
        LATERAL (VALUES ('ENV', f.environment_id), ('CRS', f.course_id), ('SPA', f.space_id), ('SUB', f.subject_id), ('LEC', f.lecture_id)) v (level, unit_id)
        JOIN {results}.cube_unit u ON u.client_id = $1 AND u.level = v.level AND u.unit_id = v.unit_id
        WHERE f.client_id = $1 AND {who}
        GROUP BY f.client_id, v.level, f.user_id, v.unit_id $q$, 'who', replace(who, '{user}', 'f.user_id')) USING client_id, since;
END
$$;
COMMENT ON FUNCTION empatia._write_assigned(integer, bigint) IS 'counts assignments per member and unit, for everybody (since null) or for the students that changed since';

CREATE FUNCTION empatia._sync_cube(client_id integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    since bigint;
    now_at bigint;
BEGIN
    EXECUTE empatia._render('SELECT y.change_id FROM {results}.cube_sync y WHERE y.client_id = $1') INTO since USING client_id;
    PERFORM empatia._stage_structure(client_id);
    IF since IS NULL THEN
        EXECUTE empatia._render('SELECT coalesce(max(h.change_id), 0) FROM {dw}.change h WHERE h.client_id = $1') INTO now_at USING client_id;
    ELSE
        now_at := greatest(empatia._log_structure_changes(client_id), since);
    END IF;
    PERFORM empatia._write_structure(client_id);
    -- without statistics the planner takes a structure that was just written for empty, and _write_assigned() for a nested loop
    IF since IS NULL THEN
        EXECUTE empatia._render('ANALYZE {results}.cube_unit, {results}.cube_member');
    END IF;
    IF since IS NULL OR now_at > since THEN
        PERFORM empatia._write_assigned(client_id, since);
    END IF;
    EXECUTE empatia._render('INSERT INTO {results}.cube_sync AS y VALUES ($1, $2, clock_timestamp())
        ON CONFLICT ON CONSTRAINT cube_sync_pkey DO UPDATE SET change_id = excluded.change_id, synced_at = excluded.synced_at') USING client_id, now_at;
    DROP TABLE pg_temp._unit, pg_temp._member;
    RETURN now_at;
END
$$;
COMMENT ON FUNCTION empatia._sync_cube(integer) IS 'brings units, members and assignment counts of the cube up to date; returns the last change that they contain';

-- The planner reads the statistics of a partitioned table from the table itself, and autovacuum never gathers those. Without them, or
-- without those of the small tables, it takes the view for a handful of rows and joins millions one by one.
CREATE FUNCTION empatia._analyze_cube(parent text, leaves text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    keys CONSTANT text := '(client_id, level, grain, user_id, unit_id, period_start)';
    leaf text;
    outgrown boolean;
BEGIN
    -- ANALYZE holds its lock until commit: what another session is analysing is left to it, or builds of different clients would wait
    EXECUTE empatia._render('ANALYZE (SKIP_LOCKED) {dw}.client, {results}.cube_build, {results}.cube_period, {results}.cube_class_zero, {results}.cube_label');
    FOREACH leaf IN ARRAY leaves LOOP
        EXECUTE empatia._render('ANALYZE (SKIP_LOCKED) {results}.{leaf} {keys}', 'leaf', quote_ident(leaf), 'keys', keys);
    END LOOP;
    -- the statistics of the whole serve until the parts have doubled: gathering them reads every part
    SELECT p.reltuples < 0 OR (SELECT sum(greatest(c.reltuples, 0)) FROM pg_partition_tree(p.oid) t JOIN pg_class c ON c.oid = t.relid AND t.isleaf) > 2 * p.reltuples
    INTO outgrown FROM pg_class p WHERE p.oid = to_regclass(empatia._render('{results}.') || quote_ident(parent));
    IF outgrown THEN
        EXECUTE empatia._render('ANALYZE (SKIP_LOCKED) {dw}.student, {results}.cube_unit, {results}.cube_member, {results}.cube_assigned, {results}.{parent} {keys}',
                                'parent', quote_ident(parent), 'keys', keys);
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._analyze_cube(text, text[]) IS 'statistics for the joins of the view cubo_engajamento, after some parts of the cube or of its classes were written';
