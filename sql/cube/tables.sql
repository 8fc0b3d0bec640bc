-- The cube and its classes: ordinary tables of whoever calls create_warehouse(), partitioned by level and grain.

CREATE FUNCTION empatia._cube_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE {results}.cube_sync (
    client_id integer PRIMARY KEY,
    change_id bigint NOT NULL,
    conditions text NOT NULL,
    members jsonb NOT NULL,
    synced_at timestamptz NOT NULL
);
COMMENT ON TABLE {results}.cube_sync IS 'last change that cube_unit, cube_member and cube_assigned know of';
COMMENT ON COLUMN {results}.cube_sync.conditions IS 'excluded roles, and marks that concern every client, under which cube_unit and cube_member were compared';
COMMENT ON COLUMN {results}.cube_sync.members IS 'members of all units, per level: the rows of one period';

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
    classifier_version bigint,
    classified_at timestamptz,
    seen_change_id bigint,
    PRIMARY KEY (client_id, level, grain)
);
COMMENT ON TABLE {results}.cube_build IS 'what each part of the cube was built from, and when it was classified';
COMMENT ON COLUMN {results}.cube_build.change_id IS 'last change of dw.change that the part contains for certain';
COMMENT ON COLUMN {results}.cube_build.seen_change_id IS 'last change that it may contain: those in between were committed while it was built; null: not known';
COMMENT ON COLUMN {results}.cube_build.automatic_to IS 'whether date_to was the last day that had a fact, rather than given';
COMMENT ON COLUMN {results}.cube_build.dense_rows IS 'members x periods over all units';
COMMENT ON COLUMN {results}.cube_build.model_version IS 'segments that the part was classified with';
COMMENT ON COLUMN {results}.cube_build.classifier_version IS 'classifier that the part was classified with';
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
    -- four bytes beside four, so that a row has no gaps: there are millions
    active_days integer NOT NULL,
    posts bigint NOT NULL,
    post_replies bigint NOT NULL,
    help_requests bigint NOT NULL,
    help_request_replies bigint NOT NULL,
    accesses bigint NOT NULL,
    assigned_exercises integer NOT NULL,
    submitted_exercises integer NOT NULL,
    late_exercises integer NOT NULL,
    grade_count integer NOT NULL,
    grade_sum double precision NOT NULL
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
    FOREACH parent IN ARRAY ARRAY['cube', 'cube_class', 'cube_prediction', 'cube_prediction_default'] LOOP
        FOREACH level IN ARRAY empatia._levels() LOOP
            branch := lower(parent || '_' || level);
            EXECUTE format('CREATE TABLE %1$I.%2$I PARTITION OF %1$I.%3$I FOR VALUES IN (%4$L) PARTITION BY LIST (grain)',
                           results, branch, parent, level);
            EXECUTE format('COMMENT ON TABLE %I.%I IS %L', results, branch, format('%s at level %s', parent, level));
            FOREACH grain IN ARRAY empatia._grains() LOOP
                leaf := lower(branch || '_' || grain);
                EXECUTE format('CREATE TABLE %1$I.%2$I PARTITION OF %1$I.%3$I FOR VALUES IN (%4$L) %5$s', results, leaf, branch, grain,
                               -- room for new versions of a few rows of each page, which then need no new entry in the index
                               CASE parent WHEN 'cube' THEN 'WITH (fillfactor = 90)' ELSE '' END);
                EXECUTE format('ALTER TABLE %I.%I ADD PRIMARY KEY (%s)', results, leaf, CASE parent
                    -- predictions are made and compared unit by unit
                    WHEN 'cube_prediction' THEN 'client_id, unit_id, user_id, period_start'
                    WHEN 'cube_prediction_default' THEN 'client_id, unit_id, period_start, assigned_exercises'
                    ELSE 'client_id, user_id, unit_id, period_start' END);
                EXECUTE format('COMMENT ON TABLE %I.%I IS %L', results, leaf, format('%s at %s x %s', parent, level, grain));
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION empatia._create_cube_partitions() IS 'one partition per level and grain';
