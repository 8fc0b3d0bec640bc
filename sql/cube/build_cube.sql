-- build_cube(): facts -> sparse cells, one partition per level and grain. Inside a transaction, so readers see the old cube
-- or the new one; rows are replaced, not tables, so they are never blocked.

CREATE TYPE empatia.build_row AS (client text, level text, grain text, date_from date, date_to date, mode text, dense_rows bigint,
    stored_rows bigint, written_rows bigint, left_out jsonb, seconds double precision);
COMMENT ON TYPE empatia.build_row IS 'what build_cube() did with one part of the cube';

-- Cells of one client, level and grain from the facts. {touched}: '' or a join that restricts facts to students and periods.
-- $1 client_id, $2 and $3 range, $4 first day of week
CREATE FUNCTION empatia._cells_sql(level text, grain text, basis text, only_touched boolean) RETURNS text
LANGUAGE sql STABLE AS $f$ SELECT empatia._render($q$
    SELECT $1, {level}, {grain}, e.user_id, e.unit_id, e.period_start,
           sum(e.posts), sum(e.post_replies), sum(e.help_requests), sum(e.help_request_replies), sum(e.accesses),
           count(DISTINCT e.active_day), sum(e.due), sum(e.submitted), sum(e.late), sum(e.grade), sum(e.graded)
    FROM (
        SELECT f.user_id, f.{unit} AS unit_id, empatia.period_start({grain}, f.day, $4, $2) AS period_start, f.day AS active_day,
               CASE WHEN k.measure = 'posts' THEN f.amount ELSE 0 END AS posts,
               CASE WHEN k.measure = 'post_replies' THEN f.amount ELSE 0 END AS post_replies,
               CASE WHEN k.measure = 'help_requests' THEN f.amount ELSE 0 END AS help_requests,
               CASE WHEN k.measure = 'help_request_replies' THEN f.amount ELSE 0 END AS help_request_replies,
               CASE WHEN k.measure = 'accesses' THEN f.amount ELSE 0 END AS accesses,
               0 AS due, 0 AS submitted, 0 AS late, 0::double precision AS grade, 0 AS graded
        FROM {dw}.fact_interaction f {touched_day}
        JOIN {dw}.interaction_type k ON k.interaction_type_id = f.interaction_type_id
        WHERE f.client_id = $1 AND f.day BETWEEN $2 AND $3 AND {member}
        UNION ALL
        SELECT f.user_id, f.{unit}, empatia.period_start({grain}, f.submitted_day, $4, $2), f.submitted_day, 0, 0, 0, 0, 0, 0,
               {in_universe}, CASE WHEN f.submitted_at > f.due_at THEN {in_universe} ELSE 0 END,
               CASE WHEN f.grade / nullif(f.max_grade, 0) IS NOT NULL THEN f.grade / f.max_grade * {in_universe} ELSE 0 END,
               CASE WHEN f.grade / nullif(f.max_grade, 0) IS NOT NULL THEN {in_universe} ELSE 0 END
        FROM {dw}.fact_assignment f {touched_submitted}
        WHERE f.client_id = $1 AND f.submitted_day BETWEEN $2 AND $3 AND {member}
        {due}) e
    GROUP BY e.user_id, e.unit_id, e.period_start $q$,
    -- basis due: a second row per assignment, in the period in which it is due
    'due', CASE basis WHEN 'due' THEN $q$
        UNION ALL
        SELECT f.user_id, f.{unit}, empatia.period_start({grain}, coalesce(f.due_day, f.assigned_day), $4, $2), NULL, 0, 0, 0, 0, 0, 1,
               CASE WHEN f.submitted_day IS NOT NULL THEN 1 ELSE 0 END, CASE WHEN f.submitted_at > f.due_at THEN 1 ELSE 0 END,
               CASE WHEN f.submitted_at IS NOT NULL THEN coalesce(f.grade / nullif(f.max_grade, 0), 0) ELSE 0 END,
               CASE WHEN f.submitted_at IS NOT NULL AND f.grade / nullif(f.max_grade, 0) IS NOT NULL THEN 1 ELSE 0 END
        FROM {dw}.fact_assignment f {touched_due}
        WHERE f.client_id = $1 AND coalesce(f.due_day, f.assigned_day) BETWEEN $2 AND $3 AND {member}$q$ ELSE '' END,
    'touched_day', CASE WHEN only_touched THEN 'JOIN pg_temp._touched h ON h.user_id = f.user_id AND f.day BETWEEN h.period_start AND h.period_end' ELSE '' END,
    'touched_submitted', CASE WHEN only_touched THEN 'JOIN pg_temp._touched h ON h.user_id = f.user_id AND f.submitted_day BETWEEN h.period_start AND h.period_end' ELSE '' END,
    'touched_due', CASE WHEN only_touched THEN 'JOIN pg_temp._touched h ON h.user_id = f.user_id AND coalesce(f.due_day, f.assigned_day) BETWEEN h.period_start AND h.period_end' ELSE '' END,
    'member', $q$f.{unit} IS NOT NULL
          AND (f.space_id, f.user_id) IN (SELECT m.unit_id, m.user_id FROM {results}.cube_member m WHERE m.client_id = $1 AND m.level = 'SPA')
          AND f.{unit} IN (SELECT u.unit_id FROM {results}.cube_unit u WHERE u.client_id = $1 AND u.level = {level})$q$,
    'in_universe', CASE basis WHEN 'due' THEN '0' ELSE '1' END,
    'unit', empatia._unit_column(level), 'level', quote_literal(level), 'grain', quote_literal(grain))
