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

-- The units of a client with names, as a query: {units} reads the relations that come before it.
CREATE FUNCTION empatia._present_units_sql(client_id integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$ SELECT empatia._render($q$
        WITH environment AS (SELECT v.client_id, v.environment_id, v.name FROM {dw}.environment v WHERE v.client_id = {client} AND NOT v.removed),
        course AS (SELECT c.client_id, c.course_id, c.name, v.environment_id, v.name AS environment_name
                   FROM environment v JOIN {dw}.course c USING (client_id, environment_id) WHERE NOT c.removed),
        space AS (SELECT s.client_id, s.space_id, s.name, c.environment_id, c.environment_name, c.course_id, c.name AS course_name
                  FROM course c JOIN {dw}.space s USING (client_id, course_id) WHERE NOT s.removed),
        subject AS (SELECT b.client_id, b.subject_id, b.name, s.environment_id, s.environment_name, s.course_id, s.course_name, s.space_id, s.name AS space_name
                    FROM space s JOIN {dw}.subject b USING (client_id, space_id) WHERE NOT b.removed)
        {units}$q$, 'units', empatia._units_sql(), 'client', client_id::text)
$f$;
COMMENT ON FUNCTION empatia._present_units_sql(integer) IS 'query of a client''s units as the warehouse has them now';

CREATE FUNCTION empatia._present_members_sql(client_id integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $f$ SELECT empatia._render($q$
        WITH student AS MATERIALIZED ({students} AND e.client_id = {client})
        SELECT DISTINCT s.client_id, 'ENV' AS level, s.environment_id AS unit_id, s.user_id FROM student s
        UNION ALL SELECT DISTINCT s.client_id, 'CRS', s.course_id, s.user_id FROM student s
        UNION ALL SELECT s.client_id, 'SPA', s.space_id, s.user_id FROM student s$q$,
        'students', empatia._students_sql(), 'client', client_id::text)
$f$;
COMMENT ON FUNCTION empatia._present_members_sql(integer) IS 'query of the students of a client''s environments, courses and spaces as the warehouse has them now';

-- Differences between warehouse and cube; what did not change (has_units, has_members: false) is not read. Each side is read once and hashed: a nested
-- loop or a sort, which the planner may choose over estimates of CTEs, is never right.
CREATE FUNCTION empatia._stage_structure(client_id integer, has_units boolean, has_members boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning SET enable_nestloop = off SET enable_mergejoin = off AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp._unit, pg_temp._member;
    EXECUTE empatia._render($q$
        CREATE TEMP TABLE _unit ON COMMIT DROP AS
        SELECT n.*, o.unit_id AS old_unit, o.level AS old_level, o.space_id AS old_space,
               (n.environment_id, n.course_id, n.space_id, n.subject_id) IS DISTINCT FROM (o.environment_id, o.course_id, o.space_id, o.subject_id) AS moved
        FROM ({present}) n
        FULL JOIN (SELECT * FROM {results}.cube_unit u WHERE u.client_id = {client}) o ON o.level = n.level AND o.unit_id = n.unit_id
        WHERE ({new}) IS DISTINCT FROM ({old}) {limit}$q$,
        'new', replace(empatia._unit_values(), '{row}', 'n'), 'old', replace(empatia._unit_values(), '{row}', 'o'),
        'present', empatia._present_units_sql(client_id), 'client', client_id::text, 'limit', CASE WHEN has_units THEN '' ELSE 'LIMIT 0' END);
    EXECUTE empatia._render($q$
        CREATE TEMP TABLE _member ON COMMIT DROP AS
        SELECT n.*, o.level AS old_level, o.unit_id AS old_unit, o.user_id AS old_user
        FROM ({present}) n
        FULL JOIN (SELECT * FROM {results}.cube_member m WHERE m.client_id = {client}) o ON o.level = n.level AND o.unit_id = n.unit_id AND o.user_id = n.user_id
        WHERE n.level IS NULL OR o.level IS NULL {limit}$q$,
        'present', empatia._present_members_sql(client_id), 'client', client_id::text, 'limit', CASE WHEN has_members THEN '' ELSE 'LIMIT 0' END);
    ANALYZE pg_temp._unit (level, unit_id, old_level, old_unit);
    ANALYZE pg_temp._member;
END
$$;
COMMENT ON FUNCTION empatia._stage_structure(integer, boolean, boolean) IS
    'units and members of a client that differ between warehouse and cube, in the temporary tables _unit and _member; new columns null: gone, old ones null: new';

CREATE FUNCTION empatia._unit_values() RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{row}.client_id, {row}.level, {row}.unit_id, {row}.member_level, {row}.member_unit_id, {row}.environment_id, {row}.course_id, {row}.space_id, {row}.subject_id,
            {row}.lecture_id, {row}.environment_name, {row}.course_name, {row}.space_name, {row}.subject_name, {row}.lecture_name'
$$;
COMMENT ON FUNCTION empatia._unit_values() IS 'columns of cube_unit, in order; {row} is the row''s name';

-- Students whose cells the new structure changes: they joined or left a unit, or a unit of one of their spaces came, went or moved.
CREATE FUNCTION empatia._stage_affected(client_id integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    total bigint;
BEGIN
    DROP TABLE IF EXISTS pg_temp._affected;
    EXECUTE empatia._render($q$
        CREATE TEMP TABLE _affected ON COMMIT DROP AS
        SELECT coalesce(d.user_id, d.old_user) AS user_id FROM pg_temp._member d
        UNION
        SELECT m.user_id FROM {results}.cube_member m
        WHERE m.client_id = {client} AND m.level = 'SPA'
          AND m.unit_id IN (SELECT v.space_id FROM pg_temp._unit d, LATERAL (VALUES (d.space_id), (d.old_space)) v (space_id)
                            WHERE d.moved AND coalesce(d.level, d.old_level) IN ('SUB', 'LEC')) $q$, 'client', client_id::text);
    GET DIAGNOSTICS total = ROW_COUNT;
    ANALYZE pg_temp._affected;
    RETURN total;
END
$$;
COMMENT ON FUNCTION empatia._stage_affected(integer) IS 'students whose units differ between the warehouse and the cube, in _affected; returns their number';

CREATE FUNCTION empatia._log_structure_changes(client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    load_key CONSTANT bigint := hashtextextended('empatia.load', client_id);
BEGIN
    -- Changes are numbered in the order in which they are committed: a number taken beside a load that is not committed would be above
    -- that load's, and its changes would be taken for known. So this waits for the load; one that begins later has higher numbers.
    PERFORM pg_advisory_lock(load_key);
    BEGIN
        EXECUTE empatia._render('INSERT INTO {dw}.change (client_id, change_id, user_id)
            SELECT $1, i.id, a.user_id FROM (SELECT nextval($2) AS id) i, pg_temp._affected a') USING client_id, empatia._render('{dw}.change_id_seq')::regclass;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock(load_key);
        RAISE;
    END;
    PERFORM pg_advisory_unlock(load_key);
END
$$;
COMMENT ON FUNCTION empatia._log_structure_changes(integer) IS 'adds the students of _affected to the change log';

CREATE FUNCTION empatia._write_structure(client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE empatia._render('DELETE FROM {results}.cube_unit o USING pg_temp._unit d WHERE o.client_id = $1 AND o.level = d.old_level AND o.unit_id = d.old_unit') USING client_id;
    EXECUTE empatia._render('INSERT INTO {results}.cube_unit SELECT {values} FROM pg_temp._unit d WHERE d.level IS NOT NULL',
                            'values', replace(empatia._unit_values(), '{row}', 'd'));
    EXECUTE empatia._render('DELETE FROM {results}.cube_member o USING pg_temp._member d
        WHERE o.client_id = $1 AND o.level = d.old_level AND o.unit_id = d.old_unit AND o.user_id = d.old_user') USING client_id;
    EXECUTE empatia._render('INSERT INTO {results}.cube_member SELECT d.client_id, d.level, d.unit_id, d.user_id FROM pg_temp._member d WHERE d.level IS NOT NULL');
    -- cells of members who left go at once, also from parts of the cube that this call does not build
    IF EXISTS (SELECT FROM pg_temp._member d WHERE d.level IS NULL) OR EXISTS (SELECT FROM pg_temp._unit d WHERE d.moved AND d.old_level IS NOT NULL) THEN
        EXECUTE empatia._render($q$
            DELETE FROM {results}.cube c USING pg_temp._affected a
            WHERE c.client_id = $1 AND c.user_id = a.user_id
              AND NOT EXISTS (SELECT FROM {results}.cube_unit u JOIN {results}.cube_member m
                                  ON m.client_id = u.client_id AND m.level = u.member_level AND m.unit_id = u.member_unit_id
                              WHERE u.client_id = c.client_id AND u.level = c.level AND u.unit_id = c.unit_id AND m.user_id = c.user_id) $q$) USING client_id;
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._write_structure(integer) IS 'brings cube_unit and cube_member up to the warehouse by _unit and _member, and removes the cells of _affected that have no place in it';

-- The first build of a client: there is nothing to compare with.
CREATE FUNCTION empatia._write_first_structure(client_id integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error SET enable_nestloop = off SET enable_mergejoin = off AS $$
BEGIN
    EXECUTE empatia._render('DELETE FROM {results}.cube_unit u WHERE u.client_id = $1') USING client_id;
    EXECUTE empatia._render('DELETE FROM {results}.cube_member m WHERE m.client_id = $1') USING client_id;
    EXECUTE empatia._render('INSERT INTO {results}.cube_unit ') || empatia._present_units_sql(client_id);
    EXECUTE empatia._render('INSERT INTO {results}.cube_member ') || empatia._present_members_sql(client_id);
    -- without statistics the planner takes a structure that was just written for empty, and _write_assigned() for a nested loop
    EXECUTE empatia._render('ANALYZE {results}.cube_unit, {results}.cube_member');
END
$$;
COMMENT ON FUNCTION empatia._write_first_structure(integer) IS 'writes cube_unit and cube_member of a client whose cube was never built';

CREATE FUNCTION empatia._everybody_changed(client_id integer, since bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found boolean;
BEGIN
    EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {dw}.change h WHERE h.client_id = $1 AND h.change_id > $2 AND h.user_id IS NULL)') INTO found USING client_id, since;
    RETURN found;
END
$$;
COMMENT ON FUNCTION empatia._everybody_changed(integer, bigint) IS 'whether facts changed after a change and nobody noted whose';

-- Most refreshes have new interactions only: whose assignments are the same the change log tells. Only numbers that differ are written;
-- whose they are is noted in _reassigned, where that is there.
CREATE FUNCTION empatia._write_assigned(client_id integer, since bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = on SET enable_sort = on AS $$
DECLARE
    w CONSTANT empatia.warehouse := empatia._warehouse();
    noting CONSTANT boolean := to_regclass('pg_temp._reassigned') IS NOT NULL;
    who text := 'true';
    users bigint[];
BEGIN
    IF since IS NOT NULL THEN
        EXECUTE empatia._render($q$ SELECT array_agg(DISTINCT h.user_id) FROM {dw}.change h
            WHERE h.client_id = $1 AND h.change_id > $2 AND (h.day IS NULL OR h.day = '-infinity') $q$) INTO users USING client_id, since;
        IF users IS NULL THEN
            RETURN;
        END IF;
        who := '{user} = ANY ($2)';
    ELSIF empatia._is_native(client_id) AND NOT row_security_active(to_regclass(empatia._render('{results}.cube_assigned')))
          AND empatia._count_assigned(client_id, w.dw_schema::text, w.results_schema::text, noting) IS NOT NULL THEN
        RETURN;
    ELSE
        -- everybody's: how many counts there are to compare the planner cannot know, and a loop over both sides takes hours where it thinks few;
        -- to sort them takes four times as long as to hash them
        PERFORM set_config('enable_nestloop', 'off', true), set_config('enable_sort', 'off', true);
    END IF;
    EXECUTE empatia._render($q$
        WITH now AS MATERIALIZED (
            SELECT v.client_id, v.level, v.user_id, v.unit_id, count(*) AS assigned_exercises
            FROM (SELECT f.client_id, f.user_id, unnest('{ENV,CRS,SPA,SUB,LEC}'::text[]) AS level,
                         unnest(ARRAY[f.environment_id, f.course_id, f.space_id, f.subject_id, f.lecture_id]) AS unit_id
                  FROM {dw}.fact_assignment f
                  JOIN {results}.cube_member m ON m.client_id = $1 AND m.level = 'SPA' AND m.unit_id = f.space_id AND m.user_id = f.user_id
                  WHERE f.client_id = $1 AND {whose_facts}) v
            JOIN {results}.cube_unit u ON u.client_id = $1 AND u.level = v.level AND u.unit_id = v.unit_id
            GROUP BY v.client_id, v.level, v.user_id, v.unit_id),
        gone AS (
            DELETE FROM {results}.cube_assigned a WHERE a.client_id = $1 AND {whose_counts}
            AND NOT EXISTS (SELECT FROM now n WHERE (n.level, n.user_id, n.unit_id) = (a.level, a.user_id, a.unit_id))
            RETURNING a.level, a.user_id, a.unit_id),
        written AS (
            INSERT INTO {results}.cube_assigned AS a (client_id, level, user_id, unit_id, assigned_exercises)
            SELECT n.* FROM now n
            WHERE NOT EXISTS (SELECT FROM {results}.cube_assigned a WHERE a.client_id = $1 AND {whose_counts}
                              AND (a.level, a.user_id, a.unit_id, a.assigned_exercises) = (n.level, n.user_id, n.unit_id, n.assigned_exercises))
            ORDER BY n.level, n.user_id, n.unit_id -- as they are read: by part and user
            ON CONFLICT ON CONSTRAINT cube_assigned_pkey DO UPDATE SET assigned_exercises = excluded.assigned_exercises
            RETURNING a.level, a.user_id, a.unit_id)
        {note} SELECT d.level, d.user_id, d.unit_id FROM (TABLE gone UNION ALL TABLE written) d {limit} $q$,
        'whose_facts', replace(who, '{user}', 'f.user_id'), 'whose_counts', replace(who, '{user}', 'a.user_id'),
        'note', CASE WHEN noting THEN 'INSERT INTO pg_temp._reassigned (level, user_id, unit_id)' ELSE '' END,
        'limit', CASE WHEN noting THEN '' ELSE 'LIMIT 0' END) USING client_id, users;
END
$$;
COMMENT ON FUNCTION empatia._write_assigned(integer, bigint) IS 'counts assignments per member and unit, for everybody (since null) or for the students whose assignments changed since; notes in _reassigned, if it is there, which numbers are others';

-- What decides the structure of every client beside the rows of the warehouse; any difference counts.
CREATE FUNCTION empatia._structure_conditions() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    conditions text;
BEGIN
    EXECUTE empatia._render($q$ SELECT jsonb_build_object(
        'excluded_roles', (SELECT jsonb_agg(r.role ORDER BY r.role) FROM empatia.excluded_role r),
        'marks', (SELECT jsonb_agg(s.mark_id ORDER BY s.mark_id) FROM {dw}.structure_change s WHERE s.client_id IS NULL))::text $q$) INTO conditions;
    RETURN conditions;
END
$$;
COMMENT ON FUNCTION empatia._structure_conditions() IS 'what the structure of every client''s cube depends on: excluded roles, and the marks that are nobody''s alone';

CREATE FUNCTION empatia._count_members(client_id integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    counts jsonb;
BEGIN
    EXECUTE empatia._render($q$
        SELECT jsonb_object_agg(v.level, coalesce(c.members, 0))
        FROM unnest(empatia._levels()) v (level)
        LEFT JOIN (SELECT u.level, sum(u.units * m.members) AS members
                   FROM (SELECT u.level, u.member_level, u.member_unit_id, count(*) AS units FROM {results}.cube_unit u WHERE u.client_id = $1 GROUP BY 1, 2, 3) u
                   JOIN (SELECT m.level, m.unit_id, count(*) AS members FROM {results}.cube_member m WHERE m.client_id = $1 GROUP BY 1, 2) m
                       ON m.level = u.member_level AND m.unit_id = u.member_unit_id
                   GROUP BY u.level) c ON c.level = v.level $q$) INTO counts USING client_id;
    RETURN counts;
END
$$;
COMMENT ON FUNCTION empatia._count_members(integer) IS 'members of all units of a client''s cube, per level';

CREATE FUNCTION empatia._sync_cube(client_id integer, full_build boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    since bigint;
    compared_under text;
    -- Conditions and marks are read before the structure: what is committed in between is in the structure already and is looked at once more
    -- by the next call. The other way round it would be forgotten.
    conditions CONSTANT text := empatia._structure_conditions();
    unwatched CONSTANT text[] := empatia._unwatched();
    everything boolean;
    has_units boolean;
    has_members boolean;
    members jsonb;
    now_at bigint;
BEGIN
    EXECUTE empatia._render('SELECT y.change_id, y.conditions, y.members FROM {results}.cube_sync y WHERE y.client_id = $1') INTO since, compared_under, members USING client_id;
    EXECUTE empatia._render($q$
        WITH seen AS (DELETE FROM {dw}.structure_change s WHERE s.client_id = $1 RETURNING s.relation)
        SELECT coalesce(bool_or(c.has_units), false), coalesce(bool_or(c.has_members), false)
        FROM empatia._structure_columns() c WHERE c.relation IN (SELECT s.relation FROM seen s) $q$) INTO has_units, has_members USING client_id;
    everything := compared_under IS DISTINCT FROM conditions;
    IF unwatched IS NOT NULL THEN
        everything := true;
        RAISE NOTICE 'nothing marks changes of %: every build compares all units and members', array_to_string(unwatched, ', ')
            USING HINT = 'SELECT * FROM empatia.create_warehouse() creates the missing triggers.';
    END IF;
    IF since IS NULL THEN
        PERFORM empatia._write_first_structure(client_id);
        members := empatia._count_members(client_id);
    ELSIF has_units OR has_members OR everything THEN
        PERFORM empatia._stage_structure(client_id, has_units OR everything, has_members OR everything);
        IF empatia._stage_affected(client_id) > 0 THEN
            PERFORM empatia._log_structure_changes(client_id);
        END IF;
        IF EXISTS (SELECT FROM pg_temp._unit) OR EXISTS (SELECT FROM pg_temp._member) THEN
            PERFORM empatia._write_structure(client_id);
            members := empatia._count_members(client_id);
        END IF;
        DROP TABLE pg_temp._unit, pg_temp._member, pg_temp._affected;
    END IF;
    EXECUTE empatia._render('SELECT coalesce(max(h.change_id), 0) FROM {dw}.change h WHERE h.client_id = $1') INTO now_at USING client_id;
    now_at := greatest(now_at, since);
    IF since IS NULL OR full_build OR now_at > since THEN
        PERFORM empatia._write_assigned(client_id, CASE WHEN NOT full_build AND NOT empatia._everybody_changed(client_id, since) THEN since END);
    END IF;
    EXECUTE empatia._render('INSERT INTO {results}.cube_sync AS y VALUES ($1, $2, $3, $4, clock_timestamp())
        ON CONFLICT ON CONSTRAINT cube_sync_pkey DO UPDATE
        SET change_id = excluded.change_id, conditions = excluded.conditions, members = excluded.members, synced_at = excluded.synced_at')
        USING client_id, now_at, conditions, members;
    RETURN now_at;
END
$$;
COMMENT ON FUNCTION empatia._sync_cube(integer, boolean) IS 'brings units, members and assignment counts of the cube up to date (full_build: counts of everybody, whatever the change log says); returns the last change that they contain';
