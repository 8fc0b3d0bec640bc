-- create_warehouse(): dimensions, facts, cube and the view that BI reads. Ordinary tables of the caller: the extension can
-- be dropped without losing a fact, and pg_dump carries them.

CREATE FUNCTION empatia._dimension_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE {dw}.client (
    client_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE CHECK (code <> ''),
    name text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    added_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE {dw}.client IS 'institutions whose learning platforms feed this warehouse';
COMMENT ON COLUMN {dw}.client.time_zone IS 'IANA name; decides the calendar day of each fact';

CREATE TABLE {dw}.environment (
    client_id integer NOT NULL REFERENCES {dw}.client,
    environment_id bigint NOT NULL,
    name text,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, environment_id)
);
COMMENT ON TABLE {dw}.environment IS 'level ENV: an institution''s environments';

CREATE TABLE {dw}.course (
    client_id integer NOT NULL REFERENCES {dw}.client,
    course_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    name text,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, course_id)
);
COMMENT ON TABLE {dw}.course IS 'level CRS: courses of an environment';

CREATE TABLE {dw}.space (
    client_id integer NOT NULL REFERENCES {dw}.client,
    space_id bigint NOT NULL,
    course_id bigint NOT NULL,
    name text,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, space_id)
);
COMMENT ON TABLE {dw}.space IS 'level SPA: spaces (disciplina, turma) of a course; students enrol in them';

CREATE TABLE {dw}.subject (
    client_id integer NOT NULL REFERENCES {dw}.client,
    subject_id bigint NOT NULL,
    space_id bigint NOT NULL,
    name text,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, subject_id)
);
CREATE INDEX ON {dw}.subject (client_id, space_id);
COMMENT ON TABLE {dw}.subject IS 'level SUB: subjects (módulo) of a space';

CREATE TABLE {dw}.lecture (
    client_id integer NOT NULL REFERENCES {dw}.client,
    lecture_id bigint NOT NULL,
    subject_id bigint NOT NULL,
    name text,
    kind text,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, lecture_id)
);
CREATE INDEX ON {dw}.lecture (client_id, subject_id);
COMMENT ON TABLE {dw}.lecture IS 'level LEC: lectures (aula, mídia) of a subject';

CREATE TABLE {dw}.student (
    client_id integer NOT NULL REFERENCES {dw}.client,
    user_id bigint NOT NULL,
    name text,
    attributes jsonb,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, user_id)
);
COMMENT ON TABLE {dw}.student IS 'users of the platform, teachers included: who is a student is decided per space';
COMMENT ON COLUMN {dw}.student.attributes IS 'what the source knows of the user beyond the name, e.g. gender or region';

CREATE TABLE {dw}.enrolment (
    client_id integer NOT NULL REFERENCES {dw}.client,
    enrolment_id bigint NOT NULL,
    space_id bigint NOT NULL,
    user_id bigint NOT NULL,
    role text,
    enrolled_at timestamptz,
    ended_at timestamptz,
    outcome text,
    PRIMARY KEY (client_id, enrolment_id)
);
CREATE INDEX ON {dw}.enrolment (client_id, space_id, user_id);
COMMENT ON TABLE {dw}.enrolment IS 'users in spaces; no role recorded = student';
COMMENT ON COLUMN {dw}.enrolment.outcome IS 'final result of the enrolment where the source has one';

CREATE TABLE {dw}.environment_role (
    client_id integer NOT NULL REFERENCES {dw}.client,
    environment_role_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    user_id bigint NOT NULL,
    role text,
    PRIMARY KEY (client_id, environment_role_id)
);
CREATE INDEX ON {dw}.environment_role (client_id, environment_id, user_id);
COMMENT ON TABLE {dw}.environment_role IS 'role of a user in an environment';

CREATE TABLE {dw}.interaction_type (
    interaction_type_id smallint PRIMARY KEY,
    code text NOT NULL UNIQUE,
    measure text NOT NULL CHECK (measure IN ('posts', 'post_replies', 'help_requests', 'help_request_replies', 'accesses'))
);
INSERT INTO {dw}.interaction_type VALUES
    (1, 'post', 'posts'), (2, 'post_reply', 'post_replies'), (3, 'help_request', 'help_requests'),
    (4, 'help_request_reply', 'help_request_replies'), (5, 'access', 'accesses');
COMMENT ON TABLE {dw}.interaction_type IS 'kinds of interaction and the measure that each adds its amount to';

CREATE TABLE {dw}.grade_group (
    client_id integer NOT NULL REFERENCES {dw}.client,
    grade_group_id bigint NOT NULL,
    space_id bigint,
    name text,
    weight double precision,
    PRIMARY KEY (client_id, grade_group_id)
);
COMMENT ON TABLE {dw}.grade_group IS 'groups of assignments that are graded together';

