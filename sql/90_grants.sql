-- Who may do what. Reading the configuration is harmless; the registry and the run log name people and errors; writing is an
-- operator's. The tables of the warehouse belong to whoever called create_warehouse().

GRANT USAGE ON SCHEMA empatia TO PUBLIC;
GRANT SELECT ON empatia.warehouse, empatia.setting, empatia.pipeline, empatia.label_rank, empatia.score_weight, empatia.excluded_role, empatia.feature_text,
    empatia.adapter, empatia.relation_column, empatia.dataset TO PUBLIC;
GRANT SELECT ON empatia.metric, empatia.model, empatia.deployment, empatia.run, empatia.run_step, empatia.step_tally, empatia.source, empatia.source_cursor TO empatia_reader;
GRANT INSERT, UPDATE, DELETE ON empatia.warehouse, empatia.setting, empatia.pipeline, empatia.label_rank, empatia.score_weight, empatia.excluded_role, empatia.feature_text,
    empatia.adapter, empatia.dataset, empatia.source, empatia.source_cursor, empatia.deployment, empatia.run, empatia.run_step, empatia.step_tally TO empatia_operator;
-- Nobody writes a model in another's name, nor changes one: who made it decides what SQL retrain_table() runs.
GRANT DELETE, INSERT (level, grain, client_id, client, name, relation, task, algorithm, target, features, parameters, metrics, date_from, date_to, rows, distinct_rows, seconds, seed,
    fingerprint, extension_version, classes, positive, threshold, students, recipe, report, encoded, evaluation) ON empatia.model TO empatia_operator;

