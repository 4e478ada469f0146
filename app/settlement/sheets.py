"""Spreadsheets with flat memory: CSV by RFC 4180, XLSX row by row into the compressed file.

A cell of text that a spreadsheet would read as a formula gets a leading apostrophe (CWE-1236, OWASP ASVS 1.2.10); also
after spaces or quotes, and in full-width forms. The XLSX writer is our own: a sheet of numbers and texts needs forty
lines, and is written fourteen times faster than by the libraries (docs/decisions/own-xlsx.md).
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import IO, Any
from xml.sax.saxutils import escape

_DANGEROUS = re.compile(r"[\s\"'“”‘’]*[=+\-@\t\r\x00＝＋－＠]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_ROWS_A_SHEET = 1_048_575
_FLUSH_EVERY = 500


@lru_cache(maxsize=4096)
def neutral(cell: str) -> str:
    """A text that no spreadsheet runs."""
    printable = _UNPRINTABLE.sub("", cell)  # first: what is left must not begin as a formula
    return "'" + printable if _DANGEROUS.match(printable) else printable


def write_csv(out: IO[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """UTF-8 with a byte order mark for Excel, CRLF at the end of lines; answers how many rows. ``out``: newline=''."""
    out.write("\ufeff")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([neutral(name) for name in header])
    count = 0
    for row in rows:
        writer.writerow([neutral(cell) if type(cell) is str else cell for cell in row])
        count += 1
    return count


def write_xlsx(out: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """A workbook of numbers and texts; a million rows fit one sheet, more go on in the next. Answers how many rows."""
    count, sheets, left = 0, 0, iter(rows)
    first = next(left, None)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        while sheets == 0 or first is not None:
            sheets += 1
            with book.open(f"xl/worksheets/sheet{sheets}.xml", "w", force_zip64=True) as sheet:
                written, first = _sheet(sheet, header, first, left)
            count += written
        for name, body in _frame(sheets).items():
            book.writestr(name, body)
    return count


def _sheet(
    sheet: IO[bytes], header: Sequence[str], first: Sequence[Any] | None, left: Iterable[Sequence[Any]]
) -> tuple[int, Sequence[Any] | None]:
    """One sheet; answers its rows, and the row that no longer fits."""
    sheet.write(_OPEN)
    pending, count = [_row(header)], 0
    row, source = first, iter(left)
    while row is not None and count < _ROWS_A_SHEET:
        pending.append(_row(row))
        count += 1
        if len(pending) >= _FLUSH_EVERY:
            sheet.write("".join(pending).encode())
            pending.clear()
        row = next(source, None)
    sheet.write("".join(pending).encode() + b"</sheetData></worksheet>")
    return count, row


def _row(cells: Sequence[Any]) -> str:
    return "<row>" + "".join(map(_cell, cells)) + "</row>"


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if type(value) is int:
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{_escaped(str(value))}</t></is></c>'


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    return escape(neutral(text))


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_OPEN = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode()
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _frame(sheets: int) -> dict[str, str]:
    """The parts around the sheets, as ECMA-376 asks for them."""
    numbers = range(1, sheets + 1)
    kinds = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for n in numbers
    )
    named = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    linked = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELS}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    return {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{kinds}</Types>',
        "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_RELS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELS}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{linked}</Relationships>',
    }
