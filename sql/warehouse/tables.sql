-- Dimensions, facts, rejects and the change log: ordinary tables of whoever calls create_warehouse().

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
    starts_at timestamptz,
    PRIMARY KEY (client_id, space_id)
);
COMMENT ON TABLE {dw}.space IS 'level SPA: spaces (disciplina, turma) of a course; students enrol in them';
COMMENT ON COLUMN {dw}.space.starts_at IS 'when its lessons begin, where the source knows: models of outcomes count their early window from here';

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
    attributes jsonb,
    PRIMARY KEY (client_id, enrolment_id)
);
CREATE INDEX ON {dw}.enrolment (client_id, space_id, user_id);
COMMENT ON TABLE {dw}.enrolment IS 'users in spaces; no role recorded = student';
COMMENT ON COLUMN {dw}.enrolment.attributes IS 'what the source knew of the user when the enrolment began, e.g. earlier attempts; goes before what student.attributes says';
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

CREATE TABLE {dw}.student_label (
    label_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id integer NOT NULL REFERENCES {dw}.client,
    level text NOT NULL CHECK (level IN ('ENV', 'CRS', 'SPA', 'SUB', 'LEC')),
    grain text NOT NULL CHECK (grain IN ('WEEK', 'FORTNIGHT', 'MONTH', 'QUARTER', 'SEMESTER', 'YEAR', 'ALL')),
    unit_id bigint NOT NULL,
    user_id bigint NOT NULL,
    period_start date NOT NULL,
    label text NOT NULL CHECK (label <> ''),
    given_by name NOT NULL DEFAULT CURRENT_USER,
    given_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    replaced_at timestamptz
);
CREATE UNIQUE INDEX student_label_present ON {dw}.student_label (client_id, level, grain, unit_id, user_id, period_start) WHERE replaced_at IS NULL;
COMMENT ON TABLE {dw}.student_label IS 'what people say of a student in a unit and period: classes to learn from; set_label() or plain INSERTs write it';
COMMENT ON COLUMN {dw}.student_label.period_start IS 'first day of the period, as the cube has it; a label of no row of the cube takes no part, and train() says how many there are';
COMMENT ON COLUMN {dw}.student_label.replaced_at IS 'when another label took its place or it was withdrawn; null: it holds';

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
    user_id bigint,
    day date,
    only_added boolean NOT NULL DEFAULT false,
    source_id integer,
    added bigint[]
);
CREATE SEQUENCE {dw}.change_id_seq OWNED BY {dw}.change.change_id;
CREATE INDEX ON {dw}.change (client_id, change_id);
COMMENT ON TABLE {dw}.change IS 'what load() changed since the cube was built: build_cube() recomputes these students'' periods';
COMMENT ON COLUMN {dw}.change.user_id IS 'null: every student, since the load saw no cube that would have to be told whose facts it changed';
COMMENT ON COLUMN {dw}.change.day IS 'null: every period of the student; -infinity: assignments of the student changed, perhaps on no day';
COMMENT ON COLUMN {dw}.change.only_added IS 'interactions came and nothing else happened, so that no row of the cube can have gone and no grade be another';
COMMENT ON COLUMN {dw}.change.added IS 'of these interactions, if it is known of which: every one that came on this day with this change, in the same transaction as this row';
COMMENT ON COLUMN {dw}.change.source_id IS 'source of the interactions in added';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._fact_ddl() IS 'DDL of the facts, rejects and change log, as a template';
