//! The hand-written SQL, in the order in which it is installed. Each file of `sql/` is one family of objects.
use pgrx::extension_sql_file;

extension_sql_file!("../sql/00_bootstrap.sql", name = "bootstrap", bootstrap);
extension_sql_file!("../sql/10_config.sql", name = "config");
extension_sql_file!(
    "../sql/15_feature_text.sql",
    name = "feature_text",
    requires = ["config"]
);
extension_sql_file!("../sql/20_registry.sql", name = "registry", requires = ["feature_text"]);
extension_sql_file!("../sql/30_common.sql", name = "common", requires = ["registry"]);
extension_sql_file!(
    "../sql/warehouse/tables.sql",
    name = "warehouse_tables",
    requires = ["common"]
);
extension_sql_file!(
    "../sql/warehouse/structure_change.sql",
    name = "structure_change",
    requires = ["warehouse_tables"]
);
extension_sql_file!("../sql/cube/tables.sql", name = "cube_tables", requires = ["common"]);
extension_sql_file!(
    "../sql/model/prediction_tables.sql",
    name = "prediction_tables",
    requires = ["common"]
);
extension_sql_file!(
    "../sql/warehouse/create_warehouse.sql",
    name = "create_warehouse",
    requires = ["structure_change", "cube_tables"]
);
extension_sql_file!(
    "../sql/warehouse/clients.sql",
    name = "clients",
    requires = ["create_warehouse"]
);
extension_sql_file!("../sql/warehouse/adapter.sql", name = "adapter", requires = ["clients"]);
extension_sql_file!(
    "../sql/warehouse/stage.sql",
    name = "stage",
    requires = [
        "adapter",
        warehouse::convert::parse_instant,
        warehouse::convert::parse_local
    ]
);
extension_sql_file!("../sql/warehouse/write.sql", name = "write", requires = ["stage"]);
extension_sql_file!("../sql/warehouse/load.sql", name = "load", requires = ["write"]);
extension_sql_file!("../sql/cube/engagement.sql", name = "engagement", requires = ["common"]);
extension_sql_file!(
    "../sql/cube/sync_cube.sql",
    name = "sync_cube",
    requires = ["engagement"]
);
extension_sql_file!(
    "../sql/cube/build_part.sql",
    name = "build_part",
    requires = ["sync_cube"]
);
extension_sql_file!(
    "../sql/cube/cells_sql.sql",
    name = "cells_sql",
    requires = ["build_part"]
);
extension_sql_file!(
    "../sql/cube/analyze_cube.sql",
    name = "analyze_cube",
    requires = ["common"]
);
extension_sql_file!(
    "../sql/cube/build_cube.sql",
    name = "build_cube",
    requires = ["cells_sql", "analyze_cube"]
);
extension_sql_file!(
    "../sql/results/cubo_engajamento.sql",
    name = "cubo_engajamento",
    requires = ["build_cube"]
);
extension_sql_file!("../sql/model/vectors.sql", name = "vectors", requires = ["build_cube"]);
extension_sql_file!("../sql/model/segments.sql", name = "segments", requires = ["vectors"]);
extension_sql_file!("../sql/model/labels.sql", name = "labels", requires = ["segments"]);
extension_sql_file!(
    "../sql/model/registry.sql",
    name = "registry_functions",
    requires = ["segments"]
);
extension_sql_file!(
    "../sql/model/train.sql",
    name = "train",
    requires = ["labels", "registry_functions"]
);
extension_sql_file!(
    "../sql/model/evaluate.sql",
    name = "evaluate",
    requires = ["registry_functions"]
);
extension_sql_file!(
    "../sql/model/model_card.sql",
    name = "model_card",
    requires = ["evaluate"]
);
extension_sql_file!(
    "../sql/model/exchange.sql",
    name = "exchange",
    requires = ["registry_functions"]
);
extension_sql_file!(
    "../sql/model/predict.sql",
    name = "predict",
    requires = ["registry_functions"]
);
extension_sql_file!("../sql/model/explain.sql", name = "explain", requires = ["predict"]);
extension_sql_file!("../sql/model/classify.sql", name = "classify", requires = ["explain"]);
extension_sql_file!(
    "../sql/model/classify_changed.sql",
    name = "classify_changed",
    requires = ["classify"]
);
extension_sql_file!(
    "../sql/pipeline/run_pipeline.sql",
    name = "run_pipeline",
    requires = ["classify_changed", "load", "train"]
);
extension_sql_file!(
    "../sql/pipeline/schedule.sql",
    name = "schedule",
    requires = ["run_pipeline"]
);
extension_sql_file!(
    "../sql/monitor/metrics.sql",
    name = "metrics",
    requires = ["run_pipeline"]
);
extension_sql_file!(
    "../sql/monitor/grant_service.sql",
    name = "grant_service",
    requires = ["metrics"]
);
extension_sql_file!(
    "../sql/ingest/dataset.sql",
    name = "dataset",
    requires = ["common", ingest::dataset::dataset_columns]
);
extension_sql_file!(
    "../sql/ingest/import_file.sql",
    name = "import_file",
    requires = ["dataset", ingest::server_file::read_server_file]
);
extension_sql_file!("../sql/ingest/pede.sql", name = "dataset_pede", requires = ["dataset"]);
extension_sql_file!(
    "../sql/risk/registry.sql",
    name = "risk_registry",
    requires = ["registry_functions"]
);
extension_sql_file!(
    "../sql/risk/source.sql",
    name = "risk_source",
    requires = ["risk_registry"]
);
extension_sql_file!("../sql/risk/tally.sql", name = "risk_tally", requires = ["common"]);
extension_sql_file!("../sql/risk/tables.sql", name = "risk_tables", requires = ["common"]);
extension_sql_file!(
    "../sql/risk/train_table.sql",
    name = "train_table",
    requires = ["risk_source", "train"]
);
extension_sql_file!(
    "../sql/risk/predict.sql",
    name = "risk_predict",
    requires = ["train_table", "risk_tables", "risk_tally"]
);
extension_sql_file!(
    "../sql/risk/drift.sql",
    name = "risk_drift",
    requires = ["risk_predict"]
);
extension_sql_file!(
    "../sql/risk/schedule_drift.sql",
    name = "schedule_drift",
    requires = ["risk_drift", "schedule"]
);
extension_sql_file!(
    "../sql/risk/outcome.sql",
    name = "risk_outcome",
    requires = ["risk_predict"]
);
extension_sql_file!("../sql/90_grants.sql", name = "grants", finalize);
extension_sql_file!(
    "../sql/adapters/redu.sql",
    name = "adapter_redu",
    requires = ["adapter"]
);
extension_sql_file!(
    "../sql/adapters/oulad.sql",
    name = "adapter_oulad",
    requires = ["adapter"]
);
extension_sql_file!(
    "../sql/adapters/events.sql",
    name = "adapter_events",
    requires = ["adapter"]
);
extension_sql_file!(
    "../sql/adapters/moodle.sql",
    name = "adapter_moodle",
    requires = ["adapter"]
);
