"""On which line of a TOML text a key stands. The standard reader gives values without places; authors need places."""

import re
from dataclasses import dataclass
from typing import Final

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?\Z")
_KEY = re.compile(
    r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=\s*(.*)"""
)
_PART = re.compile(r"""\s*("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)\s*\.?""")
_STRINGS = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'|#.*""")
_LONG: Final = ('"""', "'''")


@dataclass(frozen=True, slots=True)
class Places:
    """The lines (from 1) of keys and tables, and where the text of multi-line strings begins."""

    lines: dict[Path, int]
    text_starts: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a key, or of the nearest thing around it that has one."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return self.lines.get(("schedule",), 1) if path[:1] == ("versions",) else 1


def locate(text: str) -> Places:
    """Find the places of all keys in a text that is valid TOML."""
    places = Places({}, {})
    prefix: Path = ()
    counts: dict[Path, int] = {}
    inside = ""  # the quotes of a multi-line string that is still open
    brackets = 0
    for number, line in enumerate(text.split("\n"), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        if brackets > 0:
            brackets += _open_brackets(line)
            continue
        header = _HEADER.match(line)
        if header:
            prefix = _open_table(header[1], header[2], counts)
            places.lines.setdefault(prefix, number)
            continue
        key = _KEY.match(line)
        if key:
            path = prefix + tuple(part.strip("\"'") for part in _PART.findall(key[1]))
            places.lines.setdefault(path, number)
            value = key[2]
            opening = value[:3] if value[:3] in _LONG else ""
            places.text_starts[path] = number + (1 if opening and not value[3:].strip() else 0)
            inside = opening if opening and opening not in value[3:] else ""
            brackets = 0 if opening else _open_brackets(value)
    return places


def _open_table(opening: str, name: str, counts: dict[Path, int]) -> Path:
    """The path of a table header. A name of an array of tables stands for its latest element."""
    parts = [part.strip("\"'") for part in _PART.findall(name)]
    path: Path = ()
    for index, part in enumerate(parts):
        path += (part,)
        last = index == len(parts) - 1
        if last and opening == "[[":
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path += (counts[path],)
    return path


def _open_brackets(value: str) -> int:
    bare = _STRINGS.sub("", value)
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
