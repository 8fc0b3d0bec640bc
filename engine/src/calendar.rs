//! Grains: from a day to the period it belongs to.
//!
//! Days are numbers, `i32`, counted from 2000-01-01 (PostgreSQL's `date` epoch) in the proleptic Gregorian calendar;
//! there are no strings, time zones or clocks here. The day <-> civil date arithmetic is Howard Hinnant's
//! (`days_from_civil`, `civil_from_days`, "chrono-Compatible Low-Level Date Algorithms"), in 64 bits, so it holds for
//! every `i32`.

use std::fmt;
use std::str::FromStr;

use crate::error::{EngineError, Result};

/// First day PostgreSQL's `date` can hold (Julian day 0, 4714-11-24 BC).
pub const MIN_DAY: i32 = -2_451_545;
/// Last day PostgreSQL's `date` can hold (5874897-12-31).
pub const MAX_DAY: i32 = 2_145_031_948;
/// Longest range a [`Periods`] table is made for: about 11 000 years; a longer one is taken for a mistake.
pub const MAX_RANGE_DAYS: u32 = (1 << 22) - 1;

/// Days from 0000-03-01 to 2000-01-01.
const EPOCH_SHIFT: i64 = 730_425;
const DAYS_PER_ERA: i64 = 146_097;

/// Time grain of a cube row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Grain {
    Week,
    Fortnight,
    Month,
    Quarter,
    Semester,
    Year,
    /// One period: the whole range.
    All,
}

impl Grain {
    /// Every grain, finest first.
    pub const ALL: [Grain; 7] = [
        Grain::Week,
        Grain::Fortnight,
        Grain::Month,
        Grain::Quarter,
        Grain::Semester,
        Grain::Year,
        Grain::All,
    ];

    /// Position in [`Grain::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in SQL, such as `FORTNIGHT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Grain::Week => "WEEK",
            Grain::Fortnight => "FORTNIGHT",
            Grain::Month => "MONTH",
            Grain::Quarter => "QUARTER",
            Grain::Semester => "SEMESTER",
            Grain::Year => "YEAR",
            Grain::All => "ALL",
        }
    }
}

impl fmt::Display for Grain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Grain {
    type Err = EngineError;

    /// # Errors
    /// [`EngineError::InvalidParameter`], listing the names.
    fn from_str(name: &str) -> Result<Self> {
        Grain::ALL
            .into_iter()
            .find(|grain| grain.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                EngineError::invalid(
                    "grain",
                    "one of WEEK, FORTNIGHT, MONTH, QUARTER, SEMESTER, YEAR, ALL",
                    name,
                )
            })
    }
}

/// The day a week starts on, 0 = Sunday ... 6 = Saturday. Default Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FirstDayOfWeek(u8);

impl FirstDayOfWeek {
    pub const SUNDAY: FirstDayOfWeek = FirstDayOfWeek(0);
    pub const MONDAY: FirstDayOfWeek = FirstDayOfWeek(1);

    /// # Errors
    /// [`EngineError::InvalidParameter`] beyond 6.
    pub fn new(day: u8) -> Result<Self> {
        if day > 6 {
            return Err(EngineError::invalid(
                "first day of week",
                "between 0 (Sunday) and 6 (Saturday)",
                day,
            ));
        }
        Ok(Self(day))
    }

    /// 0 = Sunday ... 6 = Saturday.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Inclusive range of days, never empty, inside what a PostgreSQL `date` can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    first: i32,
    last: i32,
}

impl DateRange {
    /// # Errors
    /// [`EngineError::InvalidParameter`] when `last` is before `first`, or either is no finite PostgreSQL date.
    pub fn new(first: i32, last: i32) -> Result<Self> {
        for (name, day) in [("first day", first), ("last day", last)] {
            if !(MIN_DAY..=MAX_DAY).contains(&day) {
                let expected = format!("a day between {MIN_DAY} and {MAX_DAY}");
                return Err(EngineError::invalid(name, expected, day));
            }
        }
        if last < first {
            let expected = format!("on or after the range's first day ({first})");
            return Err(EngineError::invalid("last day", expected, last));
        }
        Ok(Self { first, last })
    }

    pub const fn first(self) -> i32 {
        self.first
    }

    pub const fn last(self) -> i32 {
        self.last
    }

    /// Number of days, at least 1.
    pub fn days(self) -> u32 {
        self.last.abs_diff(self.first).saturating_add(1)
    }

    pub fn contains(self, day: i32) -> bool {
        (self.first..=self.last).contains(&day)
    }

    /// Days since the range's first day; none outside the range.
    #[inline]
    pub fn offset(self, day: i32) -> Option<u32> {
        self.contains(day).then(|| day.abs_diff(self.first))
    }
}

/// A date of the proleptic Gregorian calendar; year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CivilDate {
    pub year: i64,
    /// 1..=12
    pub month: u8,
    /// 1..=31
    pub day: u8,
}

impl CivilDate {
    /// The date of a day number.
    pub fn from_days(day: i32) -> Self {
        let shifted = i64::from(day) + EPOCH_SHIFT;
        let era = shifted.div_euclid(DAYS_PER_ERA);
        let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        // the computational year starts on 1 March, so that the leap day is its last day
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: day as u8,
        }
    }

    /// The day number of a date, in 64 bits: the periods at the edge of the `i32` days reach beyond them.
    pub fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let march_month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * DAYS_PER_ERA + day_of_era - EPOCH_SHIFT
    }
}

