-- create_warehouse(): dimensions, facts, cube and the view that BI reads. Ordinary tables of the caller: the extension can
-- be dropped without losing a fact, and pg_dump carries them.

CREATE FUNCTION empatia.create_warehouse(schema text DEFAULT 'dw', results text DEFAULT 'analytics')
RETURNS TABLE (schema_name text, created integer, existing integer, message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    w empatia.warehouse;
    tables CONSTANT text := 'SELECT count(*)::integer FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                             WHERE n.nspname = $1 AND c.relkind IN (''r'', ''p'', ''f'', ''v'')';
    part text;
    adopted boolean;
    unwatched text[];
BEGIN
    IF schema IS NULL OR results IS NULL OR schema = '' OR results = '' OR schema = results
       OR 'empatia' IN (schema, results) OR schema LIKE 'pg\_%' OR results LIKE 'pg\_%' THEN
        PERFORM empatia._fail('invalid_parameter_value',
            format('expected two different schema names of your own, found %s and %s', coalesce(quote_literal(schema), 'null'), coalesce(quote_literal(results), 'null')));
    END IF;
    -- two callers at once: the second waits and then finds the warehouse
    PERFORM pg_advisory_xact_lock(hashtextextended('empatia.create_warehouse', 0));
    SELECT * INTO w FROM empatia.warehouse;
    IF FOUND AND (w.dw_schema, w.results_schema) <> (schema::name, results::name) THEN
        PERFORM empatia._fail('duplicate_object',
            format('this database already has a warehouse, in %I and %I', w.dw_schema, w.results_schema),
            'A database has one warehouse; keep other warehouses in databases of their own.');
    END IF;
    IF to_regclass(format('%I.fact_interaction', schema)) IS NOT NULL AND to_regclass(format('%I.cubo_engajamento', results)) IS NOT NULL THEN
        -- a warehouse without its entry has outlived DROP EXTENSION: models are numbered anew, so its classes are nobody's
        adopted := w.dw_schema IS NULL;
        IF adopted THEN
            INSERT INTO empatia.warehouse (dw_schema, results_schema) VALUES (schema, results);
            PERFORM empatia._fill_configuration();
            PERFORM empatia._fill_feature_text();
            EXECUTE empatia._render('UPDATE {results}.cube_build b SET model_version = NULL, classifier_version = NULL');
        END IF;
        unwatched := empatia._unwatched();
        IF unwatched IS NOT NULL THEN
            PERFORM empatia._watch_structure();
            EXECUTE empatia._render('INSERT INTO {dw}.structure_change (relation) SELECT u.relation FROM unnest($1) u (relation)') USING unwatched;
        END IF;
        FOREACH part IN ARRAY ARRAY[schema, results] LOOP
            schema_name := part;
            created := 0;
            EXECUTE tables INTO existing USING part;
            message := CASE WHEN adopted THEN 'found and taken over: next, SELECT * FROM empatia.add_source(client, adapter, source_schema)'
                            WHEN unwatched IS NOT NULL AND part = schema THEN 'exists already: changes of its units and members are marked again'
                            ELSE 'exists already, nothing changed' END;
            RETURN NEXT;
        END LOOP;
        RETURN;
    END IF;
    INSERT INTO empatia.warehouse (dw_schema, results_schema) VALUES (schema, results) ON CONFLICT DO NOTHING;
    PERFORM empatia._fill_configuration();
    PERFORM empatia._fill_feature_text();
    FOREACH part IN ARRAY ARRAY[schema, results] LOOP
        IF to_regnamespace(quote_ident(part)) IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I', part);
            EXECUTE format('COMMENT ON SCHEMA %I IS %L', part,
                CASE WHEN part = schema THEN 'Empatia: dimensions and facts' ELSE 'Empatia: the engagement cube and its classes' END);
        END IF;
    END LOOP;
    EXECUTE empatia._render(empatia._dimension_ddl());
    EXECUTE empatia._render(empatia._fact_ddl());
    EXECUTE empatia._render(empatia._structure_change_ddl());
    PERFORM empatia._watch_structure();
    EXECUTE empatia._render(empatia._cube_ddl());
    EXECUTE empatia._render(empatia._prediction_ddl());
    PERFORM empatia._create_cube_partitions();
    EXECUTE empatia._render(empatia._results_ddl());
    EXECUTE empatia._render(empatia._risk_ddl());
    FOREACH part IN ARRAY ARRAY[schema, results] LOOP
        schema_name := part;
        EXECUTE tables INTO created USING part;
        existing := 0;
        message := CASE WHEN part = schema THEN 'created: next, SELECT * FROM empatia.add_client(code, name, time_zone)'
                        ELSE 'created: BI reads ' || quote_ident(part) || '.cubo_engajamento' END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia.create_warehouse(text, text) IS 'creates the tables of the warehouse and of the cube, and fills the configuration with its defaults; a second call changes nothing';
