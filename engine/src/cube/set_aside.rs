//! Facts that memory has no room for, as bytes that others keep: some eight bytes each, a third of what they take in memory.
//!
//! A run: rows one after the other, each telling how its user differs from the one before.

use super::error::CubeError;
use super::facts::{AssignmentRow, InteractionRow};
use crate::error::{EngineError, Result};

/// Keeps what was set aside.
pub trait Kept: Sync {
    /// Fills `bytes` with those written from `at` on. Called by several threads at a time.
    ///
    /// # Errors
    /// Whatever keeps it from that.
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()>;
}

/// For those who set nothing aside.
pub(super) struct Nowhere;

impl Kept for Nowhere {
    fn read(&self, at: u64, _: &mut [u8]) -> Result<()> {
        Err(damaged(at))
    }
}

/// A run is read whole: some of it, so that the buffer stays small.
const RUN_BYTES: usize = 64 << 10;
/// More than a row takes.
const ROW_BYTES: usize = 64;

/// Where rows of a bucket are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    at: u64,
    bytes: u32,
    pub rows: u32,
}

/// Rows as bytes.
pub(super) trait Stored: Sized {
    fn encode(&self, user_before: i64, out: &mut Vec<u8>);
    /// None for bytes that are none of such a row.
    fn decode(user_before: i64, bytes: &mut &[u8]) -> Option<Self>;
    fn user_of(&self) -> i64;
}

/// Writes rows as runs, from `at` on, which moves.
pub(super) fn write_rows<'a, T: Stored + 'a, E: From<EngineError>>(
    rows: impl Iterator<Item = &'a T>,
    at: &mut u64,
    write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    mut on_run: impl FnMut(Run) -> Result<()>,
) -> Result<(), E> {
    let mut bytes = Vec::with_capacity(RUN_BYTES);
    let (mut count, mut before) = (0, 0);
    let mut end = |bytes: &mut Vec<u8>, rows: &mut u32| {
        on_run(Run {
            at: *at,
            bytes: bytes.len() as u32,
            rows: std::mem::take(rows),
        })?;
        write(bytes)?;
        *at += bytes.len() as u64;
        bytes.clear();
        Ok::<_, E>(())
    };
    for row in rows {
        row.encode(before, &mut bytes);
        before = row.user_of();
        count += 1;
        if bytes.len() > RUN_BYTES - ROW_BYTES {
            end(&mut bytes, &mut count)?;
            before = 0;
        }
    }
    if count > 0 {
        end(&mut bytes, &mut count)?;
    }
    Ok(())
}

impl Run {
    pub fn read<T: Stored>(&self, kept: &dyn Kept, on_row: &mut impl FnMut(T) -> Result<()>) -> Result<()> {
        let mut bytes = [0; RUN_BYTES];
        let bytes = bytes.get_mut(..self.bytes as usize).ok_or_else(|| damaged(self.at))?;
        kept.read(self.at, bytes)?;
        let (mut rest, mut before) = (&*bytes, 0);
        for _ in 0..self.rows {
            let row = T::decode(before, &mut rest).ok_or_else(|| damaged(self.at))?;
            before = row.user_of();
            on_row(row)?;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(damaged(self.at))
        }
    }
}

fn damaged(at: u64) -> EngineError {
    CubeError::SetAside { at }.into()
}

impl Stored for InteractionRow {
    #[inline]
    fn encode(&self, user_before: i64, out: &mut Vec<u8>) {
        put(zigzag(self.user.wrapping_sub(user_before)), out);
        put(u64::from(self.path), out);
        put(u64::from(self.day_kind()), out);
        put(zigzag(self.amount), out);
    }

    #[inline]
    fn decode(user_before: i64, bytes: &mut &[u8]) -> Option<Self> {
        let user = user_before.wrapping_add(unzigzag(take(bytes)?));
        let path = u32::try_from(take(bytes)?).ok()?;
        let day_kind = u32::try_from(take(bytes)?).ok()?;
        Some(Self::packed(user, path, day_kind, unzigzag(take(bytes)?)))
    }

    fn user_of(&self) -> i64 {
        self.user
    }
}

impl Stored for AssignmentRow {
    fn encode(&self, user_before: i64, out: &mut Vec<u8>) {
        put(zigzag(self.user.wrapping_sub(user_before)), out);
        out.extend_from_slice(&self.grade.to_bits().to_le_bytes());
        put(u64::from(self.path), out);
        put(u64::from(self.event_day), out);
        put(u64::from(self.submitted_day), out);
        out.push(u8::from(self.submitted) | u8::from(self.late) << 1 | u8::from(self.dated) << 2);
    }

