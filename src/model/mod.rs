//! Models: the numbers behind the SQL of `sql/model/`. SQL chooses rows and keeps the registry, the engine computes.
mod algorithm;
mod classes;
mod classify;
mod part;
mod predictor;
mod segments;
mod vectors;
