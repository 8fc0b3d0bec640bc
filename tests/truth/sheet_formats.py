#!/usr/bin/env python3
"""Writes sheet.xls, sheet.ods and sheet.xlsx: the same three sheets by writers that share no code with the engine (xlwt, odfpy, openpyxl), and what an import
of them must store.

    sheet_formats.py DIR            DIR/sheet.xls, DIR/sheet.ods, DIR/sheet.xlsx, and DIR/expected.txt: rows as psql -At shows them

Sheet 2023: one row per kind of cell. Sheet 2024: 700 texts with letters beyond Latin-1, so that the shared strings of XLS go over several records. Sheet
"notas": nothing that names the key. engine/tests/sheet_support has the same sheets.
"""
import datetime
import os
import sys

import openpyxl
import xlwt
from odf import opendocument, table, text

HEADER = ["RA", "Fase", "Nota", "Idade", "Nascimento", "Ativo", "Erro"]


class Serial:
    """A number that is shown as a date."""

    def __init__(self, number):
        self.number = number


class Error:
    """An error value, as its text."""

    def __init__(self, shown):
        self.shown = shown


DAY = datetime.date(2010, 5, 6)
ROWS = [
    ["A1", "FASE 7", 7.5, Serial(11), DAY, True, Error("#N/A")],
    ["A2", "7E", "7,5", 12, DAY, False, "x"],
    ["A3", "ALFA", 0.1, Serial(59), None, None, Error("#DIV/0!")],
    ["A4", 9, 1234567.25, 13, None, True, None],
    [None, 1, -3, 14, None, None, None],
]
MANY = [["RA", "Nota"]] + [["aluno ção %d %s" % (i, "ж" if i % 7 == 0 else "e"), i / 4] for i in range(700)]
OTHER = [["coisa", "valor"], ["a", 1]]
SHEETS = [("2023", [HEADER] + ROWS), ("2024", MANY), ("notas", OTHER)]


def xls(path):
    book = xlwt.Workbook()
    date = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    codes = {"#N/A": 42, "#DIV/0!": 7}
    for name, rows in SHEETS:
        sheet = book.add_sheet(name)
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                if value is None:
                    continue
                if isinstance(value, Serial):
                    sheet.write(r, c, value.number, date)
                elif isinstance(value, Error):
                    sheet.row(r).set_cell_error(c, codes[value.shown])
                elif isinstance(value, datetime.date):
                    sheet.write(r, c, value, date)
                else:
                    sheet.write(r, c, value)
    book.save(path)


def ods(path):
    book = opendocument.OpenDocumentSpreadsheet()
    epoch = datetime.date(1899, 12, 30)
    for name, rows in SHEETS:
        sheet = table.Table(name=name)
        for row in rows:
            line = table.TableRow()
            for value in row:
                if value is None:
                    cell = table.TableCell(numbercolumnsrepeated=1)
                elif isinstance(value, Serial):
                    shown = (epoch + datetime.timedelta(days=value.number)).isoformat()
                    cell = table.TableCell(valuetype="date", datevalue=shown)
                elif isinstance(value, Error):
                    cell = table.TableCell(valuetype="string")
                    cell.addElement(text.P(text=value.shown))
                elif isinstance(value, bool):
                    cell = table.TableCell(valuetype="boolean", booleanvalue="true" if value else "false")
                elif isinstance(value, datetime.date):
                    cell = table.TableCell(valuetype="date", datevalue=value.isoformat())
                elif isinstance(value, (int, float)):
                    cell = table.TableCell(valuetype="float", value=repr(value))
                else:
                    cell = table.TableCell(valuetype="string")
                    cell.addElement(text.P(text=value))
                line.addElement(cell)
            # what spreadsheet programs append to each row
            line.addElement(table.TableCell(numbercolumnsrepeated=16377))
            sheet.addElement(line)
        sheet.addElement(table.TableRow(numberrowsrepeated=1048570))
        book.spreadsheet.addElement(sheet)
    book.save(path)


def xlsx(path):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in SHEETS:
        sheet = book.create_sheet(name)
        for r, row in enumerate(rows, 1):
            for c, value in enumerate(row, 1):
                if value is None:
                    continue
                cell = sheet.cell(r, c)
                if isinstance(value, Serial):
                    cell.value = value.number
                    cell.number_format = "yyyy-mm-dd h:mm:ss"
                elif isinstance(value, Error):
                    cell.value = value.shown
                else:
                    cell.value = value
    book.save(path)


# as SELECT row, year, ra, fase, nota, idade, nascimento, ativo, erro says it: written by hand from the sheets above
EXPECTED = """2|2023|A1|7|7.5|11|2010-05-06|t|
3|2023|A2|7|7.5|12|2010-05-06|f|x
4|2023|A3|0|0.1|59|||
5|2023|A4|9|1234567.25|13||t|
"""


def expected(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(EXPECTED)
        for row, (name, grade) in enumerate(MANY[1:], 2):
            file.write("%d|2024|%s||%s||||\n" % (row, name, repr(grade).removesuffix(".0")))


if __name__ == "__main__":
    for suffix, write in (("xls", xls), ("ods", ods), ("xlsx", xlsx)):
        write(os.path.join(sys.argv[1], "sheet." + suffix))
    expected(os.path.join(sys.argv[1], "expected.txt"))
