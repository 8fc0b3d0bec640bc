//! XLS: records of BIFF8 in a compound file. Texts are cut at the seams of short records, and each part has the width that it needs, as Excel does it.

use std::collections::HashMap;

use super::{Cell, Sheet};

/// Data of a record of shared strings; the format's limit is 8224, this has more seams.
const RECORD: usize = 300;
const SECTOR: usize = 512;
const END: u32 = 0xffff_fffe;
const FREE: u32 = 0xffff_ffff;
const TABLE: u32 = 0xffff_fffd;

fn record(stream: &mut Vec<u8>, kind: u16, parts: &[&[u8]]) {
    let data = parts.concat();
    stream.extend_from_slice(&kind.to_le_bytes());
    stream.extend_from_slice(&(data.len() as u16).to_le_bytes());
    stream.extend_from_slice(&data);
}

/// Characters of 8 bits where that is enough, else of 16, behind the flag that says so.
fn characters(units: &[u16]) -> Vec<u8> {
    let wide = units.iter().any(|unit| *unit > 0xff);
    let bytes = units
        .iter()
        .flat_map(|unit| unit.to_le_bytes().into_iter().take(1 + usize::from(wide)));
    [u8::from(wide)].into_iter().chain(bytes).collect()
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// The table of shared strings: the parts of its record and those that continue it.
fn shared(texts: &[String]) -> Vec<Vec<u8>> {
    let count = (texts.len() as u32).to_le_bytes();
    let mut parts = vec![[count, count].concat()];
    let mut widened = 0;
    for text in texts {
        let units = units(text);
        let mut part = parts.pop().unwrap();
        // length, flag and a character are never apart
        if part.len() + 5 > RECORD {
            parts.push(std::mem::take(&mut part));
        }
        part.extend_from_slice(&(units.len() as u16).to_le_bytes());
        let mut rest = units.as_slice();
        loop {
            let room = RECORD - part.len() - 1;
            let narrow = rest.iter().take_while(|unit| **unit <= 0xff).count();
            let taken = if narrow == rest.len() || narrow >= room {
                narrow.min(room)
            } else if 2 * rest.len() <= room {
                rest.len()
            } else if narrow > 0 {
                narrow
            } else {
                rest.len().min(room / 2)
            };
            let (now, later) = rest.split_at(taken);
            part.extend_from_slice(&characters(now));
            rest = later;
            if rest.is_empty() {
                break;
            }
            widened += usize::from(rest.iter().any(|unit| *unit > 0xff) && now.iter().all(|unit| *unit <= 0xff));
            parts.push(std::mem::take(&mut part));
        }
        parts.push(part);
    }
    assert!(
        parts.len() > 30 && widened > 2,
        "{} records, {widened} texts change their width at a seam",
        parts.len()
    );
    parts
}

/// A number in 30 bits, where it fits: the upper half of a double, an integer, an integer of hundredths.
fn short(number: f64) -> Option<u32> {
    let whole = |number: f64| {
        Some(number)
            .filter(|x| x.fract() == 0.0 && x.abs() < f64::from(1 << 29))
            .map(|x| (x as i32) << 2)
    };
    let bits = number.to_bits();
    if bits & 0x3_ffff_ffff == 0 && number.fract() != 0.0 {
        return Some((bits >> 32) as u32);
    }
    whole(number)
        .map(|x| x as u32 | 2)
        .or_else(|| whole(number * 100.0).map(|x| x as u32 | 3))
}

/// Cells of a row; neighbours in 30 bits share a record.
fn row(stream: &mut Vec<u8>, number: usize, cells: &[Cell], shared: &HashMap<&str, u32>) {
    let r = (number as u16).to_le_bytes();
    let mut at = 0;
    while at < cells.len() {
        let c = (at as u16).to_le_bytes();
        let run: Vec<u32> = cells[at..]
            .iter()
            .map_while(|cell| match cell {
                Cell::Number(number) => short(*number),
                _ => None,
            })
            .collect();
        if run.len() > 1 {
            let pairs: Vec<u8> = run
                .iter()
                .flat_map(|value| [&[0, 0][..], &value.to_le_bytes()].concat())
                .collect();
            at += run.len();
            record(stream, 0xbd, &[&r, &c, &pairs, &(at as u16 - 1).to_le_bytes()]);
            continue;
        }
        match &cells[at] {
            Cell::Empty => {}
            Cell::Text(text) => record(stream, 0xfd, &[&r, &c, &[0, 0], &shared[text.as_str()].to_le_bytes()]),
            Cell::Number(number) => match run.first() {
                Some(value) => record(stream, 0x27e, &[&r, &c, &[0, 0], &value.to_le_bytes()]),
                None => record(stream, 0x203, &[&r, &c, &[0, 0], &number.to_le_bytes()]),
            },
            Cell::Date(serial, _) => record(stream, 0x203, &[&r, &c, &[1, 0], &serial.to_le_bytes()]),
            Cell::Bool(truth) => record(stream, 0x205, &[&r, &c, &[0, 0], &[u8::from(*truth), 0]]),
            Cell::Error(shown) => record(
                stream,
                0x205,
                &[&r, &c, &[0, 0], &[if *shown == "#N/A" { 0x2a } else { 0x07 }, 1]],
            ),
        }
        at += 1;
    }
}

fn begin(stream: &mut Vec<u8>, kind: u16) {
    record(
        stream,
        0x809,
        &[&[0, 6], &kind.to_le_bytes(), &[0xbb, 0x0d, 0xcc, 0x07], &[0; 8]],
    );
}

fn workbook(sheets: &[Sheet]) -> Vec<u8> {
    let mut texts: Vec<String> = Vec::new();
    let cells = sheets.iter().flat_map(|sheet| sheet.rows.iter().flatten());
    texts.extend(cells.filter_map(|cell| match cell {
        Cell::Text(text) => Some(text.clone()),
        _ => None,
    }));
    let places: HashMap<&str, u32> = texts.iter().map(String::as_str).zip(0..).collect();
    let mut stream = Vec::new();
    begin(&mut stream, 5);
    let format = characters(&units("YYYY-MM-DD"));
    record(
        &mut stream,
        0x41e,
        &[&164u16.to_le_bytes(), &10u16.to_le_bytes(), &format],
    );
    for style in [0u16, 164] {
        record(&mut stream, 0xe0, &[&[0, 0], &style.to_le_bytes(), &[0; 16]]);
    }
    let mut starts = Vec::new();
    for sheet in sheets {
        starts.push(stream.len() + 4);
        let name = units(sheet.name);
        record(&mut stream, 0x85, &[&[0; 6], &[name.len() as u8], &characters(&name)]);
    }
    for (index, part) in shared(&texts).iter().enumerate() {
        record(&mut stream, if index == 0 { 0xfc } else { 0x3c }, &[part]);
    }
    record(&mut stream, 0x0a, &[]);
    for (sheet, start) in sheets.iter().zip(starts) {
        let here = (stream.len() as u32).to_le_bytes();
        stream[start..start + 4].copy_from_slice(&here);
        begin(&mut stream, 0x10);
        for (number, cells) in sheet.rows.iter().enumerate() {
            row(&mut stream, number, cells, &places);
        }
        record(&mut stream, 0x0a, &[]);
    }
    stream
}

/// An entry of the directory: its kind (5 root, 2 stream), first child, first sector and size.
fn entry(name: &str, kind: u8, child: u32, start: u32, size: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = units(name).into_iter().flat_map(u16::to_le_bytes).collect();
    let length = bytes.len() as u16 + 2;
    bytes.resize(64, 0);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[kind, 1]);
    [FREE, FREE, child]
        .iter()
        .for_each(|link| bytes.extend_from_slice(&link.to_le_bytes()));
    bytes.resize(116, 0);
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.resize(128, 0);
    bytes
}

