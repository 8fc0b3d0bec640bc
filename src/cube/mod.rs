//! `build_cube()`'s native way: facts of a client through the engine's one pass into the partitions of the cube.

mod active_units;
mod additions;
mod assigned;
mod attempt;
mod build_cells;
mod changed;
mod changes;
mod chunks;
mod diff;
mod fact_runs;
mod facts;
mod full;
mod left_out;
mod packed_facts;
mod refresh;
mod spill;
mod stored;
mod structure;
mod touched;
mod write_cells;

pub(crate) use packed_facts::pack_facts;
