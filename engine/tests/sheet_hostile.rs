//! Files made to harm: broken, cut off, expanding, lying about their size. Faults guarded against: a panic, an allocation that a file
//! decides, a loop without end, memory beyond the budget, a cancel that is not noticed.

mod sheet_support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use empatia_engine::context::Context;
use empatia_engine::error::EngineError;
use empatia_engine::sheet::{import, Definition, Options};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sheet_support::{archive, files};

const BUDGET: usize = 64 << 20;

fn definition() -> Definition {
    Definition::from_json(
        r#"{"columns": [{"name": "ra", "type": "text", "role": "key"}, {"name": "nota", "type": "number"}]}"#,
    )
    .unwrap()
}

fn options() -> Options {
    Options {
        sheet: None,
        year: Some(2024),
        file: String::new(),
        max_rows: 1 << 20,
    }
}

fn read(ctx: &Context, bytes: &[u8]) -> Result<usize, EngineError> {
    let file = import(ctx, bytes, &definition(), &options())?;
    Ok(file.sheets.iter().map(|sheet| sheet.rows()).sum())
}

const WORKBOOK: &[u8] = br#"<workbook xmlns:r="r"><sheets><sheet name="a" r:id="r1"/></sheets></workbook>"#;
const RELATIONS: &[u8] = br#"<Relationships><Relationship Id="r1" Type="x/worksheet" Target="s.xml"/></Relationships>"#;

fn workbook(sheet: &[u8], strings: &[u8]) -> Vec<u8> {
    archive(&[
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", RELATIONS),
        ("xl/s.xml", sheet),
        ("xl/sharedStrings.xml", strings),
    ])
}

fn ods(content: &str) -> Vec<u8> {
    archive(&[("content.xml", content.as_bytes())])
}

const HEADER: &str = r#"<row r="1"><c r="A1" t="str"><v>ra</v></c><c r="B1" t="str"><v>nota</v></c></row>"#;

