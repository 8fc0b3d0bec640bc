#!/usr/bin/env python3
"""What a spreadsheet says, read by openpyxl and csv, compared with the rows and the report of an import of the dataset pede.

    spreadsheets.py generate DIR            invented files of the same headers and dirt: DIR/workbook.xlsx, DIR/wide.csv, DIR/book.xls
    spreadsheets.py check BOOK WIDE ROWS REPORT
        ROWS, REPORT: CSV of dw.pede and dw.import_report

Every cell of a numeric column must be stored as the very number that it holds; or, where it holds no number, stored as what this script reads in
it, or as null, and be in the report with its text. Nothing else may be stored. The headers are written out below, sheet by sheet: nothing
here is derived from the definition of the dataset. Prints counts; exits with 1 at differences.
"""
import csv
import datetime
import random
import re
import sys

import openpyxl
from openpyxl.utils.datetime import to_excel

# column: header of 2022, 2023, 2024 and, without its year, of the wide file
NUMBERS = {
    "idade": ("Idade 22", "Idade", "Idade", "IDADE_ALUNO"),
    "ano_ingresso": ("Ano ingresso", "Ano ingresso", "Ano ingresso", "ANO_INGRESSO"),
    "anos_pm": (None, None, None, "ANOS_PM"),
    "inde": ("INDE 22", "INDE 2023", "INDE 2024", "INDE"),
    "inde_2022": (None, "INDE 22", "INDE 22", None),
    "inde_2023": (None, None, "INDE 23", None),
    "cg": ("Cg", "Cg", "Cg", "CG"),
    "cf": ("Cf", "Cf", "Cf", "CF"),
    "ct": ("Ct", "Ct", "Ct", "CT"),
    "n_av": ("Nº Av", "Nº Av", "Nº Av", "QTD_AVAL"),
    "iaa": ("IAA", "IAA", "IAA", "IAA"),
    "ieg": ("IEG", "IEG", "IEG", "IEG"),
    "ips": ("IPS", "IPS", "IPS", "IPS"),
    "ipp": (None, "IPP", "IPP", "IPP"),
    "ida": ("IDA", "IDA", "IDA", "IDA"),
    "matematica": ("Matem", "Mat", "Mat", "NOTA_MAT"),
    "portugues": ("Portug", "Por", "Por", "NOTA_PORT"),
    "ingles": ("Inglês", "Ing", "Ing", "NOTA_ING"),
    "ipv": ("IPV", "IPV", "IPV", "IPV"),
    "ian": ("IAN", "IAN", "IAN", "IAN"),
    "defasagem": ("Defas", "Defasagem", "Defasagem", "DEFASAGEM"),
}
# phases: ALFA is 0, else the first number that begins a word
PHASES = {
    "fase": ("Fase", "Fase", "Fase", ("FASE_TURMA", "FASE")),
    "fase_ideal": ("Fase ideal", "Fase Ideal", "Fase Ideal", "NIVEL_IDEAL"),
}
YEARS = (2022, 2023, 2024)
WIDE_YEARS = (2020, 2021, 2022)


def phase(text):
    for word in text.split():
        word = word.strip("()")
        if word.upper() == "ALFA":
            return 0.0
        if word[:1].isdigit():
            return float(re.match(r"\d+", word).group())
    return None


def number(text):
    if re.fullmatch(r"-?\d+([.,]\d+)?", text):
        return float(text.replace(",", "."))
    return None


def cells_of_book(path):
    """sheet, row, column, header, year, key, whether it is a phase, value"""
    book = openpyxl.load_workbook(path, data_only=True)
    for at, sheet in enumerate(book.worksheets):
        header = [cell.value for cell in sheet[1]]
        for r, row in enumerate(sheet.iter_rows(min_row=2), 2):
            key = row[header.index("RA")].value
            for columns, phases in ((NUMBERS, False), (PHASES, True)):
                for column, headers in columns.items():
                    if headers[at] is None:
                        continue
                    yield sheet.title, r, column, headers[at], YEARS[at], key, phases, row[header.index(headers[at])].value


