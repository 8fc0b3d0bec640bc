//! The calendar against chrono, and the boundaries of the contract written out by hand.

use chrono::{Datelike, Days, Months, NaiveDate};
use empatia_engine::calendar::{
    day_of_week, period_end, period_start, CivilDate, DateRange, FirstDayOfWeek, Grain, Periods, MAX_DAY,
    MAX_RANGE_DAYS, MIN_DAY,
};
use empatia_engine::error::EngineError;
use proptest::prelude::*;

fn epoch() -> NaiveDate {
    NaiveDate::from_ymd_opt(2000, 1, 1).unwrap()
}

fn day(year: i32, month: u32, day: u32) -> i32 {
    let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
    i32::try_from((date - epoch()).num_days()).unwrap()
}

fn number(date: NaiveDate) -> i32 {
    i32::try_from((date - epoch()).num_days()).unwrap()
}

fn date(day: i32) -> NaiveDate {
    epoch() + chrono::TimeDelta::days(i64::from(day))
}

/// The contract's table, in chrono's terms.
fn chrono_period(grain: Grain, on: NaiveDate, first_day: u8, range: (i32, i32)) -> (i32, i32) {
    let month_start = on.with_day(1).unwrap();
    let next_month = month_start + Months::new(1);
    let block = |months: u32| {
        let month0 = on.month0() / months * months;
        let start = NaiveDate::from_ymd_opt(on.year(), month0 + 1, 1).unwrap();
        let end = start + Months::new(months) - Days::new(1);
        (number(start), number(end))
    };
    match grain {
        Grain::Week => {
            let mut start = on;
            while start.weekday().num_days_from_sunday() != u32::from(first_day) {
                start = start.pred_opt().unwrap();
            }
            (number(start), number(start + Days::new(6)))
        }
        Grain::Fortnight if on.day() <= 15 => (number(month_start), number(on.with_day(15).unwrap())),
        Grain::Fortnight => (number(on.with_day(16).unwrap()), number(next_month - Days::new(1))),
        Grain::Month => block(1),
        Grain::Quarter => block(3),
        Grain::Semester => block(6),
        Grain::Year => block(12),
        Grain::All => range,
    }
}

