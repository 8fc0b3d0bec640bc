//! Days and the serial numbers that spreadsheets give them.

/// Day number of 2000-01-01 is 0, as in PostgreSQL.
pub(super) type Day = i32;

/// Excel's serial of 2000-01-01.
const SERIAL_2000: i32 = 36_526;
/// Days by which workbooks that count from 1904 differ.
const FROM_1904: i32 = 1_462;

/// The day, for a date of the years 1 to 9999 that exists.
pub(super) fn day(year: i32, month: u32, day: u32) -> Option<Day> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if !(1..=9999).contains(&year) || day == 0 || day > length {
        return None;
    }
    // Counted from March, so that the leap day is the last of its year.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m as i32 + 2) / 5 + day as i32 - 1;
    Some(days - 730_425)
}

/// Year, month and day.
pub(super) fn civil(day: Day) -> (i32, u32, u32) {
    let z = i64::from(day) + 730_425;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let m = (5 * doy + 2) / 153;
    let (d, month) = (doy - (153 * m + 2) / 5 + 1, if m < 10 { m + 3 } else { m - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year as i32, month as u32, d as u32)
}

/// `2024-01-31`.
pub(super) fn iso(day: Day) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Excel's serial of a day: 1 is 1900-01-01, and 60 the 29th of February 1900, which there never was.
pub(super) fn excel_serial(day: Day) -> i32 {
    let serial = day + SERIAL_2000;
    if serial <= 60 {
        serial - 1
    } else {
        serial
    }
}

/// The day of Excel's serial; the time of day is dropped. None for what is no date.
pub(super) fn from_excel_serial(serial: f64, from_1904: bool) -> Option<Day> {
    if !(0.0..2_958_466.0).contains(&serial) {
        return None;
    }
    let whole = serial.floor() as i32;
    Some(if from_1904 {
        whole + FROM_1904 - SERIAL_2000
    } else if whole < 60 {
        whole + 1 - SERIAL_2000
    } else {
        whole - SERIAL_2000
    })
}

/// The serial that OpenDocument's programs give a day: from 1899-12-30, without Excel's leap day.
pub(super) fn open_document_serial(day: Day) -> f64 {
    f64::from(day + SERIAL_2000)
}

/// The day of `2024-01-31`, also with a time after it.
pub(super) fn iso_date(text: &str) -> Option<Day> {
    match parse(text) {
        Some((day, true)) => Some(day),
        _ => None,
    }
}

/// The day of a written date, and whether its order is beyond doubt: year first, or day first as in Portuguese, unless only the other order exists.
pub(super) fn parse(text: &str) -> Option<(Day, bool)> {
    let text = text.trim();
    let end = text.find([' ', 'T']).unwrap_or(text.len());
    let (date, time) = (&text[..end], &text[end..]);
    if !time
        .chars()
        .skip(1)
        .all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | 'Z' | '+' | '-' | ' '))
    {
        return None;
    }
    let separator = date
        .chars()
        .find(|c| !c.is_ascii_digit())
        .filter(|c| matches!(c, '-' | '/' | '.'))?;
    let parts: Vec<&str> = date.split(separator).collect();
    let [a, b, c] = parts[..] else {
        return None;
    };
    if [a, b, c]
        .iter()
        .any(|part| part.is_empty() || part.len() > 4 || !part.bytes().all(|d| d.is_ascii_digit()))
    {
        return None;
    }
    let number = |part: &str| part.parse::<u32>().ok();
    let (x, y, z) = (number(a)?, number(b)?, number(c)?);
    if a.len() == 4 && b.len() <= 2 && c.len() <= 2 {
        return Some((day(x as i32, y, z)?, true));
    }
    if a.len() > 2 || b.len() > 2 || c.len() != 4 {
        return None;
    }
    match day(z as i32, y, x) {
        Some(found) => Some((found, x > 12 || x == y)),
        None => Some((day(z as i32, x, y)?, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_serials_agree_with_excel() {
        assert_eq!(day(2000, 1, 1), Some(0));
        assert_eq!(day(1970, 1, 1), Some(-10_957));
        assert_eq!(day(2024, 2, 29), Some(8_825));
        assert_eq!(
            (day(2023, 2, 29), day(2024, 13, 1), day(2024, 4, 31)),
            (None, None, None)
        );
        // Microsoft's documentation: 1 January 2008 is 39448
        assert_eq!(excel_serial(day(2008, 1, 1).unwrap()), 39_448);
        assert_eq!(from_excel_serial(39_448.75, false), day(2008, 1, 1));
        assert_eq!(from_excel_serial(37_986.0, true), day(2008, 1, 1));
        for (date, serial) in [
            ((1900, 1, 1), 1),
            ((1900, 1, 11), 11),
            ((1900, 2, 28), 59),
            ((1900, 3, 1), 61),
        ] {
            let day = day(date.0, date.1, date.2).unwrap();
            assert_eq!(excel_serial(day), serial);
            assert_eq!(from_excel_serial(f64::from(serial), false), Some(day));
        }
        for d in (-730_000..2_900_000).step_by(997) {
            let (y, m, dd) = civil(d);
            assert_eq!(day(y, m, dd), Some(d));
        }
    }

    #[test]
    fn written_dates() {
        let known = |y, m, d, sure| Some((day(y, m, d).unwrap(), sure));
        assert_eq!(parse("2024-01-31"), known(2024, 1, 31, true));
        assert_eq!(parse("2024-01-31 10:20:30"), known(2024, 1, 31, true));
        assert_eq!(parse("31/01/2024"), known(2024, 1, 31, true));
        assert_eq!(parse("05.06.2024"), known(2024, 6, 5, false));
        assert_eq!(parse("01/31/2024"), known(2024, 1, 31, true));
        for wrong in [
            "",
            "7,5",
            "1.234.567",
            "2024",
            "31/02/2024",
            "1-2",
            "31/01/24",
            "abc",
            "2024-01-31x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
