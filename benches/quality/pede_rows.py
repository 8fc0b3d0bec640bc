#!/usr/bin/env python3
"""PEDE workbook -> CSV of one row per student and year, canonical names, for tests and measurements.

Standard library only; reads the workbook where it lies and writes to standard output, so that no data enters the repository.
What it does to the dirt is little and named: markers of errors become empty, ages that are stored as dates become numbers again,
names of phases become numbers, spellings of one category become one. Zeros that may mean missing stay as they are.

    pede_rows.py WORKBOOK > rows.csv
"""
import csv
import re
import sys
import xml.etree.ElementTree as ET
import zipfile

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
MARKERS = {"", "INCLUIR", "ERRO"}
COLUMNS = [
    "ra", "ano", "fase", "turma", "idade", "genero", "ano_ingresso", "instituicao", "pedra_20", "pedra_21", "pedra_22", "pedra_23",
    "inde_22", "inde_23", "pedra", "inde", "cg", "cf", "ct", "n_av", "rec_av1", "rec_av2", "rec_av3", "rec_av4", "iaa", "ieg", "ips",
    "rec_psicologia", "ida", "mat", "por", "ing", "indicado", "atingiu_pv", "ipv", "ipp", "ian", "fase_ideal", "defasagem",
    "destaque_ieg", "destaque_ida", "destaque_ipv", "ativo",
]
NUMBERS = {"fase", "fase_ideal", "idade", "ano_ingresso", "inde_22", "inde_23", "inde", "cg", "cf", "ct", "n_av", "iaa", "ieg", "ips", "ida", "mat", "por",
           "ing", "ipv", "ipp", "ian", "defasagem"}
ALIASES = {"defas": "defasagem", "matem": "mat", "portug": "por", "ingles": "ing", "no_av": "n_av", "instituicao_de_ensino": "instituicao",
           "rec_psicologia": "rec_psicologia", "ativo_inativo": "ativo"}
SPELLINGS = {"genero": {"Menina": "feminino", "Feminino": "feminino", "Menino": "masculino", "Masculino": "masculino"},
             "instituicao": {"Escola Pública": "Pública"}}


def canonical(header, year):
    """Name of a column, whatever the year's spelling."""
    name = header.lower()
    for accented, plain in zip("áàâãéêíóôõúçº°", "aaaaeeiooouco" + "o"):
        name = name.replace(accented, plain)
    name = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
    name = ALIASES.get(name, name)
    if name in (f"inde_{year}", f"inde_{year % 100}"):
        return "inde"
    if name in (f"pedra_{year}", f"pedra_{year % 100}"):
        return "pedra"
    return "idade" if name == "idade_22" else name


def cells(sheet):
    for row in ET.parse(sheet).getroot().iter(MAIN + "row"):
        found = {}
        for cell in row.iter(MAIN + "c"):
            place = 0
            for letter in re.match("[A-Z]+", cell.get("r")).group():
                place = place * 26 + ord(letter) - 64
            value = cell.find(MAIN + "v")
            if cell.get("t") == "inlineStr":
                found[place] = "".join(part.text or "" for part in cell.iter(MAIN + "t"))
            elif value is not None:
                found[place] = value.text
        yield found


def phase(text):
    """ALFA and ALFA (1° e 2° ano) are 0; FASE 7, 7, 7E and Fase 7 (3º EM) are 7."""
    if text.upper().startswith("ALFA"):
        return "0"
    digits = re.search(r"\d+", text)
    return digits.group() if digits else ""


def clean(name, text):
    text = re.sub(r"\s+", " ", text).strip()
    if text.startswith("#") or text in MARKERS or re.fullmatch(r"D\d+", text):
        return ""
    if name in ("fase", "fase_ideal"):
        return phase(text)
    if name.startswith("pedra"):
        return text.replace("Á", "A")
    if name in NUMBERS:
        return text if re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", text) else ""
    return SPELLINGS.get(name, {}).get(text, text)


def rows(path):
    book = zipfile.ZipFile(path)
    names = [sheet.get("name") for sheet in ET.parse(book.open("xl/workbook.xml")).getroot().iter(MAIN + "sheet")]
    for number, name in enumerate(names, 1):
        year = int(re.search(r"\d{4}", name).group())
        lines = cells(book.open(f"xl/worksheets/sheet{number}.xml"))
        headers = {place: canonical(text, year) for place, text in next(lines).items()}
        for line in lines:
            row = {}
            for place, text in line.items():
                column = headers.get(place)
                value = clean(column, text) if column in COLUMNS else ""
                if value and not row.get(column):
                    row[column] = value
            if row.get("ra"):
                yield {**row, "ano": str(year)}


if __name__ == "__main__":
    out = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    out.writeheader()
    for row in rows(sys.argv[1]):
        out.writerow(row)
