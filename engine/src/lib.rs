//! The numbers behind Empatia.
//!
//! Pure computation: no PostgreSQL, no I/O, no clock, no globals. Everything a long computation needs from
//! the outside (threads, memory budget, cancel flag) comes in through [`context::Context`].
#![forbid(unsafe_code)]

pub mod calendar;
pub mod calibrate;
pub mod classifier;
pub mod codec;
pub mod context;
pub mod cube;
pub mod data;
pub mod density;
pub mod ensemble;
pub mod error;
pub mod feature;
pub mod kmeans;
pub mod leak;
pub mod linear;
mod linfa_calls;
pub mod metrics;
pub mod mixture;
pub mod onnx;
mod random;
pub mod scoring;
pub mod segment;
pub mod sheet;
pub mod threshold;
pub mod tree;
pub mod validate;
pub mod words;