    fn decode(user_before: i64, bytes: &mut &[u8]) -> Option<Self> {
        let user = user_before.wrapping_add(unzigzag(take(bytes)?));
        let (grade, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        let path = u32::try_from(take(bytes)?).ok()?;
        let event_day = u32::try_from(take(bytes)?).ok()?;
        let submitted_day = u32::try_from(take(bytes)?).ok()?;
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(Self {
            user,
            grade: f64::from_bits(u64::from_le_bytes(*grade)),
            path,
            event_day,
            submitted_day,
            submitted: flags & 1 != 0,
            late: flags & 2 != 0,
            dated: flags & 4 != 0,
        })
    }

    fn user_of(&self) -> i64 {
        self.user
    }
}

/// Small numbers of either sign become small ones.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Seven bits a byte, the low ones first.
#[inline]
fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::facts::InteractionKind;
    use super::*;

    struct Bytes(Vec<u8>);

    impl Kept for Bytes {
        fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
            bytes.copy_from_slice(&self.0[at as usize..][..bytes.len()]);
            Ok(())
        }
    }

    /// As they come back, and the number of runs.
    fn round_trip<T: Stored>(rows: &[T]) -> (Vec<T>, usize) {
        let (mut kept, mut at, mut runs) = (Bytes(vec![7; 3]), 3, Vec::new());
        let mut write = |bytes: &[u8]| {
            kept.0.extend_from_slice(bytes);
            Ok::<_, EngineError>(())
        };
        write_rows(rows.iter(), &mut at, &mut write, |run| {
            runs.push(run);
            Ok(())
        })
        .unwrap();
        assert_eq!(at as usize, kept.0.len());
        let mut found = Vec::new();
        for run in &runs {
            run.read(&kept, &mut |row| {
                found.push(row);
                Ok(())
            })
            .unwrap();
        }
        (found, runs.len())
    }

    #[test]
    fn interactions_come_back_as_they_were_at_the_ends_of_their_ranges() {
        let mut rows = vec![
            InteractionRow::new(i64::MIN, 0, 0, InteractionKind::Post, i64::MIN),
            InteractionRow::new(i64::MAX, u32::MAX, (1 << 22) - 1, InteractionKind::Access, i64::MAX),
            InteractionRow::new(-1, 127, 128, InteractionKind::HelpRequest, -1),
            InteractionRow::new(0, 128, 127, InteractionKind::PostReply, 0),
        ];
        // more than one run
        rows.extend((0..50_000).map(|i| InteractionRow::new(i * 977 % 1000, 70_000, 300, InteractionKind::Access, 3)));
        let (found, runs) = round_trip(&rows);
        assert!(runs > 4, "{runs}");
        let same = |(a, b): (&InteractionRow, &InteractionRow)| {
            (a.user, a.amount, a.path, a.day(), a.kind()) == (b.user, b.amount, b.path, b.day(), b.kind())
        };
        assert!(found.len() == rows.len() && found.iter().zip(&rows).all(same));
    }

    #[test]
    fn assignments_come_back_with_every_flag_and_the_bits_of_their_grades() {
        let grades = [0.1 + 0.2, -0.0, f64::NAN, f64::MIN_POSITIVE];
        let rows: Vec<_> = (0..32)
            .map(|i| AssignmentRow {
                user: i64::MAX - i,
                grade: grades[i as usize % 4],
                path: i as u32,
                event_day: u32::MAX,
                submitted_day: 300 * i as u32,
                submitted: i & 1 != 0,
                late: i & 2 != 0,
                dated: i & 4 != 0,
            })
            .collect();
        let found = round_trip(&rows).0;
        assert_eq!(found.len(), rows.len());
        for (a, b) in found.iter().zip(&rows) {
            assert_eq!(
                (a.user, a.path, a.event_day, a.submitted_day),
                (b.user, b.path, b.event_day, b.submitted_day)
            );
            assert_eq!((a.submitted, a.late, a.dated), (b.submitted, b.late, b.dated));
            assert_eq!(a.grade.to_bits(), b.grade.to_bits());
        }
    }

    #[test]
    fn bytes_of_something_else_are_refused() {
        let run = |bytes: u32, rows| Run { at: 0, bytes, rows };
        let read = |run: Run, bytes: &[u8]| run.read::<InteractionRow>(&Bytes(bytes.to_vec()), &mut |_| Ok(()));
        assert!(read(run(4, 1), &[2, 1, 1, 2]).is_ok());
        assert!(read(run(4, 1), &[2, 1, 1, 0x82]).is_err(), "a number without end");
        assert!(read(run(4, 2), &[2, 1, 1, 2]).is_err(), "fewer rows");
        assert!(read(run(5, 1), &[2, 1, 1, 2, 2]).is_err(), "more bytes");
        assert!(run(1, 1).read::<InteractionRow>(&Nowhere, &mut |_| Ok(())).is_err());
    }
}
