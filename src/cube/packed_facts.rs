//! Interactions read by parallel workers, each of them some blocks of the table at a time.
//!
//! One process takes rows from the executor at some 0.25 µs each, whatever it does with them; that was nearly all of the
//! time of reading. Workers read through the executor, too, and hand over pages of packed facts, which cost a tenth.

use empatia_engine::context::{Context, Reservation};
use empatia_engine::cube::{Packer, Path, PACKER_BYTES};
use empatia_engine::error::EngineError;

use pgrx::prelude::*;

use super::facts::{interaction_of, select_interactions, INTERACTION_COLUMNS};
use super::structure::Source;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Bool, Int4, Int8};
use crate::pg::parallel::{gather, Worker, QUEUE_BYTES};
use crate::pg::read::{query, query_stable};
use crate::pg::settings::with_settings;
use crate::pg::threads::{start_context, Limits};

/// Blocks of a chunk, at most: some tenth of a second's work. Each chunk is a scan with a ring of 32 buffers of its own, so that few of all buffers are taken.
const MOST_BLOCKS: i64 = 8192;
/// A worker should find so many chunks, that all end at about the same time.
const CHUNKS_OF_WORKER: i64 = 16;

/// How a client's interactions can be read in parallel.
#[derive(Debug)]
pub(super) struct Parallel {
    context: Context,
    workers: usize,
    /// Of the largest table.
    blocks: i64,
}

