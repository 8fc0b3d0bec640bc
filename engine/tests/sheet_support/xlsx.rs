//! XLSX by rust_xlsxwriter.

use rust_xlsxwriter::{Format, Formula, Workbook};

use super::{Cell, Sheet};

pub fn write(sheets: &[Sheet]) -> Vec<u8> {
    let date = Format::new().set_num_format("yyyy-mm-dd h:mm:ss");
    let mut book = Workbook::new();
    for sheet in sheets {
        let page = book.add_worksheet().set_name(sheet.name).unwrap();
        for (r, row) in (0u32..).zip(&sheet.rows) {
            for (c, cell) in (0u16..).zip(row) {
                match cell {
                    Cell::Empty => continue,
                    Cell::Text(text) => page.write_string(r, c, text),
                    Cell::Number(number) => page.write_number(r, c, *number),
                    Cell::Date(serial, _) => page.write_number_with_format(r, c, *serial, &date),
                    Cell::Bool(truth) => page.write_boolean(r, c, *truth),
                    Cell::Error(shown) => page.write_formula(r, c, Formula::new("=1/0").set_result(*shown)),
                }
                .unwrap();
            }
        }
    }
    book.save_to_buffer().unwrap()
}
