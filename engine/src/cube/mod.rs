//! The engagement cube: facts of one client in, sparse cells out, every requested level x grain in one pass.
//!
//! # Shape of the computation
//! A cell belongs to one student, and all cells of a student come from that student's facts alone. So the facts are
//! grouped by student, groups of students are the parallel tasks, and a task sorts a student's few hundred facts once per
//! level and reads every grain off that order. Nothing is ever merged across threads, and the output (values and order)
//! is the same for any number of them.
//!
//! # Two ways in
//! * [`CubeBuilder`] takes facts in any order and holds all of them (24 bytes per interaction, 32 per assignment), but for
//!   those that whoever has no room [sets aside](CubeBuilder::set_aside), by ranges of users, and gives back at the end;
//! * [`CubeStream`] takes facts ordered by user, holds one chunk of students at a time and emits as it goes, so its
//!   memory does not depend on the number of facts.
//!
//! Both count against the [`Context`](crate::context::Context)'s budget, check its cancel flag, and hand
//! [`CubeBatch`]es to a sink on the calling thread.
//!
//! # What counts where
//! A fact counts only where its own space makes the person a [member](Members); it then counts at its own node and at
//! every ancestor, that is at each level whose unit its [`Path`] names. Facts left out are counted by reason in the
//! [`CubeSummary`].

mod buckets;
mod builder;
mod cell;
mod combinations;
mod error;
mod facts;
pub(crate) mod hash;
mod intake;
mod members;
pub(crate) mod memory;
mod packed;
mod params;
mod path;
mod paths;
mod ranges;
mod runner;
mod set_aside;
mod stream;
mod student;
mod tasks;

pub use builder::{CubeBuilder, PathNumber};
pub use cell::{AssignedCell, Cell, CubeBatch, Measures};
pub use combinations::Combinations;
pub use error::CubeError;
pub use facts::{Assignment, CubeSummary, FactCounts, Interaction, InteractionKind};
pub use members::{Members, MembersBuilder};
pub use packed::{PackedFact, Packer, Page, PACKER_BYTES};
pub use params::{Basis, CubeParams, CubePlan};
pub use path::{Level, Path};
pub use set_aside::Kept;
pub use stream::CubeStream;
