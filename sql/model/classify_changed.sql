-- A part that was classified and whose cells a build changed has a class for each of them again when the build commits: readers
-- never see rows without. Where few cells changed only those are classified, and those whose number of assignments changed.

-- What an earlier build of the same transaction left in these tables is not this build's. (Asked for by name: DROP IF EXISTS says that it skips.)
CREATE FUNCTION empatia._begin_changed() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['_changed', '_reassigned'] LOOP
        IF to_regclass('pg_temp.' || name) IS NOT NULL THEN
            EXECUTE 'DROP TABLE pg_temp.' || name;
        END IF;
    END LOOP;
    CREATE TEMP TABLE _changed (level text, grain text, user_id bigint, unit_id bigint, period_start date) ON COMMIT DROP;
END
$$;
COMMENT ON FUNCTION empatia._begin_changed() IS 'makes the temporary table _changed, for the keys of cells to classify again';

-- Joined by key, cell by cell: no scan of the part, whatever the statistics of the temporary table.
CREATE FUNCTION empatia._classify_changed(client_id integer, level text, grain text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    cube CONSTANT text := lower(format('cube_%s_%s', level, grain));
    applies CONSTANT bigint := empatia._require_model(level, grain, client_id);
    m empatia.model;
    numbers boolean := true;
BEGIN
    SELECT * INTO m FROM empatia.model r WHERE r.version = applies;
    -- as in _classify_part()
    m.encoded := m.encoded || ''::bytea;
    EXECUTE empatia._render($q$
        DELETE FROM {results}.{classes} k USING pg_temp._changed h
        WHERE (h.level, h.grain) = ({level}, {grain}) AND (k.client_id, k.user_id, k.unit_id, k.period_start) = ($1, h.user_id, h.unit_id, h.period_start) $q$,
        'classes', replace(cube, 'cube_', 'cube_class_'), 'level', quote_literal(level), 'grain', quote_literal(grain)) USING client_id;
    EXECUTE empatia._render($q$
        INSERT INTO {results}.{classes} (client_id, level, grain, user_id, unit_id, period_start, class)
        SELECT x.client_id, x.level, x.grain, x.user_id, x.unit_id, x.period_start, empatia._segment_rank($2, {features})
        FROM (SELECT DISTINCT h.user_id, h.unit_id, h.period_start FROM pg_temp._changed h WHERE (h.level, h.grain) = ({level}, {grain})) h
        JOIN {results}.{cube} x ON (x.client_id, x.user_id, x.unit_id, x.period_start) = ($1, h.user_id, h.unit_id, h.period_start)
        JOIN {results}.cube_build b ON b.client_id = x.client_id AND b.level = {level} AND b.grain = {grain}
        LEFT JOIN {results}.cube_assigned a ON a.client_id = x.client_id AND a.level = {level} AND a.user_id = x.user_id AND a.unit_id = x.unit_id $q$,
        'classes', replace(cube, 'cube_', 'cube_class_'), 'cube', cube, 'features', empatia._feature_expressions(m.features),
        'level', quote_literal(level), 'grain', quote_literal(grain)) USING client_id, m.encoded;
    -- members may have numbers of assignments that nobody had before; where it is noted whose numbers are others, they need not be looked at
    IF to_regclass('pg_temp._reassigned') IS NOT NULL THEN
        SELECT EXISTS (SELECT FROM pg_temp._reassigned r WHERE r.level = $2) INTO numbers;
    END IF;
    IF numbers THEN
        EXECUTE empatia._render($q$
            INSERT INTO {results}.cube_class_zero (client_id, level, grain, assigned_exercises, class)
            SELECT $1, $2, $3, z.n, empatia._segment_rank($5, (SELECT array_agg(CASE f WHEN 'assigned_exercises' THEN z.n ELSE 0 END::double precision ORDER BY i)
                                                               FROM unnest($4) WITH ORDINALITY u (f, i)))
            FROM (SELECT DISTINCT a.assigned_exercises AS n FROM {results}.cube_assigned a WHERE a.client_id = $1 AND a.level = $2
                  EXCEPT SELECT o.assigned_exercises FROM {results}.cube_class_zero o WHERE (o.client_id, o.level, o.grain) = ($1, $2, $3)) z $q$)
            USING client_id, level, grain, m.features, m.encoded;
    END IF;
    EXECUTE empatia._render('DELETE FROM {results}.cube_label l WHERE (l.client_id, l.level, l.grain) = ($1, $2, $3) AND l.class >= 0') USING client_id, level, grain;
    EXECUTE empatia._render('INSERT INTO {results}.cube_label (client_id, level, grain, class, label)
            SELECT $1, $2, $3, s.rank, empatia._label($2, $3, s.rank) FROM empatia._describe_segments($4) s') USING client_id, level, grain, m.encoded;
    EXECUTE empatia._render('UPDATE {results}.cube_build b SET classified_at = clock_timestamp() WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)') USING client_id, level, grain;
END
$$;
COMMENT ON FUNCTION empatia._classify_changed(integer, text, text) IS 'classifies the cells of a client, level and grain that _changed names';

-- Before the structure of the cube is brought up to date; returns the last change before that.
CREATE FUNCTION empatia._begin_reassigned(client_id integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last bigint;
BEGIN
    CREATE TEMP TABLE _reassigned (level text, user_id bigint, unit_id bigint) ON COMMIT DROP;
    EXECUTE empatia._render('SELECT coalesce(max(h.change_id), 0) FROM {dw}.change h WHERE h.client_id = $1') INTO last USING client_id;
    RETURN last;
END
$$;
COMMENT ON FUNCTION empatia._begin_reassigned(integer) IS 'makes the temporary table _reassigned, for the members and units whose number of assignments is about to be another; returns the last change of the client';

-- After it. Who joined or left a unit may be the first there with that number of assignments, or none.
CREATE FUNCTION empatia._reassigned_levels(client_id integer, since bigint) RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved boolean;
BEGIN
    EXECUTE empatia._render('SELECT EXISTS (SELECT FROM {dw}.change h WHERE h.client_id = $1 AND h.change_id > $2 AND h.day IS NULL)') INTO moved USING client_id, since;
    ANALYZE pg_temp._reassigned;
    RETURN CASE WHEN moved THEN empatia._levels() ELSE ARRAY(SELECT DISTINCT r.level FROM pg_temp._reassigned r) END;
END
$$;
COMMENT ON FUNCTION empatia._reassigned_levels(integer, bigint) IS 'levels of the members and units in _reassigned, or all where members of units changed after a change';

-- Cells are the same where only the number of assignments changed, but their class depends on it.
CREATE FUNCTION empatia._note_reassigned(client_id integer, level text, grain text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_mergejoin = off AS $$
BEGIN
    EXECUTE empatia._render($q$
        INSERT INTO pg_temp._changed (level, grain, user_id, unit_id, period_start)
        SELECT $2, $3, x.user_id, x.unit_id, x.period_start
        FROM (SELECT DISTINCT r.user_id, r.unit_id FROM pg_temp._reassigned r WHERE r.level = $2) d
        JOIN {results}.{cube} x ON (x.client_id, x.user_id, x.unit_id) = ($1, d.user_id, d.unit_id) $q$,
        'cube', quote_ident(lower(format('cube_%s_%s', level, grain)))) USING client_id, level, grain;
END
$$;
COMMENT ON FUNCTION empatia._note_reassigned(integer, text, text) IS 'adds the cells of the members and units of _reassigned to _changed';

-- version: of the model that classified the part; native: whether _changed is there.
CREATE FUNCTION empatia._classify_again(client_id integer, part empatia.build_part, version bigint, native boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    applies CONSTANT bigint := empatia._model_for(part.level, part.grain, client_id);
BEGIN
    IF native AND applies = version AND part.written_rows + part.deleted_rows <= part.keep_changed THEN
        IF to_regclass('pg_temp._reassigned') IS NOT NULL THEN
            PERFORM empatia._note_reassigned(client_id, part.level, part.grain);
        END IF;
        PERFORM empatia._classify_changed(client_id, part.level, part.grain);
        RETURN;
    END IF;
    IF native THEN
        EXECUTE format('DELETE FROM %s k WHERE k.client_id = $1', empatia._render('{results}.') || quote_ident(lower(format('cube_class_%s_%s', part.level, part.grain))))
            USING client_id;
        EXECUTE empatia._render('UPDATE {results}.cube_build b SET model_version = NULL, classified_at = NULL WHERE (b.client_id, b.level, b.grain) = ($1, $2, $3)')
            USING client_id, part.level, part.grain;
    END IF;
    IF applies IS NOT NULL THEN
        PERFORM empatia._classify_part(client_id, part.level, part.grain);
    END IF;
END
$$;
COMMENT ON FUNCTION empatia._classify_again(integer, empatia.build_part, bigint, boolean) IS 'classifies a part whose cells changed since it was classified: the changed cells, or all where they are many or the model is another';