$f$;
COMMENT ON FUNCTION empatia._cells_sql(text, text, text, boolean) IS 'query of the sparse cells of a client at a level and grain; $1 client_id, $2 and $3 range, $4 first day of week';

-- Facts that count for no unit, by reason.
CREATE FUNCTION empatia._left_out(client_id integer, date_from date, date_to date) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counts jsonb;
BEGIN
    EXECUTE empatia._render($q$
        SELECT jsonb_object_agg(c.reason, c.n) FROM (
            SELECT CASE WHEN f.space_id IS NULL THEN 'hangs on no space'
                        WHEN m.user_id IS NULL THEN 'not a student of the space' ELSE 'outside the range' END AS reason, count(*) AS n
            FROM (SELECT i.space_id, i.user_id, i.day FROM {dw}.fact_interaction i WHERE i.client_id = $1
                  UNION ALL SELECT a.space_id, a.user_id, coalesce(a.submitted_day, $2) FROM {dw}.fact_assignment a WHERE a.client_id = $1) f
            LEFT JOIN {results}.cube_member m ON m.client_id = $1 AND m.level = 'SPA' AND m.unit_id = f.space_id AND m.user_id = f.user_id
            WHERE f.space_id IS NULL OR m.user_id IS NULL OR f.day NOT BETWEEN $2 AND $3
            GROUP BY 1) c $q$) INTO counts USING client_id, date_from, date_to;
    RETURN coalesce(counts, '{}');
END
$$;
COMMENT ON FUNCTION empatia._left_out(integer, date, date) IS 'number of facts of a client that count for no unit, per reason';

-- Students and periods to compute again, in pg_temp._touched; null: so many that everything is computed.
CREATE FUNCTION empatia._stage_touched(client_id integer, since bigint, grain text, date_from date, date_to date, first_day integer, stored bigint)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    total bigint;
BEGIN
    DROP TABLE IF EXISTS pg_temp._touched;
    CREATE TEMP TABLE _touched (user_id bigint, period_start date, period_end date) ON COMMIT DROP;
    EXECUTE empatia._render($q$
        INSERT INTO pg_temp._touched
        SELECT DISTINCT c.user_id, p.period_start, p.period_end
        FROM (SELECT DISTINCT h.user_id, h.day FROM {dw}.change h WHERE h.client_id = $1 AND h.change_id > $2) c
        JOIN empatia.periods($3, $4, $5, $6) p ON c.day IS NULL OR c.day BETWEEN p.period_start AND p.period_end $q$)
    USING client_id, since, grain, date_from, date_to, first_day;
    GET DIAGNOSTICS total = ROW_COUNT;
    ANALYZE pg_temp._touched;
    -- beyond a fifth of the cells one pass over all facts is cheaper than that many look-ups
    RETURN CASE WHEN total <= 1000 OR total <= stored / 5 THEN total END;
END
$$;
COMMENT ON FUNCTION empatia._stage_touched(integer, bigint, text, date, date, integer, bigint) IS 'students and periods changed since, in _touched; returns their number, or null when a full build is cheaper';