/// Sector 0 is the directory, then comes the stream, then the table of sectors.
pub fn write(sheets: &[Sheet]) -> Vec<u8> {
    let mut stream = workbook(sheets);
    let size = stream.len() as u32;
    assert!(size >= 4096, "smaller streams stand elsewhere");
    stream.resize(stream.len().div_ceil(SECTOR) * SECTOR, 0);
    let sectors = stream.len() / SECTOR;
    let tables = (1..)
        .find(|tables| tables * SECTOR / 4 >= 1 + sectors + tables)
        .unwrap();
    let mut table = vec![END];
    table.extend((2..=sectors as u32).chain([END]));
    table.resize(1 + sectors + tables, TABLE);
    table.resize(tables * SECTOR / 4, FREE);

    let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    file.resize(24, 0);
    [0x3eu16, 3, 0xfffe, 9, 6, 0, 0, 0]
        .iter()
        .for_each(|short| file.extend_from_slice(&short.to_le_bytes()));
    let first_table = 1 + sectors as u32;
    for long in [0, tables as u32, 0, 0, 4096, END, 0, END, 0]
        .into_iter()
        .chain(first_table..first_table + tables as u32)
    {
        file.extend_from_slice(&long.to_le_bytes());
    }
    file.resize(SECTOR, 0xff);
    let directory = [
        entry("Root Entry", 5, 1, END, 0),
        entry("Workbook", 2, FREE, 1, size),
        vec![0; 256],
    ];
    file.extend(directory.concat());
    file.extend(stream);
    file.extend(table.iter().flat_map(|sector| sector.to_le_bytes()));
    file
}
