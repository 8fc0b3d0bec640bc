//! ODS as spreadsheet programs write it: each row ends in repeated empty cells, each sheet in a million repeated empty rows.

use super::{archive, Cell, Sheet};

fn cell(cell: &Cell) -> String {
    let valued = |kind: &str, attribute: &str, value: &str| {
        format!(r#"<table:table-cell office:value-type="{kind}" office:{attribute}="{value}"/>"#)
    };
    match cell {
        Cell::Empty => r#"<table:table-cell table:number-columns-repeated="1"/>"#.to_owned(),
        Cell::Number(number) => valued("float", "value", &number.to_string()),
        Cell::Date(_, day) => valued("date", "date-value", day),
        Cell::Bool(truth) => valued("boolean", "boolean-value", &truth.to_string()),
        Cell::Text(_) | Cell::Error(_) => {
            let text = match cell {
                Cell::Text(text) => text,
                Cell::Error(shown) => *shown,
                _ => "",
            };
            format!(r#"<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>"#)
        }
    }
}

pub fn write(sheets: &[Sheet]) -> Vec<u8> {
    let mut content = String::from(concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0""#,
        r#" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0""#,
        r#" office:version="1.2"><office:body><office:spreadsheet>"#
    ));
    for sheet in sheets {
        content += &format!(r#"<table:table table:name="{}">"#, sheet.name);
        for row in &sheet.rows {
            let cells: String = row.iter().map(cell).collect();
            content += &format!(
                r#"<table:table-row>{cells}<table:table-cell table:number-columns-repeated="16377"/></table:table-row>"#
            );
        }
        content += r#"<table:table-row table:number-rows-repeated="1048570"/></table:table>"#;
    }
    content += "</office:spreadsheet></office:body></office:document-content>";
    archive(&[
        ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"),
        ("content.xml", content.as_bytes()),
        (
            "META-INF/manifest.xml",
            br#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>"#,
        ),
    ])
}