-- Functions made in Rust get their comment here, beside those made in SQL.
COMMENT ON FUNCTION empatia.version() IS 'version of the loaded library; newer than the extension''s until ALTER EXTENSION empatia UPDATE';
COMMENT ON FUNCTION empatia.source_id(text) IS 'stable id of a source''s own key: the number itself where it is one of up to 15 digits, else a hash in 2^52..2^53';
COMMENT ON FUNCTION empatia._to_bigint(text) IS 'an integer, also one written 12.0; null for anything else';
COMMENT ON FUNCTION empatia._to_double(text) IS 'a finite number; null for anything else';
COMMENT ON FUNCTION empatia._to_boolean(text) IS 'true or false in their usual spellings; null for anything else';
COMMENT ON FUNCTION empatia._parse_instant(text) IS 'instant of an ISO 8601 text with an offset; null for anything else';
COMMENT ON FUNCTION empatia._parse_local(text) IS 'wall-clock time of an ISO 8601 text without an offset; null for anything else';
COMMENT ON FUNCTION empatia._cube_features(text, text, text, integer, jsonb, bigint) IS 'features of every row of a client''s part of the cube, or of one unit of it, as a recipe says: what a classifier sees';
COMMENT ON FUNCTION empatia._train_cube(text, text, text, integer, jsonb, jsonb, jsonb, double precision) IS 'trains a classifier on the rows of a part of the cube; returns the encoded model, its predictions out of fold and a report';
COMMENT ON FUNCTION empatia._student_key(integer, bigint) IS 'the number by which the predictions that a training keeps know a student';
COMMENT ON FUNCTION empatia._fit_segments(text, integer, text[], double precision[], integer, bigint, integer, integer, double precision, text, jsonb, text, text, text) IS 'K-Means, a Gaussian mixture or DBSCAN on the vectors of a query, or of a part of the cube; returns the encoded model';
COMMENT ON FUNCTION empatia._describe_segments(bytea) IS 'segments of an encoded model, best first, noise last';
COMMENT ON FUNCTION empatia._judge_segments(text, integer, bytea, text, text, text) IS 'silhouette, Davies-Bouldin and Calinski-Harabasz of an encoded model over the vectors of a query, or of a part of the cube';
COMMENT ON FUNCTION empatia._try_k(text, integer, text[], integer, integer, bigint, integer, text, text, text) IS 'K-Means for a range of k on the vectors of a query, or of a part of the cube';
COMMENT ON FUNCTION empatia._segment_rank(bytea, double precision[]) IS 'rank of the segment that a feature vector belongs to';
COMMENT ON FUNCTION empatia._classify_cells(integer, text, text, text, boolean, text[], bytea) IS 'brings the classes of a client''s part of the cube up to date with an encoded model; writes only what differs';
COMMENT ON FUNCTION empatia._classify_with(integer, text, text, text, bytea, boolean) IS 'brings the predictions of a client''s part of the cube up to date with an encoded classifier; writes only what differs';
COMMENT ON FUNCTION empatia._explain_row(integer, text, text, text, bigint, bigint, date, bigint) IS 'why a classifier says what it says of a row of the cube, feature by feature';
COMMENT ON FUNCTION empatia._reason_words(text, text, double precision, boolean, integer, double precision[], text[], double precision[]) IS 'the words of empatia.feature_text for a number of a feature, to try texts out';
COMMENT ON FUNCTION empatia._build_cells(integer, text, text, text[], text[], bigint[], bigint[], date, date, integer, text) IS 'computes the cells of parts of a client''s cube in one pass over its facts, or over those of the students that changed, and writes what differs from the stored rows';
COMMENT ON FUNCTION empatia._count_assigned(integer, text, text, boolean) IS 'counts the assignments of a client''s members and units, writes to cube_assigned what differs and, if asked to, notes its keys in _reassigned; null where they do not fit into memory';
COMMENT ON FUNCTION empatia._doing(text) IS 'what a long statement is at, in a comment before its text in pg_stat_activity; null: nothing any more';
COMMENT ON FUNCTION empatia._confusion(bytea) IS 'rows of each class by what they were predicted to be, of an encoded evaluation';
COMMENT ON FUNCTION empatia._roc_curve(bytea, text) IS 'points of the ROC curve of an encoded evaluation';
COMMENT ON FUNCTION empatia._pr_curve(bytea, text) IS 'points of the precision-recall curve of an encoded evaluation';
COMMENT ON FUNCTION empatia._calibration(bytea, text, integer) IS 'predicted probability against observed share, of an encoded evaluation';
COMMENT ON FUNCTION empatia._fairness(bytea, integer[], bigint[], text[]) IS 'recall, precision and selection rate per group of students, of an encoded evaluation';
COMMENT ON FUNCTION empatia._compare_evaluations(bytea, bytea) IS 'how much lower the log loss of one evaluation is than that of another of the same rows, or of the shares of the classes, with its standard error';
COMMENT ON FUNCTION empatia._pack_model(jsonb, bytea, bytea) IS 'a row of the registry, a model and its evaluation as one checksummed value';
COMMENT ON FUNCTION empatia._unpack_model(bytea) IS 'what _pack_model() made, with model and evaluation checked';
COMMENT ON FUNCTION empatia._to_onnx(bytea) IS 'an encoded classifier of the cube as an ONNX file';
COMMENT ON FUNCTION empatia._from_onnx(bytea, jsonb, text[], text[]) IS 'an ONNX file as an encoded classifier of the cube';
COMMENT ON FUNCTION empatia._dataset_columns(text) IS 'columns that a table of a dataset has; an error for a definition that contradicts itself';
COMMENT ON FUNCTION empatia._import_cells(text, bytea, text, text, integer, integer, text, bigint) IS 'reads a file by a definition into pg_temp._import_row, import_report and import_reject; returns what became of each sheet';
COMMENT ON FUNCTION empatia._read_server_file(text) IS 'content of a file of the server, for members of pg_read_server_files';
COMMENT ON FUNCTION empatia._list_server_files(text) IS 'regular files of a folder of the server, for members of pg_read_server_files';
COMMENT ON FUNCTION empatia._file_hash(bytea) IS 'SHA-256, interruptible';
COMMENT ON FUNCTION empatia._checked_expression(text, text) IS 'an expression that stays within the parentheses it is put into, or an error';
COMMENT ON FUNCTION empatia._train_table(text, text[], text[], text[], jsonb, jsonb, text[], text[], double precision) IS 'looks for leaks among the columns of a query and trains a classifier on the others';
COMMENT ON FUNCTION empatia._find_leaks(text, text[], text[], jsonb, text[], text[]) IS 'columns of a query that give its target away';
COMMENT ON FUNCTION empatia._predict(bigint, jsonb, integer, text) IS 'prediction of one case given as an object, with its reasons';
COMMENT ON FUNCTION empatia._predict_rows(bigint, text, text[], text[], integer, text) IS 'predictions of the rows of a query, with their reasons';
COMMENT ON FUNCTION empatia._drift(bigint, text, text[], text[], jsonb) IS 'drift of recorded inputs, or of the rows of a query, against the rows of the training';