CREATE TABLE {dw}.assignment (
    client_id integer NOT NULL REFERENCES {dw}.client,
    source_id integer NOT NULL,
    kind text NOT NULL,
    assignment_id bigint NOT NULL,
    title text,
    opens_at timestamptz,
    due_at timestamptz,
    max_grade double precision,
    weight double precision,
    grade_group_id bigint,
    environment_id bigint,
    course_id bigint,
    space_id bigint,
    subject_id bigint,
    lecture_id bigint,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (client_id, source_id, kind, assignment_id)
);
COMMENT ON TABLE {dw}.assignment IS 'what students are asked to hand in, and the unit it hangs on';
COMMENT ON COLUMN {dw}.assignment.kind IS 'module of the source that the id belongs to: ids of different modules may be equal';

CREATE TABLE {dw}.gradebook (
    client_id integer NOT NULL REFERENCES {dw}.client,
    gradebook_id bigint NOT NULL,
    space_id bigint,
    user_id bigint,
    grade_group_id bigint,
    grade double precision,
    PRIMARY KEY (client_id, gradebook_id)
);
COMMENT ON TABLE {dw}.gradebook IS 'grades of a student per grade group';

CREATE TABLE {dw}.friendship (
    client_id integer NOT NULL REFERENCES {dw}.client,
    friendship_id bigint NOT NULL,
    user_id bigint NOT NULL,
    friend_id bigint NOT NULL,
    status text,
    accepted_at timestamptz,
    PRIMARY KEY (client_id, friendship_id)
);
COMMENT ON TABLE {dw}.friendship IS 'who is connected to whom';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._dimension_ddl() IS 'DDL of the dimensions, as a template';

CREATE FUNCTION empatia._fact_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE {dw}.fact_interaction (
    client_id integer NOT NULL,
    source_id integer NOT NULL,
    interaction_id bigint NOT NULL,
    user_id bigint NOT NULL,
    interaction_type_id smallint NOT NULL,
    amount bigint NOT NULL DEFAULT 1,
    occurred_at timestamptz NOT NULL,
    day date NOT NULL,
    environment_id bigint,
    course_id bigint,
    space_id bigint,
    subject_id bigint,
    lecture_id bigint,
    PRIMARY KEY (client_id, source_id, interaction_id)
) PARTITION BY LIST (client_id);
CREATE INDEX ON {dw}.fact_interaction (user_id, day);
CREATE INDEX ON {dw}.fact_interaction (day);
COMMENT ON TABLE {dw}.fact_interaction IS 'one row per status or click, with the full path of units it hangs on; one partition per client';
COMMENT ON COLUMN {dw}.fact_interaction.day IS 'calendar day of occurred_at in the client''s time zone';
COMMENT ON COLUMN {dw}.fact_interaction.space_id IS 'null: hangs above every space, or on a user''s own wall; counts for no unit';

CREATE TABLE {dw}.fact_assignment (
    client_id integer NOT NULL,
    source_id integer NOT NULL,
    kind text NOT NULL,
    assignment_id bigint NOT NULL,
    user_id bigint NOT NULL,
    assigned_at timestamptz,
    due_at timestamptz,
    submitted_at timestamptz,
    assigned_day date,
    due_day date,
    submitted_day date,
    status text,
    grade double precision,
    max_grade double precision,
    environment_id bigint,
    course_id bigint,
    space_id bigint,
    subject_id bigint,
    lecture_id bigint,
    PRIMARY KEY (client_id, source_id, kind, assignment_id, user_id)
) PARTITION BY LIST (client_id);
CREATE INDEX ON {dw}.fact_assignment (user_id, submitted_day);
CREATE INDEX ON {dw}.fact_assignment (submitted_day);
COMMENT ON TABLE {dw}.fact_assignment IS 'one row per student and assignment, handed in or not; one partition per client';
COMMENT ON COLUMN {dw}.fact_assignment.submitted_at IS 'instant of the first submission; null: never handed in';

