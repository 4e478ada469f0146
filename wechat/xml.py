"""The small XML of WeChat's messages as nested dicts. No document types, no entities of anybody's, no great depth."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

DEEPEST, MOST_ELEMENTS = 12, 5_000


class XmlRefused(Exception):
    """No XML that a message of WeChat's would be."""


def parse_xml(text: str) -> dict[str, Any]:
    """What stands inside the root element. Leaves are texts; an element that comes twice becomes a list."""
    tree = _Tree()
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    fault = False
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError:
        fault = True
    if fault or not isinstance(tree.root, dict):
        raise XmlRefused("not a message")
    return tree.root


def _refuse(*_: object) -> None:
    raise XmlRefused("a document type")


class _Tree:
    def __init__(self) -> None:
        self.root: dict[str, Any] | str | None = None
        self._open: list[tuple[dict[str, Any], list[str]]] = []
        self._count = 0

    def start(self, name: str, _: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= DEEPEST or self._count > MOST_ELEMENTS:
            raise XmlRefused("too deep or too much")
        self._open.append(({}, []))

    def text(self, text: str) -> None:
        if self._open:
            self._open[-1][1].append(text)

    def end(self, name: str) -> None:
        children, texts = self._open.pop()
        value: dict[str, Any] | str = children or "".join(texts).strip()
        if not self._open:
            self.root = value
            return
        parent = self._open[-1][0]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]
