"""Read a table from a CSV or XLSX file, streaming, with the line number of each row and its errors as words."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openpyxl

from app.errors import Kind, declare

MAX_FILE_BYTES = 1024 * 1024 * 1024
MAX_UNPACKED_BYTES = 2 * 1024 * 1024 * 1024
MAX_CELL = 10_000

FILE_UNREADABLE = declare(
    "file_unreadable",
    Kind.INVALID,
    zh="文件无法读取（编码、格式或大小）。支持 UTF-8、GBK 编码的 CSV，以及 XLSX。",
    en="The file can't be read (encoding, format or size). CSV in UTF-8 or GBK, or XLSX.",
)
COLUMNS_WRONG = declare(
    "columns_wrong",
    Kind.INVALID,
    zh="表头不符合预设：缺少列或有重复列，见 details。",
    en="The header does not fit the preset: columns are missing or doubled; see `details`.",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as text by column. ``problem`` is set when the row itself is broken: (code, zh, en)."""

    number: int
    cells: dict[str, str]
    problem: tuple[str, str, str] | None = None


SHORT = (
    "short_row",
    "这一行的列数少于表头，可能被截断。",
    "This row has fewer cells than the header; it may be cut off.",
)
LONG = ("long_row", "这一行的列数多于表头。", "This row has more cells than the header.")
FORMULA = (
    "formula_cell",
    "单元格是公式，请改为数值后重新导入。",
    "A cell holds a formula; put its value there instead.",
)
TOO_LONG = ("cell_too_long", "单元格内容过长。", "A cell is too long.")
NUL = ("nul_character", "单元格含有非法字符。", "A cell holds a forbidden character.")


def file_hash(path: Path) -> bytes:
    """SHA-256 of a file, by which the same file is recognised under another name. Raises FILE_UNREADABLE."""
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise FILE_UNREADABLE(file=path.name)
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


@contextmanager
def rows_of(path: Path, columns: frozenset[str]) -> Iterator[Iterator[Row]]:
    """The rows of a file, the header checked against the wanted columns. Raises FILE_UNREADABLE, COLUMNS_WRONG."""
    with path.open("rb") as head:
        start = head.read(4)
    if start[:2] == b"PK":
        with _xlsx(path) as table:
            yield _checked(table, columns)
    else:
        with _csv(path) as table:
            yield _checked(table, columns)


def _checked(table: Iterator[tuple[int, list[str]]], columns: frozenset[str]) -> Iterator[Row]:
    try:
        first = next(table, None)
    except (csv.Error, UnicodeDecodeError) as error:
        raise FILE_UNREADABLE(problem=type(error).__name__) from None
    header = [cell.strip() for cell in first[1]] if first else []
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    missing = sorted(columns - set(header))
    if missing or doubled:
        raise COLUMNS_WRONG(missing=missing, doubled=doubled)
    return _rows(table, header, columns)


def _rows(table: Iterator[tuple[int, list[str]]], header: list[str], columns: frozenset[str]) -> Iterator[Row]:
    number = 1
    try:
        for number, cells in table:
            if any(cell.strip() for cell in cells):
                yield _row(number, cells, header, columns)
    except (csv.Error, UnicodeDecodeError) as error:
        words = f"{type(error).__name__}"
        yield Row(
            number + 1, {}, ("unreadable", f"从这一行起无法读取：{words}", f"Unreadable from this row on: {words}")
        )


def _row(number: int, cells: list[str], header: list[str], columns: frozenset[str]) -> Row:
    named = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name in columns}
    problem = None
    if len(cells) < len(header):
        problem = SHORT
    elif any(cell.strip() for cell in cells[len(header) :]):
        problem = LONG
    elif any(len(cell) > MAX_CELL for cell in named.values()):
        problem = TOO_LONG
    elif any("\x00" in cell for cell in named.values()):
        problem = NUL
    elif any(cell.startswith(("=", "＝")) for cell in named.values()):
        problem = FORMULA
    return Row(number, named, problem)


@contextmanager
def _csv(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    csv.field_size_limit(1 << 20)
    with path.open("r", encoding=_encoding(path), newline="") as text:
        reader = csv.reader(_without_nul(text))
        yield ((reader.line_num, cells) for cells in reader)


def _without_nul(text: io.TextIOBase) -> Iterator[str]:
    """The csv module refuses NUL outright; we keep it, so that only its own row is refused."""
    yield from text


def _encoding(path: Path) -> str:
    """The encoding of a text file: a BOM says it, else UTF-8 if all of it is, else GB18030 if all of it is."""
    with path.open("rb") as content:
        start = content.read(4)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for encoding in ("utf-8-sig", "gb18030"):
        if _decodes(path, encoding):
            return encoding
    raise FILE_UNREADABLE(file=path.name, problem="编码无法识别")


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open("r", encoding=encoding) as text:
            while text.read(1 << 20):
                continue
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def _xlsx(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    _refuse_bomb(path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=False, keep_links=False)
    except Exception as error:  # noqa: BLE001 - a foreign parser; any failure of it means that the file is no workbook
        raise FILE_UNREADABLE(file=path.name, problem=type(error).__name__) from None
    try:
        sheet = book.worksheets[0]
        yield ((number, [_text(cell) for cell in row]) for number, row in enumerate(sheet.values, start=1))
    finally:
        book.close()


def _text(value: object) -> str:
    """A cell as text: whole floats without their point, dates as ISO, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat(sep=" ")) if isoformat and hasattr(value, "hour") else str(value)


def _refuse_bomb(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise FILE_UNREADABLE(file=path.name, problem="no workbook") from None
    if unpacked > MAX_UNPACKED_BYTES or len(names) > 10_000 or any(name.endswith("vbaProject.bin") for name in names):
        raise FILE_UNREADABLE(file=path.name, problem="too large unpacked, or with macros")