CREATE TABLE {dw}.reject (
    reject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id integer NOT NULL REFERENCES {dw}.client,
    source_id integer NOT NULL,
    stream text NOT NULL,
    source_table text NOT NULL,
    source_key text,
    reason text NOT NULL,
    "row" jsonb NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON {dw}.reject (client_id, source_id, stream, source_key);
COMMENT ON TABLE {dw}.reject IS 'rows that could not be loaded, with the reason; load() tries them again every time';

CREATE TABLE {dw}.change (
    client_id integer NOT NULL,
    change_id bigint NOT NULL,
    user_id bigint NOT NULL,
    day date
);
CREATE SEQUENCE {dw}.change_id_seq OWNED BY {dw}.change.change_id;
CREATE INDEX ON {dw}.change (client_id, change_id);
COMMENT ON TABLE {dw}.change IS 'what load() changed since the cube was built: build_cube() recomputes these students'' periods';
COMMENT ON COLUMN {dw}.change.day IS 'null: every period of the student';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._fact_ddl() IS 'DDL of the facts, rejects and change log, as a template';

CREATE FUNCTION empatia._cube_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE {results}.cube_sync (
    client_id integer PRIMARY KEY,
    change_id bigint NOT NULL,
    synced_at timestamptz NOT NULL
);
COMMENT ON TABLE {results}.cube_sync IS 'last change that cube_unit, cube_member and cube_assigned know of';

CREATE TABLE {results}.cube_unit (
    client_id integer NOT NULL,
    level text NOT NULL,
    unit_id bigint NOT NULL,
    member_level text NOT NULL,
    member_unit_id bigint NOT NULL,
    environment_id bigint NOT NULL,
    course_id bigint,
    space_id bigint,
    subject_id bigint,
    lecture_id bigint,
    environment_name text,
    course_name text,
    space_name text,
    subject_name text,
    lecture_name text,
    PRIMARY KEY (client_id, level, unit_id)
);
CREATE INDEX ON {results}.cube_unit (client_id, level, member_unit_id);
CREATE INDEX ON {results}.cube_unit (client_id, level, course_id);
COMMENT ON TABLE {results}.cube_unit IS 'units of the cube, with their path and names';
COMMENT ON COLUMN {results}.cube_unit.member_unit_id IS 'unit whose members are this unit''s members: itself, or the space of a subject or lecture';

CREATE TABLE {results}.cube_member (
    client_id integer NOT NULL,
    level text NOT NULL,
    unit_id bigint NOT NULL,
    user_id bigint NOT NULL,
    PRIMARY KEY (client_id, level, unit_id, user_id)
);
CREATE INDEX ON {results}.cube_member (client_id, user_id);
COMMENT ON TABLE {results}.cube_member IS 'students of each environment, course and space; subjects and lectures have those of their space';

CREATE TABLE {results}.cube_assigned (
    client_id integer NOT NULL,
    level text NOT NULL,
    user_id bigint NOT NULL,
    unit_id bigint NOT NULL,
    assigned_exercises bigint NOT NULL,
    PRIMARY KEY (client_id, level, user_id, unit_id)
);
COMMENT ON TABLE {results}.cube_assigned IS 'how many assignments each member has in each unit; no row: none';

CREATE TABLE {results}.cube_build (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    date_from date NOT NULL,
    date_to date NOT NULL,
    automatic_from boolean NOT NULL,
    automatic_to boolean NOT NULL,
    assignment_basis text NOT NULL,
    first_day_of_week integer NOT NULL,
    change_id bigint NOT NULL,
    stored_rows bigint NOT NULL,
    dense_rows bigint NOT NULL,
    built_at timestamptz NOT NULL,
    model_version bigint,
    classified_at timestamptz,
    PRIMARY KEY (client_id, level, grain)
);
COMMENT ON TABLE {results}.cube_build IS 'what each part of the cube was built from, and when it was classified';
COMMENT ON COLUMN {results}.cube_build.automatic_to IS 'whether date_to was the last day that had a fact, rather than given';
COMMENT ON COLUMN {results}.cube_build.dense_rows IS 'members x periods over all units';
COMMENT ON COLUMN {results}.cube_build.stored_rows IS 'rows with something in them: the only ones that are stored';

CREATE TABLE {results}.cube_period (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL,
    PRIMARY KEY (client_id, level, grain, period_start)
);
COMMENT ON TABLE {results}.cube_period IS 'periods of each built part of the cube';

CREATE TABLE {results}.cube (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    user_id bigint NOT NULL,
    unit_id bigint NOT NULL,
    period_start date NOT NULL,
    posts bigint NOT NULL,
    post_replies bigint NOT NULL,
    help_requests bigint NOT NULL,
    help_request_replies bigint NOT NULL,
    accesses bigint NOT NULL,
    active_days integer NOT NULL,
    assigned_exercises integer NOT NULL,
    submitted_exercises integer NOT NULL,
    late_exercises integer NOT NULL,
    grade_sum double precision NOT NULL,
    grade_count integer NOT NULL
) PARTITION BY LIST (level);
COMMENT ON TABLE {results}.cube IS 'the engagement cube, sparse: a member and period without a row did nothing';
COMMENT ON COLUMN {results}.cube.assigned_exercises IS 'basis due: those due in the period; basis universe: 0, see cube_assigned';
COMMENT ON COLUMN {results}.cube.grade_sum IS 'sum of grade / max_grade over the graded submissions of the period';

CREATE TABLE {results}.cube_class (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    user_id bigint NOT NULL,
    unit_id bigint NOT NULL,
    period_start date NOT NULL,
    class smallint NOT NULL
) PARTITION BY LIST (level);
COMMENT ON TABLE {results}.cube_class IS 'class of each stored cube row; see cube_label';

CREATE TABLE {results}.cube_class_zero (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    assigned_exercises bigint NOT NULL,
    class smallint NOT NULL,
    PRIMARY KEY (client_id, level, grain, assigned_exercises)
);
COMMENT ON TABLE {results}.cube_class_zero IS 'class of the cube rows in which nothing happened: it depends only on how many assignments the member has';

CREATE TABLE {results}.cube_label (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    class smallint NOT NULL,
    label text NOT NULL,
    PRIMARY KEY (client_id, level, grain, class)
);
COMMENT ON TABLE {results}.cube_label IS 'what each class was called when the part of the cube was classified';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._cube_ddl() IS 'DDL of the cube and its classes, as a template';

-- Leaves carry their own primary key: level and grain are constant there and would only widen the index.
CREATE FUNCTION empatia._create_cube_partitions() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    results CONSTANT text := (empatia._warehouse()).results_schema;
    parent text;
    level text;
    grain text;
    branch text;
    leaf text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['cube', 'cube_class'] LOOP
        FOREACH level IN ARRAY empatia._levels() LOOP
            branch := lower(parent || '_' || level);
            EXECUTE format('CREATE TABLE %1$I.%2$I PARTITION OF %1$I.%3$I FOR VALUES IN (%4$L) PARTITION BY LIST (grain)',
                           results, branch, parent, level);
            EXECUTE format('COMMENT ON TABLE %I.%I IS %L', results, branch, format('%s at level %s', parent, level));
            FOREACH grain IN ARRAY empatia._grains() LOOP
                leaf := lower(branch || '_' || grain);
                EXECUTE format('CREATE TABLE %1$I.%2$I PARTITION OF %1$I.%3$I FOR VALUES IN (%4$L)', results, leaf, branch, grain);
                EXECUTE format('ALTER TABLE %I.%I ADD PRIMARY KEY (client_id, user_id, unit_id, period_start)', results, leaf);
                EXECUTE format('COMMENT ON TABLE %I.%I IS %L', results, leaf, format('%s at %s x %s', parent, level, grain));
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._create_cube_partitions() IS 'one partition per level and grain';

CREATE FUNCTION empatia.create_warehouse(schema text DEFAULT 'dw', results text DEFAULT 'analytics')
RETURNS TABLE (schema_name text, created integer, existing integer, message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    w empatia.warehouse;
    tables CONSTANT text := 'SELECT count(*)::integer FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                             WHERE n.nspname = $1 AND c.relkind IN (''r'', ''p'', ''f'', ''v'')';
    part text;
    adopted boolean;
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
            EXECUTE empatia._render('UPDATE {results}.cube_build b SET model_version = NULL');
        END IF;
        FOREACH part IN ARRAY ARRAY[schema, results] LOOP
            schema_name := part;
            created := 0;
            EXECUTE tables INTO existing USING part;
            message := CASE WHEN adopted THEN 'found and taken over: next, SELECT * FROM empatia.add_source(client, adapter, source_schema)'
                            ELSE 'exists already, nothing changed' END;
            RETURN NEXT;
        END LOOP;
        RETURN;
    END IF;
    INSERT INTO empatia.warehouse (dw_schema, results_schema) VALUES (schema, results) ON CONFLICT DO NOTHING;
    PERFORM empatia._fill_configuration();
    FOREACH part IN ARRAY ARRAY[schema, results] LOOP
        IF to_regnamespace(quote_ident(part)) IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I', part);
            EXECUTE format('COMMENT ON SCHEMA %I IS %L', part,
                CASE WHEN part = schema THEN 'Empatia: dimensions and facts' ELSE 'Empatia: the engagement cube and its classes' END);
        END IF;
    END LOOP;
    EXECUTE empatia._render(empatia._dimension_ddl());
    EXECUTE empatia._render(empatia._fact_ddl());
    EXECUTE empatia._render(empatia._cube_ddl());
    PERFORM empatia._create_cube_partitions();
    EXECUTE empatia._render(empatia._results_ddl());
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