CREATE FUNCTION empatia._dense_rows(client_id integer, level text, periods bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    total bigint;
BEGIN
    EXECUTE empatia._render($q$
        SELECT coalesce(sum(m.members), 0) * $3
        FROM (SELECT u.member_level, u.member_unit_id, count(*) AS units FROM {results}.cube_unit u WHERE u.client_id = $1 AND u.level = $2 GROUP BY 1, 2) u
        JOIN LATERAL (SELECT u.units * count(*) AS members FROM {results}.cube_member m
                      WHERE m.client_id = $1 AND m.level = u.member_level AND m.unit_id = u.member_unit_id) m ON true $q$)
    INTO total USING client_id, level, periods;
    RETURN total;
END
$$;
COMMENT ON FUNCTION empatia._dense_rows(integer, text, bigint) IS 'members x periods over the units of a level';

-- Whether the cells of a client can be computed in this process: its facts are ordinary tables of this database (those of a
-- foreign or distributed table stay where they are, the query goes there), and no row security filters what is written.
CREATE FUNCTION empatia._is_native(client_id integer) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    facts regclass[];
    distributed boolean := false;
BEGIN
    IF empatia._setting_value('builder') = 'sql' THEN
        RETURN false;
    END IF;
    -- other clients' partitions are none of this one's business
    SELECT array_agg(t.relid) INTO facts
    FROM (VALUES ('fact_interaction'), ('fact_assignment')) f (name), pg_inherits i, pg_class c, pg_partition_tree(c.oid) t
    WHERE i.inhparent = to_regclass(empatia._render('{dw}.') || f.name) AND c.oid = i.inhrelid
      AND pg_get_expr(c.relpartbound, c.oid) ~ format('^DEFAULT$|[( ]%s[,)]', client_id);
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition d WHERE d.logicalrelid = ANY ($1))' INTO distributed
            USING facts || to_regclass(empatia._render('{dw}.fact_interaction')) || to_regclass(empatia._render('{dw}.fact_assignment'));
    END IF;
    RETURN NOT distributed
        AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = ANY (facts) AND c.relkind NOT IN ('r', 'p'))
        AND NOT EXISTS (SELECT FROM pg_partition_tree(to_regclass(empatia._render('{results}.cube'))) t
                        JOIN pg_class c ON c.oid = t.relid WHERE c.relkind NOT IN ('r', 'p') OR row_security_active(c.oid));
END
$$;
COMMENT ON FUNCTION empatia._is_native(integer) IS 'whether build_cube() computes the cells of a client itself, or with a query';

-- How a part has to be brought up to date. full: its old rows are deleted, the cells are still to be written; incremental: done.
CREATE FUNCTION empatia._prepare_part(client_id integer, level text, grain text, range_from date, range_to date, automatic_from boolean, automatic_to boolean, full_build boolean)
RETURNS empatia.build_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    basis CONSTANT text := empatia._setting_value('assignment_basis');
    first_day CONSTANT integer := empatia._setting_value('first_day_of_week')::integer;
    cube CONSTANT text := empatia._render('{results}.') || quote_ident(lower(format('cube_%s_%s', level, grain)));
    classes CONSTANT text := empatia._render('{results}.') || quote_ident(lower(format('cube_class_%s_%s', level, grain)));
    old record;
    done empatia.build_row;
    touched bigint;
