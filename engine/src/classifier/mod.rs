//! From a table to a classifier that can be trusted: trained, judged on rows it has not seen, calibrated, explained, stored.
//!
//! Guarantees: every number of an [`Evaluation`] and a [`Report`] is out of fold; recipe, number of rounds, calibration and
//! threshold never see the rows that they are judged on; columns are found by name, and one that vanished counts as missing;
//! contributions and base value add up to the score; the result depends on rows, settings and seed, not on the number of
//! threads (a time budget that runs out changes what was tried, and the report says so); decoding checks everything.

mod algorithm;
mod blocks;
mod candidate;
mod choice;
mod columns;
mod combination;
mod compare;
mod curves;
mod effects;
mod evaluation;
mod explain;
mod fairness;
mod fitted;
mod gain;
mod histogram;
mod importance;
mod learning;
mod member;
mod model;
mod packed;
mod report;
mod rounds;
mod rules;
mod select;
mod stored;
mod train;
mod training;

pub use algorithm::Algorithm;
pub use columns::{ColumnKind, ModelColumn};
pub use combination::Combination;
pub use compare::Comparison;
pub use curves::{BinRow, ConfusionRow, PrRow, RocRow};
pub use evaluation::{Evaluation, Pair};
pub use explain::{ClassifierExplainer, Contributions, Scale};
pub use fairness::{GroupScores, Share};
pub use fitted::Fitted;
pub use histogram::{Bins, Histogram};
pub use member::Member;
pub use model::{ClassifierModel, Parts};
pub use packed::PackedModel;
pub use report::{
    CalibrationReport, CandidateReport, ClassReport, ColumnImportance, FoldSize, MemberReport, MetricReport, Report,
    SearchReport, TriedReport,
};
pub use rules::RuleText;
pub use train::Trained;
pub use training::{ClassWeighting, Imputation, SearchKind, SearchRequest, Training};
