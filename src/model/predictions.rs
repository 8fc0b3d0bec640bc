//! The predictions of a part of the cube as they are stored: read in the order of their keys, compared with what they should be,
//! and brought up to date.

use std::fmt::Write as _;

use empatia_engine::words::Verdict;
use pgrx::prelude::*;

use super::part::Part;
use crate::error::{Error, Result};
use crate::pg::append::{append_rows, lock_empty, Indexes};
use crate::pg::column::ColumnType::{self, Date, Float8, Int2, Int4, Int8, Text, Tid};
use crate::pg::column::Tid as Place;
use crate::pg::read::query;
use crate::pg::row::Row;
use crate::pg::row_writer::RowWriter;
use crate::pg::write::{copy_rows, Relation};

/// Rows that one DELETE names.
const DELETED: usize = 1 << 14;

/// Whose predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a member and period; keys are unit, user, period.
    Own,
    /// Of all members alike; keys are unit, period, number of assignments.
    Default,
}

/// A prediction to be stored: its key in the order of the table's, and which verdict it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Predicted {
    pub key: (i64, i64, i64),
    pub verdict: u32,
}

/// Stored rows that are compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    /// Of units in this range, both ends included.
    Between(i64, i64),
    Units(&'a [i64]),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Rows that got a prediction, or another one.
    pub rows: u64,
    /// Rows deleted because they have no place any more.
    pub removed: u64,
}

/// The predictions of a client's part of the cube.
pub(super) struct Predictions<'a> {
    part: &'a Part,
    /// Schema of the results, not quoted.
    results: &'a str,
    client: i32,
    kind: Kind,
    table: String,
    appended: Option<Indexes>,
    pub written: Written,
}

/// A class as the tables hold it: below zero, so that it is not a segment's.
pub(super) fn stored_class(class: u32) -> Result<i16> {
    i16::try_from(class)
        .map(|class| -1 - class)
        .map_err(|_| Error::internal(format!("class {class} is too large")))
}

impl<'a> Predictions<'a> {
    /// Rows are appended where there are none, of no client; then [`Predictions::finish`] has to be called.
    ///
    /// # Errors
    /// As [`lock_empty`].
    pub fn new(part: &'a Part, results: &'a str, client: i32, kind: Kind) -> Result<Self> {
        let table = part.partition(match kind {
            Kind::Own => "cube_prediction",
            Kind::Default => "cube_prediction_default",
        });
        let empty = lock_empty(Relation::Named {
            schema: results,
            table: &table,
        })?;
        Ok(Self {
            part,
            results,
            client,
            kind,
            appended: empty.then(Indexes::default),
            table,
            written: Written::default(),
        })
    }

    /// Makes the stored rows that `which` names those of `wanted`, which are in the order of their keys; writes what differs.
    ///
    /// # Errors
    /// As [`copy_rows`]; raises what the DELETE raises.
    pub fn settle(&mut self, which: Which<'_>, wanted: &[Predicted], verdicts: &[Verdict]) -> Result<()> {
        let mut added: Vec<Predicted> = Vec::new();
        if self.appended.is_some() {
            self.written.rows += self.write(wanted, verdicts)?;
            return Ok(());
        }
        let mut gone: Vec<Place> = Vec::new();
        let mut wanted = wanted.iter().peekable();
        let mut removed = 0;
        self.read(which, |key, stored, place| {
            while let Some(new) = wanted.next_if(|new| new.key < key) {
                added.push(*new);
            }
            match wanted.next_if(|new| new.key == key) {
                Some(new) if same(&verdicts[new.verdict as usize], &stored) => {}
                Some(new) => {
                    gone.push(place);
                    added.push(*new);
                }
                None => {
                    removed += 1;
                    gone.push(place);
                }
            }
        })?;
        added.extend(wanted);
        self.written.removed += removed;
        self.delete(&gone)?;
        self.written.rows += self.write(&added, verdicts)?;
        Ok(())
    }

    /// Completes the indexes where rows were appended.
    ///
    /// # Errors
    /// As [`Indexes::finish`].
    pub fn finish(&mut self) -> Result<Written> {
        let relation = Relation::Named {
            schema: self.results,
            table: &self.table,
        };
        if let Some(indexes) = &mut self.appended {
            indexes.finish(relation)?;
        }
        Ok(self.written)
    }