BEGIN
    EXECUTE empatia._render('SELECT b.* FROM {results}.cube_build b WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)') INTO old USING client_id, level, grain;
    IF old.client_id IS NOT NULL AND NOT full_build AND old.assignment_basis = basis AND old.first_day_of_week = first_day
       -- days that new facts added to an automatic end of the range hold no facts that the change log does not know
       AND (old.date_from = range_from OR old.automatic_from AND automatic_from AND old.date_from > range_from AND grain <> 'ALL')
       AND (old.date_to = range_to OR old.automatic_to AND automatic_to AND old.date_to < range_to) THEN
        touched := empatia._stage_touched(client_id, old.change_id, grain, range_from, range_to, first_day, old.stored_rows);
    END IF;
    done.level := level;
    done.grain := grain;
    done.date_from := range_from;
    done.date_to := range_to;
    done.written_rows := 0;
    IF touched IS NULL THEN
        done.mode := 'full';
        EXECUTE format('DELETE FROM %s c WHERE c.client_id = $1', classes) USING client_id;
        EXECUTE empatia._render('UPDATE {results}.cube_build b SET model_version = NULL, classified_at = NULL WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)')
            USING client_id, level, grain;
        EXECUTE format('DELETE FROM %s c WHERE c.client_id = $1', cube) USING client_id;
    ELSIF touched > 0 THEN
        done.mode := 'incremental';
        EXECUTE format('DELETE FROM %s c USING pg_temp._touched h WHERE c.client_id = $1 AND c.user_id = h.user_id AND c.period_start = h.period_start', classes) USING client_id;
        EXECUTE format('DELETE FROM %s c USING pg_temp._touched h WHERE c.client_id = $1 AND c.user_id = h.user_id AND c.period_start = h.period_start', cube) USING client_id;
        EXECUTE format('INSERT INTO %s %s', cube, empatia._cells_sql(level, grain, basis, true)) USING client_id, range_from, range_to, first_day;
        GET DIAGNOSTICS done.written_rows = ROW_COUNT;
    ELSE
        done.mode := 'unchanged';
    END IF;
    DROP TABLE IF EXISTS pg_temp._touched;
    done.seconds := extract(epoch FROM clock_timestamp() - began);
    RETURN done;
END
$$;
COMMENT ON FUNCTION empatia._prepare_part(integer, text, text, date, date, boolean, boolean, boolean) IS 'decides how to build one level and grain of a client''s cube, makes room for it, and does it where only some of it changed';

