//! Models: the numbers behind the SQL of `sql/model/`. SQL chooses rows and keeps the registry, the engine computes.
mod algorithm;
mod classes;
mod classify;
mod classify_with;
mod cube_model;
mod cube_rows;
mod cube_structure;
mod part;
mod prediction_marks;
mod predictions;
mod predictor;
mod reason_texts;
mod segments;
mod student_attributes;
mod vectors;
