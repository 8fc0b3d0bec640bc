//! The same three sheets in XLSX, XLS and ODS, made anew by every run. XLSX comes from a writer of other people; XLS and ODS are written here, and
//! tests/shell/spreadsheets.sh imports the same sheets as xlwt, odfpy and openpyxl write them (tests/truth/sheet_formats.py).

mod ods;
mod xls;
mod xlsx;
mod zip;

pub use zip::archive;

/// What a cell holds.
#[derive(Clone, Debug)]
pub enum Cell {
    Empty,
    Text(String),
    Number(f64),
    /// A number that is shown as a date, and that date by the reckoning of ODS.
    Date(f64, &'static str),
    Bool(bool),
    Error(&'static str),
}

pub struct Sheet {
    pub name: &'static str,
    pub rows: Vec<Vec<Cell>>,
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// 2023: one row per kind of cell. 2024: 700 texts with letters beyond Latin-1, so that the shared strings of XLS go over several records. "notas":
/// nothing that names the key.
fn sheets() -> [Sheet; 3] {
    use Cell::{Bool, Date, Empty, Error, Number};
    let day = || Date(40_304.0, "2010-05-06");
    let header = ["RA", "Fase", "Nota", "Idade", "Nascimento", "Ativo", "Erro"];
    let kinds = vec![
        header.iter().map(|name| text(name)).collect(),
        vec![
            text("A1"),
            text("FASE 7"),
            Number(7.5),
            Date(11.0, "1900-01-10"),
            day(),
            Bool(true),
            Error("#N/A"),
        ],
        vec![
            text("A2"),
            text("7E"),
            text("7,5"),
            Number(12.0),
            day(),
            Bool(false),
            text("x"),
        ],
        vec![
            text("A3"),
            text("ALFA"),
            Number(0.1),
            Date(59.0, "1900-02-27"),
            Empty,
            Empty,
            Error("#DIV/0!"),
        ],
        vec![
            text("A4"),
            Number(9.0),
            Number(1_234_567.25),
            Number(13.0),
            Empty,
            Bool(true),
            Empty,
        ],
        vec![Empty, Number(1.0), Number(-3.0), Number(14.0), Empty, Empty, Empty],
    ];
    let mut many = vec![vec![text("RA"), text("Nota")]];
    many.extend((0..700).map(|i| {
        let letter = if i % 7 == 0 { 'ж' } else { 'e' };
        vec![text(&format!("aluno ção {i} {letter}")), Number(f64::from(i) / 4.0)]
    }));
    let other = vec![vec![text("coisa"), text("valor")], vec![text("a"), Number(1.0)]];
    [("2023", kinds), ("2024", many), ("notas", other)].map(|(name, rows)| Sheet { name, rows })
}

/// The sheets in each format, by the name that an import gives it.
pub fn files() -> [(&'static str, Vec<u8>); 3] {
    let sheets = sheets();
    [
        ("XLSX", xlsx::write(&sheets)),
        ("XLS", xls::write(&sheets)),
        ("ODS", ods::write(&sheets)),
    ]
}
