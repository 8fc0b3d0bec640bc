//! A file's rows, report and rejects into tables.

use empatia_engine::sheet::{import as read_file, Definition, Import, Kind, Options, SheetRows, Value};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::JsonB;
use serde_json::json;

use super::dataset::definition;
use crate::error::{Error, Result};
use crate::pg::column::ColumnType::{self, Int4, Int8, Text};
use crate::pg::copy_row::CopyRow;
use crate::pg::threads::run_interruptible;
use crate::pg::write::{copy_rows, Relation};

/// Reads `file` by `definition` and writes its rows to `pg_temp._import_row`, what was changed or refused to `import_report` and the rows
/// refused to `import_reject` of schema `dw`. Returns what the file is and what became of each sheet.
#[pg_extern(name = "_import_cells", volatile, parallel_unsafe)]
#[allow(clippy::too_many_arguments)]
fn import_cells(
    definition: &str,
    file: &[u8],
    file_name: Option<&str>,
    sheet: Option<&str>,
    year: Option<i32>,
    max_rows: i32,
    dw: &str,
    import_id: i64,
) -> Result<JsonB, ErrorReport> {
    let definition = self::definition(definition)?;
    let max_rows = usize::try_from(max_rows).ok().filter(|rows| *rows > 0);
    let options = Options {
        sheet: sheet.map(str::to_owned),
        year,
        file: file_name.unwrap_or_default().to_owned(),
        max_rows: max_rows.ok_or_else(|| Error::invalid_parameter("max_rows", "1 or more", "less"))?,
    };
    let import = run_interruptible(|ctx| read_file(ctx, file, &definition, &options))?;
    let target = Target {
        dw,
        import_id,
        file: file_name,
        definition: &definition,
    };
    for sheet in &import.sheets {
        target.write_rows(sheet)?;
        target.write_notes(sheet)?;
        target.write_rejects(sheet)?;
    }
    Ok(JsonB(summary(&import, &definition)))
}

struct Target<'a> {
    dw: &'a str,
    import_id: i64,
    file: Option<&'a str>,
    definition: &'a Definition,
}

fn column_type(kind: Kind) -> ColumnType {
    match kind {
        Kind::Text | Kind::Category => ColumnType::Text,
        Kind::Number => ColumnType::Float8,
        Kind::Integer => ColumnType::Int8,
        Kind::Boolean => ColumnType::Bool,
        Kind::Date => ColumnType::Date,
    }
}

impl Target<'_> {
    fn write_rows(&self, sheet: &SheetRows) -> Result<()> {
        let kinds: Vec<ColumnType> = self
            .definition
            .stored()
            .map(|(_, column)| column_type(column.kind))
            .collect();
        let mut columns = vec![("sheet", Text), ("row", Int4), ("year", Int4)];
        columns.extend(
            self.definition
                .stored()
                .map(|(_, c)| c.name.as_str())
                .zip(kinds.iter().copied()),
        );
        let mut next = 0;
        let into = Relation::Named {
            schema: "pg_temp",
            table: "_import_row",
        };
        copy_rows(into, &columns, |out| {
            let Some((of, values)) = sheet.row(next) else {
                return Ok(false);
            };
            next += 1;
            out.text(sheet.name.as_str());
            out.i32(i32::try_from(of.row).unwrap_or(i32::MAX));
            out.i32(of.year);
            for (value, kind) in values.zip(&kinds) {
                write_value(out, sheet, *value, *kind);
            }
            Ok(true)
        })?;
        Ok(())
    }

    fn write_notes(&self, sheet: &SheetRows) -> Result<()> {
        let columns = [
            ("import_id", Int8),
            ("file", Text),
            ("sheet", Text),
            ("row", Int4),
            ("column", Text),
            ("header", Text),
            ("raw", Text),
            ("result", Text),
            ("rule", Text),
        ];
        let mut next = 0;
        copy_rows(self.table("import_report"), &columns, |out| {
            let Some(note) = sheet.note(next) else {
                return Ok(false);
            };
            next += 1;
            let column = note.column.and_then(|at| self.definition.columns.get(usize::from(at)));
            out.i64(self.import_id);
            out.text(self.file);
            out.text(sheet.name.as_str());
            out.i32(i32::try_from(note.row).unwrap_or(i32::MAX));
            out.text(column.map(|column| column.name.as_str()));
            out.text(sheet.text(note.header));
            out.text(sheet.text(note.raw));
            out.text(note.result.map(|text| sheet.text(text)));
            out.text(note.rule.name());
            Ok(true)
        })?;
        Ok(())
    }

    fn write_rejects(&self, sheet: &SheetRows) -> Result<()> {
        let columns = [
            ("import_id", Int8),
            ("file", Text),
            ("sheet", Text),
            ("row", Int4),
            ("rule", Text),
            ("content", Text),
        ];
        let mut next = 0;
        copy_rows(self.table("import_reject"), &columns, |out| {
            let Some(reject) = sheet.reject(next) else {
                return Ok(false);
            };
            next += 1;
            out.i64(self.import_id);
            out.text(self.file);
            out.text(sheet.name.as_str());
            out.i32(i32::try_from(reject.row).unwrap_or(i32::MAX));
            out.text(reject.rule.name());
            out.text(sheet.text(reject.content));
            Ok(true)
        })?;
        Ok(())
    }

    fn table<'s>(&'s self, table: &'s str) -> Relation<'s> {
        Relation::Named { schema: self.dw, table }
    }
}

fn write_value(out: &mut CopyRow<'_>, sheet: &SheetRows, value: Value, kind: ColumnType) {
    match (value, kind) {
        (Value::Integer(value), _) => out.i64(value),
        (Value::Number(value), _) => out.f64(value),
        (Value::Bool(value), _) => out.bool(value),
        (Value::Date(value), _) => out.date(value),
        (Value::Text(value), _) => out.text(sheet.text(value)),
        (Value::Null, ColumnType::Int8) => out.i64(None),
        (Value::Null, ColumnType::Float8) => out.f64(None),
        (Value::Null, ColumnType::Bool) => out.bool(None),
        (Value::Null, ColumnType::Date) => out.date(None),
        (Value::Null, _) => out.text(None),
    }
}

fn summary(import: &Import, definition: &Definition) -> serde_json::Value {
    let names = |wanted: &dyn Fn(usize) -> bool| -> Vec<&str> {
        definition
            .stored()
            .filter(|(at, _)| wanted(*at))
            .map(|(_, column)| column.name.as_str())
            .collect()
    };
    let sheets: Vec<_> = import
        .sheets
        .iter()
        .map(|sheet| {
            let anywhere = |at: usize| sheet.present.iter().any(|(_, present)| present[at]);
            let parts: Vec<_> = sheet
                .present
                .iter()
                .map(|(year, present)| json!({"year": year, "columns": names(&|at| present[at])}))
                .collect();
            json!({
                "sheet": sheet.name,
                "years": sheet.years,
                "header_row": sheet.header_row,
                "rows": sheet.rows(),
                "rejected": sheet.rejects(),
                "cells": sheet.cells,
                "changed_cells": sheet.changed_cells(),
                "unknown_headers": sheet.unknown_headers,
                "missing_columns": names(&|at| !anywhere(at)),
                "parts": parts,
            })
        })
        .collect();
    json!({
        "format": import.format,
        "encoding": import.dialect.map(|(encoding, _)| encoding),
        "delimiter": import.dialect.map(|(_, delimiter)| delimiter),
        "sheets": sheets,
        "skipped": import.skipped,
    })
}