-- The cells of every part that is built whole, from one reading of the facts. The time that this takes is shared out over the
-- parts by their rows.
CREATE FUNCTION empatia._build_native(client_id integer, INOUT parts empatia.build_row[], OUT left_out jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    w CONSTANT empatia.warehouse := empatia._warehouse();
    whole record;
    cells record;
    total bigint := 0;
    taken double precision;
BEGIN
    SELECT array_agg(p.level) AS levels, array_agg(p.grain) AS grains, min(p.date_from) AS date_from, min(p.date_to) AS date_to
    INTO whole FROM unnest(parts) p WHERE p.mode = 'full';
    IF whole.levels IS NULL THEN
        RETURN;
    END IF;
    FOR cells IN SELECT * FROM empatia._build_cells(client_id, w.dw_schema::text, w.results_schema::text, whole.levels, whole.grains, whole.date_from, whole.date_to,
                                                    empatia._setting_value('first_day_of_week')::integer, empatia._setting_value('assignment_basis')) LOOP
        FOR i IN 1 .. cardinality(parts) LOOP
            IF (parts[i].level, parts[i].grain) = (cells.level, cells.grain) THEN
                parts[i].written_rows := cells.written_rows;
            END IF;
        END LOOP;
        total := total + cells.written_rows;
        left_out := jsonb_strip_nulls(jsonb_build_object('hangs on no space', nullif(cells.hang_on_no_space, 0),
            'not a student of the space', nullif(cells.not_student, 0), 'outside the range', nullif(cells.outside_range, 0)));
    END LOOP;
    taken := extract(epoch FROM clock_timestamp() - began);
    FOR i IN 1 .. cardinality(parts) LOOP
        IF parts[i].mode = 'full' THEN
            parts[i].seconds := parts[i].seconds + taken * CASE total WHEN 0 THEN 1.0 / cardinality(whole.levels) ELSE parts[i].written_rows::float8 / total END;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._build_native(integer, empatia.build_row[]) IS 'writes the cells of the parts whose mode is full in one pass; returns the parts with their rows and seconds, and the facts left out';

CREATE FUNCTION empatia._build_sql(client_id integer, part empatia.build_row) RETURNS empatia.build_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
BEGIN
    EXECUTE format('INSERT INTO %s %s', empatia._render('{results}.') || quote_ident(lower(format('cube_%s_%s', part.level, part.grain))),
                   empatia._cells_sql(part.level, part.grain, empatia._setting_value('assignment_basis'), false))
        USING client_id, part.date_from, part.date_to, empatia._setting_value('first_day_of_week')::integer;
    GET DIAGNOSTICS part.written_rows = ROW_COUNT;
    part.seconds := part.seconds + extract(epoch FROM clock_timestamp() - began);
    RETURN part;
END
$$;
COMMENT ON FUNCTION empatia._build_sql(integer, empatia.build_row) IS 'writes the cells of a part whose mode is full with a query';

-- Statistics, periods and the entry in cube_build, once the cells are written.
CREATE FUNCTION empatia._finish_part(client_id integer, part empatia.build_row, automatic_from boolean, automatic_to boolean, at_change bigint) RETURNS empatia.build_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    basis CONSTANT text := empatia._setting_value('assignment_basis');
    first_day CONSTANT integer := empatia._setting_value('first_day_of_week')::integer;
    cube CONSTANT text := empatia._render('{results}.') || quote_ident(lower(format('cube_%s_%s', part.level, part.grain)));
    periods bigint;
BEGIN
    EXECUTE empatia._render('DELETE FROM {results}.cube_period p WHERE (p.client_id, p.level, p.grain) = ($1, $2, $3)
        AND NOT EXISTS (SELECT FROM empatia.periods($3, $4, $5, $6) n WHERE (n.period_start, n.period_end) = (p.period_start, p.period_end))')
        USING client_id, part.level, part.grain, part.date_from, part.date_to, first_day;
    EXECUTE empatia._render('INSERT INTO {results}.cube_period SELECT $1, $2, $3, n.period_start, n.period_end FROM empatia.periods($3, $4, $5, $6) n ON CONFLICT DO NOTHING')
        USING client_id, part.level, part.grain, part.date_from, part.date_to, first_day;
    EXECUTE empatia._render('SELECT count(*) FROM {results}.cube_period p WHERE (p.client_id, p.level, p.grain) = ($1, $2, $3)')
        INTO periods USING client_id, part.level, part.grain;
    part.dense_rows := empatia._dense_rows(client_id, part.level, periods);
    IF part.mode = 'full' THEN
        part.stored_rows := part.written_rows;
    ELSE
        EXECUTE format('SELECT count(*) FROM %s c WHERE c.client_id = $1', cube) INTO part.stored_rows USING client_id;
    END IF;
    EXECUTE empatia._render($q$
        INSERT INTO {results}.cube_build AS b (client_id, level, grain, date_from, date_to, automatic_from, automatic_to, assignment_basis, first_day_of_week, change_id, stored_rows, dense_rows, built_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp())
        ON CONFLICT ON CONSTRAINT cube_build_pkey DO UPDATE SET date_from = excluded.date_from, date_to = excluded.date_to, automatic_from = excluded.automatic_from, automatic_to = excluded.automatic_to,
            assignment_basis = excluded.assignment_basis, first_day_of_week = excluded.first_day_of_week, change_id = excluded.change_id,
            stored_rows = excluded.stored_rows, dense_rows = excluded.dense_rows, built_at = excluded.built_at $q$)
        USING client_id, part.level, part.grain, part.date_from, part.date_to, automatic_from, automatic_to, basis, first_day, at_change, part.stored_rows, part.dense_rows;
    part.seconds := part.seconds + extract(epoch FROM clock_timestamp() - began);
    RETURN part;
END
$$;
COMMENT ON FUNCTION empatia._finish_part(integer, empatia.build_row, boolean, boolean, bigint) IS 'records one level and grain of a client''s cube that was built';

CREATE FUNCTION empatia._combinations(level text, grain text) RETURNS TABLE (combination_level text, combination_grain text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM empatia._warehouse();
    PERFORM empatia._check_combination(level, grain);
    -- a combination that is named in full needs no entry in the configuration
    IF level IS NOT NULL AND grain IS NOT NULL THEN
        RETURN QUERY SELECT level, grain;
        RETURN;
    END IF;
    RETURN QUERY SELECT p.level, p.grain FROM empatia.pipeline p
        WHERE p.active AND ($1 IS NULL OR p.level = $1) AND ($2 IS NULL OR p.grain = $2)
        ORDER BY array_position(empatia._levels(), p.level), array_position(empatia._grains(), p.grain);
    IF NOT FOUND THEN
        PERFORM empatia._fail('object_not_in_prerequisite_state', 'no combination of level and grain is active',
            'Activate one, for example: UPDATE empatia.pipeline SET active = true WHERE grain = ''WEEK''.');
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._combinations(text, text) IS 'the level and grain that were named, or those active in empatia.pipeline';

CREATE FUNCTION empatia._clients(client text) RETURNS TABLE (client_id integer, code text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF client IS NOT NULL THEN
        RETURN QUERY SELECT empatia._client_id(client), client;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE empatia._render('SELECT c.client_id, c.code FROM {dw}.client c ORDER BY c.client_id');
END
$$;
COMMENT ON FUNCTION empatia._clients(text) IS 'the client that was named, or all';

CREATE FUNCTION empatia.build_cube(level text DEFAULT NULL, grain text DEFAULT NULL, date_from date DEFAULT NULL, date_to date DEFAULT NULL,
                                   client text DEFAULT NULL, full_build boolean DEFAULT false)
RETURNS SETOF empatia.build_row
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    who record;
    range CONSTANT record := empatia._range(date_from, date_to);
    at_change bigint;
    parts empatia.build_row[];
    done empatia.build_row;
    native boolean;
    left_out jsonb;
    written text[] := '{}';
    classified text[];
    reported boolean;
BEGIN
    PERFORM empatia._combinations(level, grain);
    FOR who IN SELECT * FROM empatia._clients(client) LOOP
        IF range.range_from IS NULL THEN
            RAISE NOTICE 'there is nothing to build: no facts are loaded and no range is set';
            RETURN;
        END IF;
        IF NOT pg_try_advisory_xact_lock(hashtextextended('empatia.build', who.client_id)) THEN
            PERFORM empatia._fail('lock_not_available', format('another session is building the cube of client "%s"', who.code), 'Wait until it is done.');
        END IF;
        PERFORM empatia._doing(format('build_cube of %s, structure', who.code));
        at_change := empatia._sync_cube(who.client_id);
        left_out := NULL;
        reported := false;
        EXECUTE empatia._render('SELECT array_agg(b.level || b.grain) FROM {results}.cube_build b WHERE b.client_id = $1 AND b.model_version IS NOT NULL')
            INTO classified USING who.client_id;
        PERFORM empatia._doing(format('build_cube of %s, changed cells', who.code));
        parts := ARRAY(SELECT empatia._prepare_part(who.client_id, c.combination_level, c.combination_grain, range.range_from, range.range_to, range.automatic_from, range.automatic_to, full_build)
                       FROM empatia._combinations(level, grain) WITH ORDINALITY c (combination_level, combination_grain, position) ORDER BY c.position);
        native := empatia._is_native(who.client_id);
        IF native THEN
            PERFORM empatia._doing(format('build_cube of %s, cells', who.code));
            SELECT b.parts, b.left_out INTO parts, left_out FROM empatia._build_native(who.client_id, parts) b;
        END IF;
        FOREACH done IN ARRAY parts LOOP
            PERFORM empatia._doing(format('build_cube of %s, %s x %s', who.code, done.level, done.grain));
            IF done.mode = 'full' THEN
                reported := true;
                IF NOT native THEN
                    done := empatia._build_sql(who.client_id, done);
                    left_out := coalesce(left_out, empatia._left_out(who.client_id, range.range_from, range.range_to));
                END IF;
            END IF;
            done := empatia._finish_part(who.client_id, done, range.automatic_from, range.automatic_to, at_change);
            -- rows that had a category have one when this commits: readers never see them without
            IF done.mode <> 'unchanged' AND done.level || done.grain = ANY (classified) AND empatia._model_for(done.level, done.grain, who.client_id) IS NOT NULL THEN
                PERFORM empatia._classify_part(who.client_id, done.level, done.grain);
            END IF;
            done.client := who.code;
            IF done.mode = 'full' OR done.written_rows > 1000 THEN
                written := written || lower(format('cube_%s_%s', done.level, done.grain));
            END IF;
            done.left_out := CASE WHEN reported THEN left_out END;
            RETURN NEXT done;
        END LOOP;
        -- changes that every built part contains are of no more use
        EXECUTE empatia._render('DELETE FROM {dw}.change h WHERE h.client_id = $1
            AND h.change_id <= (SELECT min(b.change_id) FROM {results}.cube_build b WHERE b.client_id = $1)') USING who.client_id;
    END LOOP;
    IF written <> '{}' THEN
        PERFORM empatia._doing('build_cube, statistics');
        PERFORM empatia._analyze_cube('cube', written);
    END IF;
    PERFORM empatia._doing(NULL);
END
$$;
COMMENT ON FUNCTION empatia.build_cube(text, text, date, date, text, boolean) IS
    'builds the engagement cube, or brings it up to date where facts changed; no level or grain: every active combination';
