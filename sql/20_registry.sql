-- Registry and run log: written by functions, read by people.

CREATE TABLE empatia.model (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text,
    grain text,
    client_id integer,
    client text,
    name text,
    relation text,
    task text NOT NULL DEFAULT 'segmentation' CHECK (task IN ('segmentation', 'classification')),
    algorithm text NOT NULL,
    target text NOT NULL,
    features text[] NOT NULL,
    parameters jsonb NOT NULL,
    metrics jsonb NOT NULL,
    date_from date,
    date_to date,
    rows bigint NOT NULL,
    distinct_rows bigint NOT NULL,
    seconds double precision NOT NULL,
    seed bigint NOT NULL,
    fingerprint text NOT NULL,
    extension_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    created_by name NOT NULL DEFAULT CURRENT_USER,
    classes text[],
    positive text,
    threshold double precision,
    students bigint,
    recipe jsonb,
    report jsonb,
    encoded bytea NOT NULL,
    evaluation bytea,
    CHECK (task = 'segmentation' OR cardinality(classes) >= 2),
    CHECK ((name IS NULL) = (level IS NOT NULL AND grain IS NOT NULL))
);
CREATE INDEX model_name ON empatia.model (name, version) WHERE name IS NOT NULL;
CREATE INDEX model_combination ON empatia.model (level, grain, client_id, version);
SELECT pg_catalog.pg_extension_config_dump('empatia.model', '');
SELECT pg_catalog.pg_extension_config_dump('empatia.model_version_seq', '');
COMMENT ON TABLE empatia.model IS 'every model that was ever fitted, newest version last; nothing is overwritten';
COMMENT ON COLUMN empatia.model.client IS 'client the model belongs to; null: all clients together';
COMMENT ON COLUMN empatia.model.name IS 'of a model of a table, made by train_table(); null: a model of the cube, which has a level and a grain';
COMMENT ON COLUMN empatia.model.relation IS 'table or view that train_table() read';
COMMENT ON COLUMN empatia.model.task IS 'segmentation: made by kmeans_segments(); classification: made by train() or import_model()';
COMMENT ON COLUMN empatia.model.target IS 'what the model predicts: segment (of a segmentation: what the algorithm found), label, outcome or inactive_next; imported: of an ONNX file';
COMMENT ON COLUMN empatia.model.classes IS 'classes of a classifier';
COMMENT ON COLUMN empatia.model.positive IS 'class that threshold, recall and precision speak of; null: none';
COMMENT ON COLUMN empatia.model.threshold IS 'a row whose probability of the positive class is at least this is called positive; null: the most probable class is taken';
COMMENT ON COLUMN empatia.model.students IS 'students that the training rows are of';
COMMENT ON COLUMN empatia.model.recipe IS 'features of a classifier, as train() was told';
COMMENT ON COLUMN empatia.model.report IS 'everything that training found: scores per metric, threshold and its price, calibration, candidates tried, importances';
COMMENT ON COLUMN empatia.model.evaluation IS 'out-of-fold predictions of the training rows, encoded: what evaluate(), roc_curve() and their like read';
COMMENT ON COLUMN empatia.model.rows IS 'rows of the dense cube the model was fitted on';
COMMENT ON COLUMN empatia.model.distinct_rows IS 'distinct feature vectors among them';
COMMENT ON COLUMN empatia.model.fingerprint IS 'md5 over the distinct feature vectors and their counts';
COMMENT ON COLUMN empatia.model.encoded IS 'recipe, parameters and what the algorithm found; versioned and checksummed';

CREATE TABLE empatia.deployment (
    deployment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text,
    grain text,
    name text,
    client_id integer,
    version bigint REFERENCES empatia.model (version),
    previous_version bigint,
    action text NOT NULL CHECK (action IN ('deploy', 'automatic', 'rollback')),
    reason text,
    deployed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    deployed_by name NOT NULL DEFAULT CURRENT_USER
);
CREATE INDEX deployment_name ON empatia.deployment (name, deployment_id) WHERE name IS NOT NULL;
CREATE INDEX deployment_combination ON empatia.deployment (level, grain, client_id, deployment_id);
SELECT pg_catalog.pg_extension_config_dump('empatia.deployment', '');
SELECT pg_catalog.pg_extension_config_dump('empatia.deployment_deployment_id_seq', '');
COMMENT ON TABLE empatia.deployment IS 'which classifier was in use when: the last row of a level, grain and client rules; nothing is overwritten';
COMMENT ON COLUMN empatia.deployment.client_id IS 'client that the classifier is for; null: every client without one of its own';
COMMENT ON COLUMN empatia.deployment.name IS 'of the model of a table; null: level and grain say what the classifier is for';
COMMENT ON COLUMN empatia.deployment.version IS 'classifier in use from then on; null: none, the segments are the classes';
COMMENT ON COLUMN empatia.deployment.previous_version IS 'what was in use before';
COMMENT ON COLUMN empatia.deployment.action IS 'deploy: deploy() was called; automatic: train() found it better; rollback: rollback() was called';

CREATE TABLE empatia.run (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'failed', 'cancelled')),
    arguments jsonb NOT NULL,
    started_by name NOT NULL DEFAULT CURRENT_USER,
    pid integer NOT NULL DEFAULT pg_catalog.pg_backend_pid(),
    error text
);
SELECT pg_catalog.pg_extension_config_dump('empatia.run', '');
SELECT pg_catalog.pg_extension_config_dump('empatia.run_run_id_seq', '');
COMMENT ON TABLE empatia.run IS 'one row per run_pipeline(); a run whose session died is marked failed by the next run';

CREATE TABLE empatia.run_step (
    run_id bigint NOT NULL REFERENCES empatia.run ON DELETE CASCADE,
    step integer NOT NULL,
    action text NOT NULL,
    client text,
    level text,
    grain text,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'failed', 'cancelled')),
    rows bigint,
    seconds double precision,
    error text,
    PRIMARY KEY (run_id, step)
);
SELECT pg_catalog.pg_extension_config_dump('empatia.run_step', '');
COMMENT ON TABLE empatia.run_step IS 'the steps of each run, committed one by one: other sessions see the progress';
COMMENT ON COLUMN empatia.run_step.rows IS 'load: rows read; build: rows stored; segment: segments; train: rows trained on; classify: rows classified';
CREATE INDEX ON empatia.run_step (run_id) WHERE status = 'running';

CREATE TABLE empatia.step_tally (
    action text NOT NULL,
    client text,
    level text,
    grain text,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    last_success timestamptz,
    last_seconds double precision
);
CREATE UNIQUE INDEX step_tally_key ON empatia.step_tally (action, coalesce(client, ''), coalesce(level, ''), coalesce(grain, ''));
SELECT pg_catalog.pg_extension_config_dump('empatia.step_tally', '');
COMMENT ON TABLE empatia.step_tally IS 'how the steps of all runs ended, and when each one last succeeded: metrics() need not count run_step, from which old runs may be deleted';
COMMENT ON COLUMN empatia.step_tally.rows IS 'rows of the steps that were done';
