//! Models: the numbers behind the SQL of `sql/model/`. SQL chooses rows and keeps the registry, the engine computes.
mod algorithm;
mod classes;
mod classify;
mod cube_rows;
mod cube_structure;
mod cube_target;
mod evaluate;
mod exchange;
mod part;
mod predictor;
mod segments;
mod student_attributes;
pub(crate) mod train_cube;
mod training_pass;
mod training_set;
mod vectors;