#[test]
fn mutations_end_and_stay_within_their_memory() {
    let ctx = Context::builder().memory_budget(BUDGET).build().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let csv = "ra;nota\nA1;7,5\n\"A\"\"2\";1.234,5\r\nç;-\r".repeat(20).into_bytes();
    for (name, bytes) in files().into_iter().chain([("csv", csv)]) {
        let (mut read_well, mut refused) = (0, 0);
        for round in 0..1500 {
            let mut bytes = bytes.clone();
            match round % 5 {
                0 => bytes.truncate(random.gen_range(0..bytes.len())),
                1 => {
                    let at = random.gen_range(0..bytes.len());
                    let length = random.gen_range(1..64).min(bytes.len() - at);
                    random.fill(&mut bytes[at..at + length]);
                }
                2 => {
                    // sizes and offsets like to stand at multiples of two
                    let at = random.gen_range(0..bytes.len() / 2 - 4) * 2;
                    let value: u32 = [0, 1, u32::MAX, u32::MAX - 1, 0x7fff_ffff, 0x1_0000][random.gen_range(0..6)];
                    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
                3 => {
                    let (from, to) = (random.gen_range(0..bytes.len()), random.gen_range(0..bytes.len()));
                    let (whole, length) = (bytes.len(), 100.min(bytes.len() - from));
                    bytes.copy_within(from..from + length, to.min(whole - length));
                }
                _ => {
                    for _ in 0..random.gen_range(1..8) {
                        let at = random.gen_range(0..bytes.len());
                        bytes[at] ^= 1 << random.gen_range(0..8);
                    }
                }
            }
            match read(&ctx, &bytes) {
                Ok(_) => read_well += 1,
                Err(EngineError::Sheet(_) | EngineError::Memory { .. }) => refused += 1,
                Err(other) => panic!("{name}: {other}"),
            }
            assert_eq!(ctx.in_use(), 0, "{name}: what was reserved is given back");
        }
        println!("{name}: {read_well} read, {refused} refused");
        assert!(refused > 0, "{name}");
    }
}

/// Mutations behind the compression, where checksums do not catch them.
#[test]
fn mutated_xml_ends() {
    let ctx = Context::builder().memory_budget(BUDGET).build().unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    let sheet = format!(
        r#"<worksheet><sheetData>{HEADER}<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" s="0"><v>7.5</v></c><c t="inlineStr"><is><t>x</t></is></c></row></sheetData></worksheet>"#
    );
    let strings = r#"<sst uniqueCount="1"><si><r><t>A&amp;1</t></r><rPh><t>no</t></rPh></si></sst>"#;
    let table = r#"<office:body><table:table table:name="a"><table:table-row table:number-rows-repeated="1"><table:table-cell office:value-type="string"><text:p>ra</text:p></table:table-cell><table:table-cell office:value-type="string" table:number-columns-repeated="1"><text:p>nota</text:p></table:table-cell></table:table-row></table:table></office:body>"#;
    assert_eq!(read(&ctx, &workbook(sheet.as_bytes(), strings.as_bytes())).unwrap(), 1);
    assert_eq!(read(&ctx, &ods(table)).unwrap(), 0);
    for _ in 0..3000 {
        let mut mutate = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..random.gen_range(1..4) {
                if bytes.is_empty() {
                    return bytes;
                }
                let at = random.gen_range(0..bytes.len());
                match random.gen_range(0..4) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes.insert(at, b"<>&\"/=9 \0\xff"[random.gen_range(0..10)]),
                    2 => bytes[at] = random.gen(),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            bytes
        };
        let (sheet, strings, table) = (mutate(&sheet), mutate(strings), mutate(table));
        let _ = read(&ctx, &workbook(&sheet, &strings));
        let _ = read(&ctx, &archive(&[("content.xml", &table)]));
        assert_eq!(ctx.in_use(), 0);
    }
}

#[test]
fn a_cell_at_the_far_corner_costs_nothing() {
    let ctx = Context::builder().memory_budget(4 << 20).build().unwrap();
    let sheet = format!(
        r#"<worksheet><sheetData>{HEADER}<row r="1048576"><c r="A1048576" t="str"><v>A1</v></c><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>"#
    );
    assert_eq!(read(&ctx, &workbook(sheet.as_bytes(), b"<sst/>")).unwrap(), 1);
}

#[test]
fn sizes_that_a_file_declares_are_not_believed() {
    let ctx = Context::builder().memory_budget(4 << 20).build().unwrap();
    let sheet = format!(
        r#"<worksheet><dimension ref="A1:XFD1048576"/><sheetData>{HEADER}<row r="2"><c r="A2" t="s"><v>0</v></c></row></sheetData></worksheet>"#
    );
    // a common reader allocates these strings beforehand
    let strings = br#"<sst count="9999999999999" uniqueCount="9999999999999"><si><t>A1</t></si></sst>"#;
    assert_eq!(read(&ctx, &workbook(sheet.as_bytes(), strings)).unwrap(), 1);
}

#[test]
fn bombs_are_refused() {
    let ctx = Context::builder().memory_budget(BUDGET).build().unwrap();
    // 200 MB of spaces in 200 kB
    let blank = vec![b' '; 200 << 20];
    let error = read(&ctx, &workbook(&blank, b"<sst/>")).unwrap_err().to_string();
    assert!(
        error.contains("expands to more than") || error.contains("an element of more than"),
        "{error}"
    );
    // as many strings as fit into what an entry may expand to
    let many = ["<sst>".as_bytes(), &b"<si><t>ab</t></si>".repeat(6 << 20), b"</sst>"].concat();
    let error = read(&ctx, &workbook(b"<worksheet/>", &many)).unwrap_err();
    assert!(
        matches!(error, EngineError::Memory { .. } | EngineError::Sheet(_)),
        "{error}"
    );
    // one repeated cell that means a thousand million
    let repeated = r#"<table:table table:name="a"><table:table-row><table:table-cell office:value-type="string"><text:p>ra</text:p></table:table-cell></table:table-row><table:table-row table:number-rows-repeated="1000000"><table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="16000"/></table:table-row></table:table>"#;
    let error = read(&ctx, &ods(&format!("<d>{repeated}</d>"))).unwrap_err();
    assert!(matches!(error, EngineError::Memory { .. }), "{error}");
    // elements in elements
    let deep = "<a>".repeat(1 << 20);
    let error = read(&ctx, &workbook(deep.as_bytes(), b"<sst/>"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("nested too deeply"), "{error}");
    assert_eq!(ctx.in_use(), 0);
}

#[test]
fn other_things_are_named() {
    let ctx = Context::builder().memory_budget(BUDGET).build().unwrap();
    for (bytes, message) in [
        (
            &b"%PDF-1.7 ..."[..],
            "expected XLSX, XLS, ODS or delimited text, found a PDF",
        ),
        (b"", "expected XLSX, XLS, ODS or delimited text, found an empty file"),
        (
            b"\x7fELF\0\0\0\x02",
            "expected XLSX, XLS, ODS or delimited text, found binary data",
        ),
        (
            b"<html><table>",
            "expected XLSX, XLS, ODS or delimited text, found HTML or XML",
        ),
        (
            b"a;b\n1;2\n",
            "no row of the file names the key column ra; the first row has a, b",
        ),
    ] {
        assert_eq!(read(&ctx, bytes).unwrap_err().to_string(), message);
    }
    let document = archive(&[("_rels/.rels", b"<r/>"), ("word/document.xml", b"<w/>")]);
    assert_eq!(
        read(&ctx, &document).unwrap_err().to_string(),
        "expected XLSX, XLS, ODS or delimited text, found a ZIP archive of something else"
    );
}

#[test]
fn a_cancel_ends_the_reading() {
    let csv: Vec<u8> = ["ra;nota\n".to_owned()]
        .into_iter()
        .chain((0..3_000_000).map(|i| format!("A{i};7,5\n")))
        .collect::<String>()
        .into_bytes();
    let mut sheet = format!("<worksheet><sheetData>{HEADER}");
    (2..400_000).for_each(|r| {
        sheet.push_str(&format!(
            r#"<row r="{r}"><c r="A{r}" t="str"><v>A{r}</v></c><c r="B{r}"><v>{r}</v></c></row>"#
        ))
    });
    sheet.push_str("</sheetData></worksheet>");
    let xlsx = workbook(sheet.as_bytes(), b"<sst/>");
    // The best of some tries: the machine may be busy with other tests, but not with each of them.
    for bytes in [csv, xlsx] {
        for wait in [20, 150, 400] {
            let took = (0..TRIES).map(|_| cancel_after(&bytes, Duration::from_millis(wait)));
            let noticed = took.into_iter().any(|took| took < Duration::from_millis(100));
            assert!(
                noticed,
                "cancelled after {wait} ms: 100 ms and more in each of {TRIES} tries"
            );
        }
    }
}

const TRIES: usize = 10;

/// Reads on another thread, cancels it after a while, and returns what passes from there until it has ended.
fn cancel_after(bytes: &[u8], wait: Duration) -> Duration {
    let flag = Arc::new(AtomicBool::new(false));
    let ctx = Context::builder().cancel_flag(Arc::clone(&flag)).build().unwrap();
    let options = Options {
        max_rows: 1 << 30,
        ..options()
    };
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| import(&ctx, bytes, &definition(), &options).map(|file| file.sheets.len()));
        std::thread::sleep(wait);
        flag.store(true, Ordering::Relaxed);
        let raised = Instant::now();
        let outcome = reading.join().unwrap();
        let took = raised.elapsed();
        assert!(
            outcome.is_ok() || matches!(outcome, Err(EngineError::Cancelled)),
            "{outcome:?}"
        );
        took
    })
}
