-- build_cube(): facts -> sparse cells, one partition per level and grain. Inside a transaction, so readers see the old cube
-- or the new one; rows are replaced, not tables, so they are never blocked.

CREATE TYPE empatia.build_row AS (client text, level text, grain text, date_from date, date_to date, mode text, dense_rows bigint,
    stored_rows bigint, written_rows bigint, left_out jsonb, seconds double precision);
COMMENT ON TYPE empatia.build_row IS 'what build_cube() did with one part of the cube';

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
    before_sync bigint;
    at_change bigint;
    parts empatia.build_part[];
    part empatia.build_part;
    done empatia.build_row;
    native boolean;
    left_out jsonb;
    written text[] := '{}';
    newest date;
    classified jsonb;
    predicted jsonb;
    predictors bigint[];
    reassigned text[];
    reported boolean;
BEGIN
    full_build := coalesce(full_build, false);
    PERFORM empatia._combinations(level, grain);
    FOR who IN SELECT * FROM empatia._clients(client) LOOP
        IF range.range_from IS NULL THEN
            RAISE NOTICE 'there is nothing to build: no facts are loaded and no range is set';
            RETURN;
        END IF;
        IF NOT pg_try_advisory_xact_lock(hashtextextended('empatia.build', who.client_id)) THEN
            PERFORM empatia._fail('lock_not_available', format('another session is building the cube of client "%s"', who.code), 'Wait until it is done.');
        END IF;
        EXECUTE empatia._render('SELECT jsonb_object_agg(b.level || b.grain, b.model_version) FROM {results}.cube_build b WHERE b.client_id = $1 AND b.model_version IS NOT NULL')
            INTO classified USING who.client_id;
        EXECUTE empatia._render('SELECT jsonb_object_agg(b.level || b.grain, (b.date_from, b.date_to, b.dense_rows)::text), array_agg(b.classifier_version) FROM {results}.cube_build b WHERE b.client_id = $1 AND b.classifier_version IS NOT NULL')
            INTO predicted, predictors USING who.client_id;
        PERFORM empatia._begin_changed();
        before_sync := NULL;
        IF empatia._setting_value('assignment_basis') = 'universe'
           AND EXISTS (SELECT FROM empatia.model m WHERE (m.version IN (SELECT v.value::bigint FROM jsonb_each_text(classified) v) OR m.version = ANY (predictors)) AND 'assigned_exercises' = ANY (m.features)) THEN
            before_sync := empatia._begin_reassigned(who.client_id);
        END IF;
        PERFORM empatia._doing(format('build_cube of %s, structure', who.code));
        at_change := empatia._sync_cube(who.client_id, full_build);
        reassigned := CASE WHEN before_sync IS NOT NULL THEN empatia._reassigned_levels(who.client_id, before_sync) ELSE '{}' END;
        left_out := NULL;
        reported := false;
        PERFORM empatia._doing(format('build_cube of %s, changed cells', who.code));
        parts := empatia._plan_parts(who.client_id, level, grain, range.range_from, range.range_to, range.automatic_from, range.automatic_to, full_build);
        native := empatia._is_native(who.client_id);
        IF native THEN
            PERFORM empatia._doing(format('build_cube of %s, cells', who.code));
            SELECT b.parts, b.left_out INTO parts, left_out FROM empatia._build_native(who.client_id, parts) b;
        END IF;
        FOR i IN 1 .. cardinality(parts) LOOP
            IF NOT native AND parts[i].mode <> 'unchanged' THEN
                PERFORM empatia._doing(format('build_cube of %s, %s x %s', who.code, parts[i].level, parts[i].grain));
                parts[i] := empatia._build_sql(who.client_id, parts[i]);
                IF parts[i].mode = 'full' THEN
                    left_out := coalesce(left_out, empatia._left_out(who.client_id, range.range_from, range.range_to));
                END IF;
            END IF;
        END LOOP;
        parts := empatia._finish_parts(who.client_id, parts, at_change);
        FOREACH part IN ARRAY parts LOOP
            reported := reported OR part.mode = 'full';
            -- rows that had a category have one when this commits: readers never see them without
            IF (part.mode <> 'unchanged' OR part.level = ANY (reassigned)) AND classified ? (part.level || part.grain) THEN
                PERFORM empatia._doing(format('build_cube of %s, classes of %s x %s', who.code, part.level, part.grain));
                PERFORM empatia._classify_again(who.client_id, part, (classified ->> (part.level || part.grain))::bigint, native);
            END IF;
            -- so had those with a prediction; where no cell changed there may be new periods or members
            IF predicted ? (part.level || part.grain)
               AND (part.mode <> 'unchanged' OR part.level = ANY (reassigned) OR predicted ->> (part.level || part.grain) <> (part.date_from, part.date_to, part.dense_rows)::text) THEN
                PERFORM empatia._predict_part(who.client_id, part.level, part.grain, true);
            END IF;
            classified := classified - (part.level || part.grain);
            predicted := predicted - (part.level || part.grain);
            -- statistics serve until a tenth of the rows is another, but those of the newest period until it has some rows
            IF part.written_rows + part.deleted_rows > (CASE part.mode WHEN 'full' THEN 0 ELSE 1000 END) + part.stored_rows / 10
               OR part.written_rows > part.deleted_rows AND part.stored_rows > 1000 + 1.005 * (SELECT c.reltuples FROM pg_class c
                      WHERE c.oid = to_regclass(empatia._render('{results}.') || quote_ident(lower(format('cube_%s_%s', part.level, part.grain))))) THEN
                written := written || lower(format('cube_%s_%s', part.level, part.grain));
            END IF;
            done := (who.code, part.level, part.grain, part.date_from, part.date_to, part.mode, part.dense_rows, part.stored_rows, part.written_rows,
                     CASE WHEN reported THEN left_out END, part.seconds);
            RETURN NEXT done;
        END LOOP;
        -- the number of assignments is that of the structure, which parts that this call did not build show, too
        IF reassigned <> '{}' THEN
            PERFORM empatia._classify_again(who.client_id, ROW (l, g, NULL, NULL, NULL, NULL, 'unchanged', NULL, false, 0, NULL, NULL, 0, 0, 0)::empatia.build_part,
                                            (classified ->> (l || g))::bigint, native)
            FROM unnest(reassigned) l, unnest(empatia._grains()) g WHERE classified ? (l || g);
            PERFORM empatia._predict_part(who.client_id, l, g, true) FROM unnest(reassigned) l, unnest(empatia._grains()) g WHERE predicted ? (l || g);
        END IF;
        EXECUTE empatia._render('SELECT greatest($2, max(h.day)) FROM {dw}.change h WHERE h.client_id = $1 AND h.day <= $3') INTO newest USING who.client_id, newest, range.range_to;
        -- changes that every built part contains are of no more use
        EXECUTE empatia._render('DELETE FROM {dw}.change h WHERE h.client_id = $1
            AND h.change_id <= (SELECT min(b.change_id) FROM {results}.cube_build b WHERE b.client_id = $1)') USING who.client_id;
    END LOOP;
    IF written <> '{}' THEN
        PERFORM empatia._doing('build_cube, statistics');
        PERFORM empatia._analyze_cube('cube', written, newest);
    END IF;
    PERFORM empatia._doing(NULL);
END
$$;
COMMENT ON FUNCTION empatia.build_cube(text, text, date, date, text, boolean) IS
    'builds the engagement cube, or brings it up to date where facts changed; no level or grain: every active combination';
