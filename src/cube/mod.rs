//! `build_cube()`'s native way: facts of a client through the engine's one pass into the partitions of the cube.

mod build_cells;
mod chunks;
mod facts;
mod left_out;
mod structure;
mod write_cells;
