-- What classifiers say of the rows of the cube: ordinary tables of whoever calls create_warehouse(), as the cube's own.

CREATE FUNCTION empatia._prediction_ddl() RETURNS text
LANGUAGE sql IMMUTABLE AS $ddl$ SELECT $tables$
CREATE TABLE {results}.cube_prediction (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    user_id bigint NOT NULL,
    unit_id bigint NOT NULL,
    period_start date NOT NULL,
    class smallint NOT NULL,
    probability double precision NOT NULL,
    reason_1 bigint NOT NULL,
    reason_2 bigint NOT NULL,
    reason_3 bigint NOT NULL
) PARTITION BY LIST (level);
COMMENT ON TABLE {results}.cube_prediction IS 'what the classifier says of a member and period with activity in the periods that it looks at; see cube_prediction_default for the others';
COMMENT ON COLUMN {results}.cube_prediction.class IS 'see cube_label; below zero, so that it is no segment''s';
COMMENT ON COLUMN {results}.cube_prediction.probability IS 'probability of that class';
COMMENT ON COLUMN {results}.cube_prediction.reason_1 IS 'the strongest of three reasons, see cube_reason; 0: none';

CREATE TABLE {results}.cube_prediction_default (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    unit_id bigint NOT NULL,
    period_start date NOT NULL,
    assigned_exercises bigint NOT NULL,
    class smallint NOT NULL,
    probability double precision NOT NULL,
    reason_1 bigint NOT NULL,
    reason_2 bigint NOT NULL,
    reason_3 bigint NOT NULL
) PARTITION BY LIST (level);
COMMENT ON TABLE {results}.cube_prediction_default IS 'what the classifier says of members without activity in the periods that it looks at: all alike but for the number of their assignments';

CREATE TABLE {results}.cube_reason (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    reason_id bigint NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (client_id, level, grain, reason_id)
);
COMMENT ON TABLE {results}.cube_reason IS 'reasons of predictions, in words';
COMMENT ON COLUMN {results}.cube_reason.reason_id IS 'hash of the words';

CREATE TABLE {results}.cube_prediction_unit (
    client_id integer NOT NULL,
    level text NOT NULL,
    grain text NOT NULL,
    unit_id bigint NOT NULL,
    fingerprint bigint NOT NULL,
    PRIMARY KEY (client_id, level, grain, unit_id)
);
COMMENT ON TABLE {results}.cube_prediction_unit IS 'units with predictions';
COMMENT ON COLUMN {results}.cube_prediction_unit.fingerprint IS 'hash of the rows and features that they were made from: where it is the same, so are the predictions';
$tables$ $ddl$;
COMMENT ON FUNCTION empatia._prediction_ddl() IS 'DDL of what classifiers say of the cube, as a template';