/// Day of the week, 0 = Sunday ... 6 = Saturday.
pub fn day_of_week(day: i32) -> u8 {
    // 2000-01-01 was a Saturday
    (i64::from(day) + 6).rem_euclid(7) as u8
}

/// First day of the period `day` belongs to; for [`Grain::All`] it is `range_start`. Saturates at the ends of `i32`.
pub fn period_start(grain: Grain, day: i32, first_day_of_week: FirstDayOfWeek, range_start: i32) -> i32 {
    let date = CivilDate::from_days(day);
    let start = match grain {
        Grain::Week => i64::from(day) - days_into_week(day, first_day_of_week),
        Grain::Fortnight => i64::from(day) - i64::from(date.day - if date.day <= 15 { 1 } else { 16 }),
        Grain::Month => i64::from(day) - i64::from(date.day - 1),
        Grain::Quarter => first_of_block(date, 3),
        Grain::Semester => first_of_block(date, 6),
        Grain::Year => first_of_block(date, 12),
        Grain::All => i64::from(range_start),
    };
    saturate(start)
}

/// Last day of the period `day` belongs to; for [`Grain::All`] it is `range_end`. Saturates at the ends of `i32`.
pub fn period_end(grain: Grain, day: i32, first_day_of_week: FirstDayOfWeek, range_end: i32) -> i32 {
    let date = CivilDate::from_days(day);
    let end = match grain {
        Grain::Week => i64::from(day) - days_into_week(day, first_day_of_week) + 6,
        Grain::Fortnight if date.day <= 15 => i64::from(day) + i64::from(15 - date.day),
        Grain::Fortnight | Grain::Month => last_of_block(date, 1),
        Grain::Quarter => last_of_block(date, 3),
        Grain::Semester => last_of_block(date, 6),
        Grain::Year => last_of_block(date, 12),
        Grain::All => i64::from(range_end),
    };
    saturate(end)
}

fn days_into_week(day: i32, first_day_of_week: FirstDayOfWeek) -> i64 {
    i64::from((day_of_week(day) + 7 - first_day_of_week.0) % 7)
}

/// Day number of the first day of the block of `months` months that holds the date; blocks start in January.
fn first_of_block(date: CivilDate, months: u8) -> i64 {
    let month = (date.month - 1) / months * months + 1;
    let first = CivilDate { month, day: 1, ..date };
    first.to_days()
}

fn last_of_block(date: CivilDate, months: u8) -> i64 {
    let next = (date.month - 1) / months * months + 1 + months;
    let first_after = CivilDate {
        year: date.year + i64::from(next > 12),
        month: if next > 12 { next - 12 } else { next },
        day: 1,
    };
    first_after.to_days() - 1
}

fn saturate(day: i64) -> i32 {
    day.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// One slot of a grain, both days inclusive, with its full calendar bounds even where the range cuts through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub start: i32,
    pub end: i32,
}

/// The periods of one grain over one range, and the period of each of its days by table look-up.
#[derive(Debug, Clone)]
pub struct Periods {
    grain: Grain,
    range: DateRange,
    periods: Vec<Period>,
    /// Position in `periods` of each day of the range, by days since the range's first.
    ordinals: Vec<u32>,
}

impl Periods {
    /// Bytes a table over `range` takes at most; reserve them before building it.
    pub fn max_bytes(range: DateRange) -> usize {
        let days = range.days() as usize;
        // a week is the shortest period; one more at each end is cut by the range
        days.saturating_mul(size_of::<u32>())
            .saturating_add((days / 7 + 2).saturating_mul(size_of::<Period>()))
    }

    /// # Errors
    /// [`EngineError::InvalidParameter`] for a range longer than [`MAX_RANGE_DAYS`].
    pub fn new(grain: Grain, range: DateRange, first_day_of_week: FirstDayOfWeek) -> Result<Self> {
        let days = range.days();
        if days > MAX_RANGE_DAYS {
            let expected = format!("at most {MAX_RANGE_DAYS} days long");
            return Err(EngineError::invalid("range", expected, days));
        }
        let mut periods = Vec::with_capacity(days as usize / 7 + 2);
        let mut ordinals = Vec::with_capacity(days as usize);
        let mut day = range.first;
        loop {
            let period = Period {
                start: period_start(grain, day, first_day_of_week, range.first),
                end: period_end(grain, day, first_day_of_week, range.last),
            };
            let covered = period.end.min(range.last).abs_diff(day) as usize + 1;
            ordinals.resize(ordinals.len() + covered, periods.len() as u32);
            periods.push(period);
            if period.end >= range.last {
                break;
            }
            day = period.end + 1;
        }
        Ok(Self {
            grain,
            range,
            periods,
            ordinals,
        })
    }

    pub fn grain(&self) -> Grain {
        self.grain
    }

    pub fn range(&self) -> DateRange {
        self.range
    }

    /// The periods that overlap the range, in order.
    pub fn as_slice(&self) -> &[Period] {
        &self.periods
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Period> + '_ {
        self.periods.iter().copied()
    }

    /// How many periods overlap the range; at least 1.
    pub fn count(&self) -> usize {
        self.periods.len()
    }

    /// Position of the day's period in [`Periods::as_slice`]; none outside the range.
    #[inline]
    pub fn ordinal(&self, day: i32) -> Option<u32> {
        let offset = self.range.offset(day)?;
        self.ordinals.get(offset as usize).copied()
    }

    /// The table behind [`Periods::ordinal`], indexed by days since the range's first; shape (days of the range).
    #[inline]
    pub fn ordinals(&self) -> &[u32] {
        &self.ordinals
    }
}