#[test]
fn civil_date_of_every_day_of_eleven_centuries_is_chronos() {
    let (first, last) = (day(1490, 1, 1), day(2610, 12, 31));
    for number in first..=last {
        let expected = date(number);
        let found = CivilDate::from_days(number);
        assert_eq!(
            (found.year, u32::from(found.month), u32::from(found.day)),
            (i64::from(expected.year()), expected.month(), expected.day())
        );
        assert_eq!(found.to_days(), i64::from(number));
        assert_eq!(
            u32::from(day_of_week(number)),
            expected.weekday().num_days_from_sunday()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn period_bounds_are_chronos(
        on in -3_000_000..3_000_000i32, first_day in 0..7u8, before in 0..500i32, after in 0..500i32
    ) {
        let range = (on - before, on + after);
        let week = FirstDayOfWeek::new(first_day).unwrap();
        for grain in Grain::ALL {
            let found = (
                period_start(grain, on, week, range.0),
                period_end(grain, on, week, range.1),
            );
            prop_assert_eq!(found, chrono_period(grain, date(on), first_day, range), "{}", grain);
        }
    }

    #[test]
    fn period_table_maps_each_day_as_the_functions_do(
        first in -200_000..200_000i32, length in 0..1500i32, first_day in 0..7u8
    ) {
        let range = DateRange::new(first, first + length).unwrap();
        let week = FirstDayOfWeek::new(first_day).unwrap();
        for grain in Grain::ALL {
            let table = Periods::new(grain, range, week).unwrap();
            for on in range.first()..=range.last() {
                let period = table.as_slice()[table.ordinal(on).unwrap() as usize];
                prop_assert_eq!(period.start, period_start(grain, on, week, range.first()));
                prop_assert_eq!(period.end, period_end(grain, on, week, range.last()));
            }
            // contiguous, so dense ordinals: none missing, none twice
            for pair in table.as_slice().windows(2) {
                prop_assert_eq!(pair[0].end + 1, pair[1].start);
            }
            prop_assert_eq!(table.ordinals().len(), range.days() as usize);
            prop_assert_eq!(table.count() - 1, *table.ordinals().last().unwrap() as usize);
            prop_assert_eq!(table.ordinal(range.first() - 1), None);
            prop_assert_eq!(table.ordinal(range.last() + 1), None);
        }
    }
}

#[test]
fn fortnight_of_a_range_that_starts_inside_it_is_kept_with_full_bounds() {
    // the reference pipeline drops the first fortnight here
    let range = DateRange::new(day(2024, 2, 10), day(2024, 3, 3)).unwrap();
    let table = Periods::new(Grain::Fortnight, range, FirstDayOfWeek::SUNDAY).unwrap();
    let bounds: Vec<(i32, i32)> = table.iter().map(|p| (p.start, p.end)).collect();
    assert_eq!(
        bounds,
        [
            (day(2024, 2, 1), day(2024, 2, 15)),
            (day(2024, 2, 16), day(2024, 2, 29)),
            (day(2024, 3, 1), day(2024, 3, 15)),
        ]
    );
    assert_eq!(table.ordinal(day(2024, 2, 15)), Some(0));
    assert_eq!(table.ordinal(day(2024, 2, 16)), Some(1));
    assert_eq!(table.ordinal(day(2024, 2, 9)), None);
}

#[test]
fn week_default_is_the_sunday_on_or_before() {
    // 2024-05-15 was a Wednesday
    let on = day(2024, 5, 15);
    let start = |first: u8| period_start(Grain::Week, on, FirstDayOfWeek::new(first).unwrap(), 0);
    assert_eq!(FirstDayOfWeek::default(), FirstDayOfWeek::SUNDAY);
    assert_eq!(start(0), day(2024, 5, 12));
    assert_eq!(start(1), day(2024, 5, 13));
    assert_eq!(start(3), on);
    assert_eq!(start(4), day(2024, 5, 9));
    assert_eq!(start(6), day(2024, 5, 11));
}

#[test]
fn leap_days_of_century_years_follow_the_gregorian_rule() {
    let month_end = |y, m| period_end(Grain::Month, day(y, m, 1), FirstDayOfWeek::SUNDAY, 0);
    assert_eq!(month_end(1900, 2), day(1900, 2, 28));
    assert_eq!(month_end(2000, 2), day(2000, 2, 29));
    assert_eq!(month_end(2023, 2), day(2023, 2, 28));
    assert_eq!(month_end(2024, 2), day(2024, 2, 29));
    assert_eq!(month_end(2100, 2), day(2100, 2, 28));
}

#[test]
fn last_day_of_the_year_closes_every_calendar_grain() {
    for grain in Grain::ALL.into_iter().skip(1) {
        let on = day(2023, 12, 31);
        assert_eq!(period_end(grain, on, FirstDayOfWeek::SUNDAY, on), on, "{grain}");
        let next = day(2024, 1, 1);
        assert_eq!(period_start(grain, next, FirstDayOfWeek::SUNDAY, next), next, "{grain}");
    }
}

#[test]
fn all_is_one_period_with_the_ranges_own_bounds() {
    let range = DateRange::new(-7, 400).unwrap();
    let table = Periods::new(Grain::All, range, FirstDayOfWeek::MONDAY).unwrap();
    assert_eq!(table.count(), 1);
    assert_eq!((table.as_slice()[0].start, table.as_slice()[0].end), (-7, 400));
}

#[test]
fn extreme_days_neither_overflow_nor_panic() {
    for on in [i32::MIN, i32::MIN + 1, MIN_DAY, MAX_DAY, i32::MAX - 1, i32::MAX] {
        assert_eq!(CivilDate::from_days(on).to_days(), i64::from(on));
        for grain in Grain::ALL {
            assert!(period_start(grain, on, FirstDayOfWeek::SUNDAY, on) <= on);
            assert!(period_end(grain, on, FirstDayOfWeek::SUNDAY, on) >= on);
        }
    }
    let last = CivilDate::from_days(MAX_DAY);
    assert_eq!((last.year, last.month, last.day), (5_874_897, 12, 31));
    let edge = DateRange::new(MAX_DAY - 10, MAX_DAY).unwrap();
    assert!(Periods::new(Grain::Week, edge, FirstDayOfWeek::SUNDAY).is_ok());
}

#[test]
fn ranges_and_names_outside_the_domain_are_refused_with_the_valid_ones() {
    let refused = |r: Result<_, EngineError>| matches!(r, Err(EngineError::InvalidParameter { .. }));
    assert!(refused(DateRange::new(5, 4).map(|_| ())));
    assert!(refused(DateRange::new(i32::MIN, 0).map(|_| ())));
    assert!(refused(DateRange::new(0, i32::MAX).map(|_| ())));
    assert!(refused(FirstDayOfWeek::new(7).map(|_| ())));
    let eons = DateRange::new(0, MAX_RANGE_DAYS as i32).unwrap();
    assert!(refused(
        Periods::new(Grain::Year, eons, FirstDayOfWeek::SUNDAY).map(|_| ())
    ));
    let error = "DAY".parse::<Grain>().unwrap_err().to_string();
    assert_eq!(
        error,
        "grain must be one of WEEK, FORTNIGHT, MONTH, QUARTER, SEMESTER, YEAR, ALL, not DAY"
    );
    for grain in Grain::ALL {
        assert_eq!(grain.as_str().to_lowercase().parse::<Grain>().unwrap(), grain);
        assert_eq!(Grain::ALL[grain.index()], grain);
    }
}
