-- Who may do what. Reading the configuration is harmless; the registry and the run log name people and errors; writing is an
-- operator's. The tables of the warehouse belong to whoever called create_warehouse().

GRANT USAGE ON SCHEMA empatia TO PUBLIC;
GRANT SELECT ON empatia.warehouse, empatia.setting, empatia.pipeline, empatia.label_rank, empatia.score_weight, empatia.excluded_role, empatia.feature_text,
    empatia.adapter, empatia.relation_column TO PUBLIC;
GRANT SELECT ON empatia.metric, empatia.model, empatia.deployment, empatia.run, empatia.run_step, empatia.source, empatia.source_cursor TO empatia_reader;
GRANT INSERT, UPDATE, DELETE ON empatia.warehouse, empatia.setting, empatia.pipeline, empatia.label_rank, empatia.score_weight, empatia.excluded_role, empatia.feature_text,
    empatia.adapter, empatia.source, empatia.source_cursor, empatia.model, empatia.deployment, empatia.run, empatia.run_step TO empatia_operator;

-- Functions made in Rust get their comment here, beside those made in SQL.
COMMENT ON FUNCTION empatia.version() IS 'version of the loaded library; newer than the extension''s until ALTER EXTENSION empatia UPDATE';
COMMENT ON FUNCTION empatia.source_id(text) IS 'stable id of a source''s own key: the number itself where it is one of up to 15 digits, else a hash in 2^52..2^53';
COMMENT ON FUNCTION empatia._to_bigint(text) IS 'an integer, also one written 12.0; null for anything else';
COMMENT ON FUNCTION empatia._to_double(text) IS 'a finite number; null for anything else';
COMMENT ON FUNCTION empatia._to_boolean(text) IS 'true or false in their usual spellings; null for anything else';
COMMENT ON FUNCTION empatia._parse_instant(text) IS 'instant of an ISO 8601 text with an offset; null for anything else';
COMMENT ON FUNCTION empatia._parse_local(text) IS 'wall-clock time of an ISO 8601 text without an offset; null for anything else';
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
COMMENT ON FUNCTION empatia._doing(text) IS 'what a long statement is at, in a comment before its text in pg_stat_activity; null: nothing any more';
COMMENT ON FUNCTION empatia._checked_expression(text, text) IS 'an expression that stays within the parentheses it is put into, or an error';
COMMENT ON FUNCTION empatia._train_table(text, text[], text[], text[], jsonb, jsonb, text[], text[], double precision) IS 'looks for leaks among the columns of a query and trains a classifier on the others';
COMMENT ON FUNCTION empatia._find_leaks(text, text[], text[], jsonb, text[], text[]) IS 'columns of a query that give its target away';
COMMENT ON FUNCTION empatia._predict(bigint, jsonb, integer, text) IS 'prediction of one case given as an object, with its reasons';
COMMENT ON FUNCTION empatia._predict_rows(bigint, text, text[], text[], integer, text) IS 'predictions of the rows of a query, with their reasons';
COMMENT ON FUNCTION empatia._drift(bigint, text, text[], text[], jsonb) IS 'drift of recorded inputs, or of the rows of a query, against the rows of the training';