impl Parallel {
    /// As many workers as a parallel plan would have, as long as all tables are such as can be read by ranges of blocks in
    /// other processes. None: read them in this one.
    pub fn new(context: &Context, source: &Source) -> Result<Option<Self>> {
        const COLUMNS: [ColumnType; 5] = [Bool, Int8, Int8, Int8, Int4];
        let sql = format!(
            "SELECT bool_and(c.relkind = 'r' AND c.relpersistence <> 't' AND a.amname = 'heap' AND NOT row_security_active(c.oid)) \
                    AND NOT row_security_active('{0}.fact_interaction'::regclass), \
                    max(s.blocks)::bigint, sum(s.blocks)::bigint, \
                    pg_size_bytes(current_setting('min_parallel_table_scan_size')) / current_setting('block_size')::bigint, \
                    current_setting('max_parallel_workers_per_gather')::integer \
             FROM empatia._fact_tables('{0}', $1, 'fact_interaction') t JOIN pg_catalog.pg_class c ON c.oid = t \
                  LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam \
                  CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks) s",
            source.dw.replace('\'', "''")
        );
        let mut found = None;
        query(&sql, &[source.client_id.into()], &COLUMNS, |row| {
            if let (Some(true), Some(blocks), Some(all), Some(least), Some(most)) =
                (row.bool(0), row.i64(1), row.i64(2), row.i64(3), row.i32(4))
            {
                let workers = workers_for(all, least).min(usize::try_from(most).unwrap_or(0));
                found = (workers > 0).then(|| Self {
                    context: context.clone(),
                    workers,
                    blocks,
                });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Sets aside what the workers will hold.
    ///
    /// # Errors
    /// `Memory`.
    pub fn reserve(&self) -> Result<Reservation, EngineError> {
        self.context.reserve(self.workers * (QUEUE_BYTES + PACKER_BYTES))
    }

    /// Calls `on_page` with the worker's number and each page that it made. False: there was no worker, nothing was read.
    pub fn read(&self, source: &Source, on_page: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<bool> {
        let share = self.blocks / (self.workers as i64 * CHUNKS_OF_WORKER);
        let of_chunk = share.clamp(1, MOST_BLOCKS);
        let chunks = u32::try_from((self.blocks / of_chunk) + 1)
            .map_err(|_| Error::internal("more chunks of the fact table than 32 bits can number"))?;
        let task = Task {
            client_id: source.client_id,
            of_chunk,
            dw: source.dw.clone(),
        };
        // whatever the planner thinks of it, a chunk must not cost a scan of the whole table
        let settings = [
            (c"enable_tidscan", c"on"),
            (c"enable_seqscan", c"off"),
            (c"enable_indexscan", c"off"),
            (c"enable_bitmapscan", c"off"),
        ];
        let workers = with_settings(&settings, || gather(self.workers, chunks, &task.to_bytes(), on_page))?;
        debug1!(
            "interactions of client {} read by {workers} parallel workers",
            source.client_id
        );
        Ok(workers > 0)
    }
}

/// One for the least size that is worth it, one more for each three times that: the planner's rule.
fn workers_for(blocks: i64, least: i64) -> usize {
    let mut worth = least.max(1);
    let mut workers = 0;
    while blocks >= worth {
        workers += 1;
        match worth.checked_mul(3) {
            Some(next) => worth = next,
            None => break,
        }
    }
    workers
}

/// What a worker is told.
#[derive(Debug, PartialEq)]
struct Task {
    client_id: i32,
    of_chunk: i64,
    /// Quoted.
    dw: String,
}

impl Task {
    fn to_bytes(&self) -> Vec<u8> {
        let numbers = [i64::from(self.client_id), self.of_chunk];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend_from_slice(self.dw.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::internal("a parallel worker was given a task that it does not know");
        let (numbers, dw) = bytes.split_at_checked(16).ok_or_else(wrong)?;
        let number = |index: usize| {
            let of = numbers[8 * index..][..8].try_into().map_err(|_| wrong())?;
            Ok::<_, Error>(i64::from_le_bytes(of))
        };
        Ok(Self {
            client_id: i32::try_from(number(0)?).map_err(|_| wrong())?,
            of_chunk: number(1)?,
            dw: String::from_utf8(dw.to_vec()).map_err(|_| wrong())?,
        })
    }
}

/// What a worker does: reads chunk after chunk and sends pages.
///
/// # Errors
/// Those of the queries.
pub(crate) fn pack_facts(task: &[u8], worker: &mut Worker<'_>) -> Result<()> {
    let task = Task::from_bytes(task)?;
    let context = start_context(Limits {
        threads: 1,
        memory: PACKER_BYTES,
    })?;
    let mut packer = Packer::new(&context)?;
    while let Some(chunk) = worker.next_chunk() {
        if !pack_chunk(&task, chunk, worker, &mut packer)? {
            return Ok(());
        }
    }
    if let Some(page) = packer.page()? {
        worker.send(page);
    }
    Ok(())
}

/// False when the leader wants no more.
fn pack_chunk(task: &Task, chunk: u32, worker: &mut Worker<'_>, packer: &mut Packer) -> Result<bool> {
    let first = i64::from(chunk) * task.of_chunk;
    let (from, to) = (tid(first), tid(first + task.of_chunk));
    let mut sql = format!("{} AND f.ctid >= $2::tid", select_interactions(&task.dw));
    let mut args = vec![task.client_id.into(), from.as_str().into()];
    // the last chunk ends where the table does by now
    if chunk + 1 < worker.chunks() {
        args.push(to.as_str().into());
        sql += " AND f.ctid < $3::tid";
    }
    let mut wanted = true;
    let sent = |worker: &mut Worker<'_>, packer: &mut Packer| -> Result<bool> {
        Ok(packer.page()?.is_none_or(|page| worker.send(page)))
    };
    let done = query_stable(&sql, &args, &INTERACTION_COLUMNS, |row| {
        let fact = interaction_of(row)?;
        if packer.push(fact.user, &fact.path, fact.day, fact.kind, fact.amount) && !sent(worker, packer)? {
            wanted = false;
            return Err(Error::internal("the leader wants no more facts"));
        }
        Ok(())
    });
    match done {
        Err(_) if !wanted => Ok(false),
        done => done.map(|_| true),
    }
}

fn tid(block: i64) -> String {
    format!("({block},0)")
}

/// An interaction as stored.
#[derive(Debug)]
pub(super) struct StoredInteraction {
    pub user: i64,
    pub kind: i16,
    pub amount: i64,
    pub day: i32,
    pub path: Path,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_arrives_as_it_was_given() {
        let task = Task {
            client_id: -7,
            of_chunk: 1024,
            dw: "\"dé pôt\"".to_owned(),
        };
        assert_eq!(Task::from_bytes(&task.to_bytes()).ok(), Some(task));
        assert!(Task::from_bytes(&[0; 15]).is_err());
    }

    #[test]
    fn workers_are_those_of_the_planners_rule() {
        // min_parallel_table_scan_size of 8 MB: 1024 blocks, 3072, 9216
        let of = |blocks| workers_for(blocks, 1024);
        assert_eq!([0, 1023, 1024, 3071, 3072, 9216].map(of), [0, 0, 1, 1, 2, 3]);
        // a least of 0 must end, too
        assert_eq!(workers_for(0, 0), 0);
        assert_eq!(workers_for(i64::MAX, 0), 40);
    }
}
