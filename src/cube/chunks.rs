//! Cells by combination, collected into chunks that are worth a COPY of their own.

use empatia_engine::calendar::Grain;
use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Cell, Combinations, CubeBatch, CubeBuilder, CubeError, Level};
use empatia_engine::error::EngineError;

use super::facts::Stopped;
use super::structure::{Structure, Units};
use crate::pg::threads::run_feeding;

/// Chunks that may wait for the writer.
pub(super) const QUEUED: usize = 4;
/// A COPY costs about as much to start as 100 rows to write.
const LARGEST: usize = 1 << 14;
const SMALLEST: usize = 1 << 8;
/// Part of the memory budget that chunks may take.
const SHARE: usize = 16;

/// Some cells of one combination, all for the cube.
#[derive(Debug)]
pub(super) struct Chunk {
    pub level: Level,
    pub grain: Grain,
    pub cells: Vec<Cell>,
}

/// The chunks being filled, the queued ones, and the one being written.
fn in_memory(combinations: usize) -> usize {
    combinations + QUEUED + 1
}

/// Cells per chunk that the budget allows.
pub(super) fn capacity(context: &Context, combinations: usize) -> usize {
    (context.budget() / SHARE / (in_memory(combinations) * size_of::<Cell>())).clamp(SMALLEST, LARGEST)
}

/// Takes the engine's batches apart and hands on whole chunks.
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    units: &'a Units,
    open: [[Vec<Cell>; 7]; 5],
    capacity: usize,
    _reservation: Reservation,
}

impl<'a> Chunks<'a> {
    /// Chunks of `capacity` cells of so many combinations.
    ///
    /// # Errors
    /// [`EngineError::Memory`] when they do not fit into the budget.
    pub fn new(context: &Context, combinations: usize, capacity: usize, units: &'a Units) -> Result<Self, EngineError> {
        Ok(Self {
            units,
            open: Default::default(),
            capacity,
            _reservation: context.reserve_for::<Cell>(in_memory(combinations).saturating_mul(capacity))?,
        })
    }

    /// Keeps the cells of units that the cube has.
    ///
    /// # Errors
    /// What `send` returns; [`CubeError::Allocation`].
    pub fn take(
        &mut self,
        batch: CubeBatch<'_>,
        send: &mut dyn FnMut(Chunk) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        // how many assignments each member has is kept by the structure of the cube
        let CubeBatch::Cells { level, grain, cells } = batch else {
            return Ok(());
        };
        let open = &mut self.open[level.index()][grain.index()];
        // cells of a student and unit follow each other
        for of_unit in cells.chunk_by(|a, b| a.unit == b.unit) {
            if !self.units.contains(level, of_unit[0].unit) {
                continue;
            }
            let mut rest = of_unit;
            while !rest.is_empty() {
                if open.capacity() == 0 {
                    open.try_reserve_exact(self.capacity)
                        .map_err(|_| CubeError::Allocation {
                            bytes: self.capacity * size_of::<Cell>(),
                        })?;
                }
                let (fitting, left) = rest.split_at(rest.len().min(self.capacity - open.len()));
                open.extend_from_slice(fitting);
                rest = left;
                if open.len() == self.capacity {
                    let cells = std::mem::take(open);
                    send(Chunk { level, grain, cells })?;
                }
            }
        }
        Ok(())
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// What `send` returns.
    pub fn finish(mut self, send: &mut dyn FnMut(Chunk) -> Result<(), EngineError>) -> Result<(), EngineError> {
        for level in Level::ALL {
            for grain in Grain::ALL {
                let cells = std::mem::take(&mut self.open[level.index()][grain.index()]);
                if !cells.is_empty() {
                    send(Chunk { level, grain, cells })?;
                }
            }
        }
        Ok(())
    }
}

/// Gives `keep` the cells of a builder's facts, the users of a part ascending where they are in the builder.
pub(super) fn cells_of(
    context: &Context,
    structure: &Structure,
    builder: CubeBuilder,
    combinations: Combinations,
    mut keep: impl FnMut(&Chunk) -> Result<(), EngineError>,
) -> Result<(), Stopped> {
    let count = combinations
        .levels()
        .map(|level| combinations.grains(level).count())
        .sum();
    let chunk = capacity(context, count);
    let mut kept = Ok(());
    // Not even an error of memory may end the threads by the cancel flag: the context is needed again.
    let computed = run_feeding(
        context,
        QUEUED,
        |send| {
            let compute = || {
                let mut chunks = Chunks::new(context, count, chunk, &structure.units)?;
                builder.finish(&structure.members, |batch| chunks.take(batch, &mut *send))?;
                chunks.finish(send)
            };
            Ok::<_, EngineError>(compute())
        },
        |chunk| {
            if kept.is_ok() {
                kept = keep(&chunk);
            }
            Ok(())
        },
    )?;
    kept?;
    Ok(computed?)
}