def cells_of_wide(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    header = rows[0]
    for r, row in enumerate(rows[1:], 2):
        for year in WIDE_YEARS:
            if not any(value.strip() for name, value in zip(header, row) if name.endswith("_%d" % year)):
                continue
            for columns, phases in ((NUMBERS, False), (PHASES, True)):
                for column, headers in columns.items():
                    names = headers[3] if isinstance(headers[3], tuple) else (headers[3],)
                    for name in names:
                        if name and "%s_%d" % (name, year) in header:
                            text = row[header.index("%s_%d" % (name, year))].strip()
                            plain = number(text) if "," not in text else None
                            yield "", r, column, "%s_%d" % (name, year), year, row[0], phases, (plain if plain is not None else text) or (0.0 if plain == 0 else None)


def check(book, wide, rows_path, report_path):
    with open(rows_path, newline="", encoding="utf-8") as file:
        stored = {(row["ra"], int(row["year"])): row for row in csv.DictReader(file)}
    with open(report_path, newline="", encoding="utf-8") as file:
        report = {}
        for note in csv.DictReader(file):
            report.setdefault((note["sheet"], int(note["row"]), note["column"], note["header"]), []).append(note)
    counts = {"cells": 0, "numbers": 0, "dates": 0, "read in text": 0, "reported null": 0, "empty": 0}
    faults = []
    rows = set()
    for sheet, r, column, header, year, key, phases, value in [*cells_of_book(book), *cells_of_wide(wide)]:
        rows.add((key, year))
        text = stored.get((key, year), {}).get(column)
        found = None if text in (None, "") else float(text)
        notes = report.get((sheet, r, column, header), [])
        where = (sheet, r, column, key, year, value, found, [note["rule"] for note in notes])
        counts["cells"] += 1
        if value is None:
            counts["empty"] += 1
            # where the year before is repeated under another header, one of the two may be empty
            if found is not None:
                faults.append(where)
        elif isinstance(value, datetime.datetime):
            counts["dates"] += 1
            if found != to_excel(value) or [note["rule"] for note in notes] != ["date_as_number"]:
                faults.append(where)
        elif isinstance(value, (int, float)):
            counts["numbers"] += 1
            if column == "iaa" and value == 0:
                if found is not None or [note["rule"] for note in notes] != ["missing_marker"]:
                    faults.append(where)
            elif found != float(value):
                faults.append(where)
        else:
            expected = phase(value) if phases else number(value)
            counts["read in text" if expected is not None else "reported null"] += 1
            good = found == expected and len(notes) == 1 and notes[0]["raw"] == value.strip()
            if not good or (notes[0]["result"] or None) != (None if found is None else text):
                faults.append(where)
    for key in set(stored) ^ rows:
        faults.append(("row in one only", key))
    for fault in faults[:20]:
        print("differs:", *fault, sep="\t")
    print("; ".join("%s %d" % pair for pair in counts.items()), "; rows %d; faults %d" % (len(rows), len(faults)))
    return 1 if faults else 0


def generate(folder):
    """Invented students; the dirt is of the kinds that the real files have."""
    chance = random.Random(7)
    book = openpyxl.Workbook()
    book.remove(book.active)
    grade = lambda: round(chance.uniform(0, 10), 3)
    for at, year in enumerate(YEARS):
        sheet = book.create_sheet("PEDE%d" % year)
        header = ["RA"] + [names[at] for names in {**NUMBERS, **PHASES}.values() if names[at]] + ["Gênero", "Destaque IPV", "Destaque IPV"]
        sheet.append(header)
        for student in range(300):
            row = []
            for name in header:
                if name == "RA":
                    value = "RA-%d" % (student + 100 * at)
                elif name.startswith("Idade"):
                    value = datetime.datetime(1900, 1, chance.randint(7, 20)) if at == 1 and chance.random() < 0.4 else chance.randint(7, 20)
                elif name.lower().startswith("fase"):
                    value = chance.choice(["ALFA", "FASE 3", "7E", 9, "Fase 2 (5º e 6º ano)", "2"])
                elif name == "Gênero":
                    value = chance.choice(["Menina", "Menino", "Feminino", "Masculino"])
                elif name.startswith("Destaque"):
                    value = None
                elif name == "Ano ingresso":
                    value = chance.randint(2016, 2024)
                elif name.startswith("Defas"):
                    value = chance.randint(-5, 3)
                elif name in ("Cg", "Cf", "Ct", "Nº Av"):
                    value = chance.randint(1, 19)
                else:
                    value = chance.choice([grade(), grade(), grade(), 0, None, "INCLUIR", "#NULO!", "7,5", "D108"])
                row.append(value)
            sheet.append(row)
        for cells in sheet.iter_rows(min_row=2):
            for cell in cells:
                if isinstance(cell.value, datetime.datetime):
                    cell.number_format = "yyyy-mm-dd h:mm:ss"
    book.save(folder + "/workbook.xlsx")
    names = sorted({name for headers in {**NUMBERS, **PHASES}.values() for name in ([headers[3]] if isinstance(headers[3], str) else headers[3] or [])})
    with open(folder + "/wide.csv", "w", encoding="utf-8", newline="") as file:
        write = csv.writer(file, delimiter=";")
        kept = [(name, year) for year in WIDE_YEARS for name in names if (name == "FASE_TURMA") == (year == 2020) or name not in ("FASE_TURMA", "FASE")]
        write.writerow(["ALUNO"] + ["%s_%d" % pair for pair in kept])
        for student in range(300):
            absent = chance.choice(WIDE_YEARS)
            row = ["A-%d" % student]
            for name, year in kept:
                if year == absent:
                    row.append("")
                elif name == "FASE_TURMA":
                    row.append(chance.choice(["2H", "0A", "D207", "8B"]))
                elif name == "FASE":
                    row.append(chance.choice(["0.0", "3.0", "7.0"]))
                elif name == "NIVEL_IDEAL":
                    row.append(chance.choice(["Nível 3 (7o e 8o ano)", "ALFA  (2o e 3o ano)", "ERRO", "Fase 8 (Universitários)"]))
                elif name in ("IDADE_ALUNO", "QTD_AVAL", "CG", "CF", "CT"):
                    row.append("%d.0" % chance.randint(7, 19))
                elif name == "ANO_INGRESSO":
                    row.append("2019.0")
                elif name == "DEFASAGEM":
                    row.append("%d.0" % chance.randint(-4, 3))
                elif name == "ANOS_PM":
                    row.append(chance.choice(["1", "2", "D971"]))
                else:
                    row.append(chance.choice(["%.15f" % chance.uniform(0, 10), "%.3f" % chance.uniform(0, 10), "0", "#NULO!", "D980", ""]))
            write.writerow(row)


if __name__ == "__main__":
    if sys.argv[1] == "generate":
        generate(sys.argv[2])
    else:
        sys.exit(check(*sys.argv[2:]))
