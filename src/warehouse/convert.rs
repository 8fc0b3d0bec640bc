//! Conversions of dirty text that return null where Postgres's own casts would fail and take the whole load with them.
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use pgrx::prelude::*;

/// Microseconds between the Unix epoch and the Postgres epoch (2000-01-01).
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Instants that Postgres can store but no learning platform can mean are not instants: 0001-01-01 .. 9999-12-31.
fn postgres_micros(utc: NaiveDateTime) -> Option<i64> {
    let first = NaiveDate::from_ymd_opt(1, 1, 1)?;
    let last = NaiveDate::from_ymd_opt(9999, 12, 31)?;
    if utc.date() < first || utc.date() > last {
        return None;
    }
    Some(utc.and_utc().timestamp_micros() - POSTGRES_EPOCH_MICROS)
}

/// `2024-03-01 10:20:30[.123456]`, with `T` or a space, or a bare date (midnight).
fn local(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    // chrono takes a year of any length: 24-03-01 would be in the days of Tiberius
    if text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    for format in [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(instant) = NaiveDateTime::parse_from_str(text, format) {
            return Some(instant);
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)
}

/// The same with `Z` or an offset.
fn instant(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    // Postgres prints offsets as +00 and -03:30; chrono wants minutes
    let padded;
    let text = match text
        .strip_suffix('Z')
        .or_else(|| text.strip_suffix('z'))
        .or_else(|| text.strip_suffix(" UTC"))
    {
        Some(utc) => return local(utc),
        None if text.as_bytes().get(4) != Some(&b'-') => return None,
        None => match text.len().checked_sub(3).and_then(|at| text.get(at..)) {
            Some(tail) if tail.starts_with(['+', '-']) && text.len() > 13 => {
                padded = format!("{text}:00");
                &padded
            }
            _ => text,
        },
    };
    [
        "%Y-%m-%d %H:%M:%S%.f%:z",
        "%Y-%m-%dT%H:%M:%S%.f%:z",
        "%Y-%m-%d %H:%M:%S%.f%z",
        "%Y-%m-%dT%H:%M:%S%.f%z",
    ]
    .iter()
    .find_map(|format| DateTime::parse_from_str(text, format).ok())
    .map(|zoned| zoned.naive_utc())
}

/// An integer, also one that a spreadsheet or a JSON loader wrote as `12.0`; null for anything else.
#[pg_extern(immutable, parallel_safe, name = "_to_bigint")]
fn to_bigint(value: &str) -> Option<i64> {
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.bytes().all(|digit| digit == b'0') {
        whole.parse().ok()
    } else {
        None
    }
}

/// A finite number; null for anything else.
#[pg_extern(immutable, parallel_safe, name = "_to_double")]
fn to_double(value: &str) -> Option<f64> {
    value.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// true, t, yes, y, on, 1 and their opposites in any case; null for anything else.
#[pg_extern(immutable, parallel_safe, name = "_to_boolean")]
fn to_boolean(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The instant of an ISO 8601 text that names its offset; null for anything else.
#[pg_extern(immutable, parallel_safe, name = "_parse_instant")]
fn parse_instant(value: &str) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(postgres_micros(instant(value)?)?).ok()
}

/// The wall-clock time of an ISO 8601 text without an offset; null for anything else, such as `0000-00-00`.
#[pg_extern(immutable, parallel_safe, name = "_parse_local")]
fn parse_local(value: &str) -> Option<Timestamp> {
    Timestamp::try_from(postgres_micros(local(value)?)?).ok()
}

/// First id that [`source_id`] gives to a text that is no number; numbers of up to 15 digits are below it.
const HASHED_IDS: i64 = 1 << 52;

/// A stable id for a source's own key: the number itself where it is one of up to 15 digits, else a hash of the text in
/// 2^52..2^53, which a double (and so JavaScript) holds exactly.
#[pg_extern(immutable, parallel_safe)]
fn source_id(key: &str) -> Option<i64> {
    let key = key.trim();
    if key.is_empty() {
        return None;
    }
    if key.len() <= 15 && key.bytes().all(|digit| digit.is_ascii_digit()) {
        return key.parse().ok();
    }
    // FNV-1a with a final avalanche (the murmur3 finaliser): fixed for ever, since the ids are stored
    let mut hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    i64::try_from(hash >> 12).ok().map(|low| HASHED_IDS + low)
}