    fn relation(&self) -> Relation<'_> {
        Relation::Named {
            schema: self.results,
            table: &self.table,
        }
    }

    /// Names and types of the three columns of a key, in its order.
    fn key_columns(&self) -> [(&'static str, ColumnType); 3] {
        match self.kind {
            Kind::Own => [("unit_id", Int8), ("user_id", Int8), ("period_start", Date)],
            Kind::Default => [("unit_id", Int8), ("period_start", Date), ("assigned_exercises", Int8)],
        }
    }

    /// Calls `on_row` for the stored rows, in the order of their keys.
    fn read(&self, which: Which<'_>, mut on_row: impl FnMut((i64, i64, i64), Verdict, Place)) -> Result<()> {
        let [a, b, c] = self.key_columns();
        let mut sql = format!(
            "SELECT k.{}, k.{}, k.{}, k.class, k.probability, k.reason_1, k.reason_2, k.reason_3, k.ctid FROM {} k WHERE k.client_id = $1",
            a.0,
            b.0,
            c.0,
            self.part.table(&self.table)
        );
        sql.push_str(match which {
            Which::Between(..) => " AND k.unit_id BETWEEN $2 AND $3",
            Which::Units(_) => " AND k.unit_id = ANY ($2)",
        });
        sql.push_str(" ORDER BY 1, 2, 3");
        let args = match which {
            Which::Between(first, last) => vec![self.client.into(), first.into(), last.into()],
            Which::Units(units) => vec![self.client.into(), units.to_vec().into()],
        };
        let columns = [a.1, b.1, c.1, Int2, Float8, Int8, Int8, Int8, Tid];
        let number = |row: &Row<'_>, at: usize, of: ColumnType| match of {
            Date => row.date(at).map(i64::from),
            _ => row.i64(at),
        };
        query(&sql, &args, &columns, |row| {
            let key = (number(row, 0, a.1), number(row, 1, b.1), number(row, 2, c.1));
            let (Some(first), Some(second), Some(third)) = key else {
                return Err(null());
            };
            let (Some(class), Some(probability), Some(place)) = (row.i16(3), row.f64(4), row.tid(8)) else {
                return Err(null());
            };
            let mut reasons = [0; 3];
            for (at, reason) in reasons.iter_mut().enumerate() {
                *reason = row.i64(5 + at).ok_or_else(null)?;
            }
            let stored = Verdict {
                // what is no classifier's class is nobody's
                class: u32::try_from(-1 - i32::from(class)).unwrap_or(u32::MAX),
                probability,
                reasons,
            };
            on_row((first, second, third), stored, place);
            Ok(())
        })?;
        Ok(())
    }

    fn delete(&self, places: &[Place]) -> Result<()> {
        let sql = format!(
            "DELETE FROM {} k WHERE k.ctid = ANY ($1::text::tid[]) AND k.client_id = $2",
            self.part.table(&self.table)
        );
        // as for classes: a place cannot have become another row's since it was read in this very statement
        for places in places.chunks(DELETED) {
            let mut list = String::from("{");
            for (at, place) in places.iter().enumerate() {
                let _ = write!(list, "{}\"{place}\"", if at == 0 { "" } else { "," });
            }
            list.push('}');
            Spi::run_with_args(&sql, &[list.as_str().into(), self.client.into()])
                .map_err(|e| Error::internal(format!("cannot delete predictions: {e}")))?;
        }
        Ok(())
    }

    fn write(&mut self, rows: &[Predicted], verdicts: &[Verdict]) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut columns = vec![("client_id", Int4), ("level", Text), ("grain", Text)];
        columns.extend(self.key_columns());
        columns.extend([("class", Int2), ("probability", Float8)]);
        columns.extend([("reason_1", Int8), ("reason_2", Int8), ("reason_3", Int8)]);
        let mut rows = rows.iter();
        let mut appended = self.appended.take();
        let written = match &mut appended {
            None => copy_rows(self.relation(), &columns, |row| {
                self.write_row(row, rows.next(), verdicts)
            }),
            Some(indexes) => append_rows(self.relation(), &columns, indexes, |row| {
                self.write_row(row, rows.next(), verdicts)
            }),
        };
        self.appended = appended;
        written
    }

    #[inline]
    fn write_row(&self, row: &mut impl RowWriter, next: Option<&Predicted>, verdicts: &[Verdict]) -> Result<bool> {
        let Some(Predicted { key, verdict }) = next else {
            return Ok(false);
        };
        let verdict = &verdicts[*verdict as usize];
        row.i32(self.client);
        row.text(self.part.level());
        row.text(self.part.grain());
        row.i64(key.0);
        match self.kind {
            Kind::Own => {
                row.i64(key.1);
                row.date(key.2 as i32);
            }
            Kind::Default => {
                row.date(key.1 as i32);
                row.i64(key.2);
            }
        }
        row.i16(stored_class(verdict.class)?);
        row.f64(verdict.probability);
        verdict.reasons.iter().for_each(|reason| row.i64(*reason));
        Ok(true)
    }
}

/// Bit by bit: what a reader would see is the same.
fn same(a: &Verdict, b: &Verdict) -> bool {
    a.class == b.class && a.probability.to_bits() == b.probability.to_bits() && a.reasons == b.reasons
}

#[cold]
fn null() -> Error {
    Error::internal("found a null in a prediction")
}
