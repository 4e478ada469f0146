"""Pack files: the text an author writes, expanded into the complete content of each version.

A pack is TOML. It may name shared parameters and a shared schedule of versions from included files, so that a table of
grid factors is written once and not in every pack; all of it is written out in the expanded content, which is what
gets hashed, stored and published. A content stands alone: nothing outside it is needed to recompute a number.
"""

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any, Final

from app.methodologies.toml_lines import Path, Places, locate

PACKS: Final = FilePath(__file__).parent / "packs"
FORMAT: Final = "diandi.method/1"
MAX_PACK: Final = 200_000
MAX_VERSIONS: Final = 50
MAX_ENTRIES: Final = 200
"""Of variables, parameters and examples each: a check has to stay a matter of seconds."""

Content = dict[str, Any]

_INCLUDE = re.compile(r"_[a-z0-9_]{1,40}\.toml\Z")
_AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_TOP: Final = frozenset(
    [
        "key",
        "name",
        "summary",
        "result",
        "sources",
        "regions",
        "include",
        "schedule",
        "versions",
        "variables",
        "at_least_one",
        "parameters",
        "formula",
        "examples",
    ]
)
_VERSION: Final = frozenset({"version", "from", "to", "demonstration", "parameters"})


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong with a pack, at a path of keys."""

    path: Path
    code: str
    zh: str
    en: str
    severity: str = "error"


class PackError(ValueError):
    """The text is no pack at all: not TOML, too long, or not UTF-8. Carries the line."""

    def __init__(self, code: str, line: int, column: int, zh: str, en: str) -> None:
        self.code, self.line, self.column, self.zh, self.en = code, line, column, zh, en
        super().__init__(f"line {line}: {en}")


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as read: one content for each version, what went wrong on the way, and where the keys stand."""

    key: str
    contents: tuple[Content, ...]
    issues: tuple[Issue, ...]
    places: Places


def canonical(content: Content) -> bytes:
    """The one spelling of a content: JSON, keys sorted, no spaces, UTF-8. Numbers are texts already."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def content_hash(content: Content) -> str:
    """SHA-256 of the canonical spelling, in lower-case hex."""
    return hashlib.sha256(canonical(content)).hexdigest()


def read_toml(text: str) -> dict[str, Any]:
    """TOML with exact decimals. Raises PackError with the line."""
    if len(text) > MAX_PACK:
        raise PackError("too_long", 1, 1, f"文件超过 {MAX_PACK} 个字符", f"longer than {MAX_PACK} characters")
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        found = _AT_LINE.search(str(error))
        line, column = (int(found[1]), int(found[2])) if found and found[1] else (text.count("\n") + 1, 1)
        words = _AT_LINE.sub("", str(error)).strip() or "nested too deep"
        raise PackError("toml", line, column, f"TOML 语法错误:{words}", f"not valid TOML: {words}") from None


def read_pack(text: str) -> Pack:
    """Expand a pack file. Raises PackError when it is no TOML; everything else is listed in `issues`."""
    raw = read_toml(text.replace("\r\n", "\n").lstrip("\ufeff"))
    issues = [
        Issue((name,), "unknown_field", f"没有 {name} 这个字段", f"{name} is not a field of a pack")
        for name in sorted(raw.keys() - _TOP)
    ]
    shared = _included(raw.get("include", []), issues)
    versions = _versions(raw, shared, issues)
    sizes = {"versions": MAX_VERSIONS, "variables": MAX_ENTRIES, "parameters": MAX_ENTRIES, "examples": MAX_ENTRIES}
    for name, most in sizes.items():
        if isinstance(raw.get(name), dict | list) and len(raw[name]) > most:
            issues.append(Issue((name,), "too_many", f"{name} 超过 {most} 项", f"more than {most} {name}"))
            return Pack(str(raw.get("key", "")), (), tuple(issues), locate(text))
    contents = tuple(_content(raw, index, version, shared, issues) for index, version in enumerate(versions))
    return Pack(str(raw.get("key", "")), contents, tuple(dict.fromkeys(issues)), locate(text.replace("\r\n", "\n")))


def _included(names: Any, issues: list[Issue]) -> dict[str, Any]:
    """The shared tables of the included files of the library, merged. Only plain names: no way out of the folder."""
    merged: dict[str, Any] = {"parameters": {}, "schedules": {}}
    for name in names if isinstance(names, list) else [names]:
        file = PACKS / str(name)
        if not isinstance(name, str) or not _INCLUDE.match(name) or not file.is_file():
            issues.append(Issue(("include",), "unknown_include", f"没有共享文件 {name}", f"no shared file {name!r}"))
            continue
        tables = read_toml(file.read_text(encoding="utf-8"))
        for kind in merged:
            merged[kind].update(tables.get(kind, {}))
    return merged


def _versions(raw: dict[str, Any], shared: dict[str, Any], issues: list[Issue]) -> list[dict[str, Any]]:
    schedule = raw.get("schedule")
    if schedule is not None:
        found = shared["schedules"].get(schedule) if isinstance(schedule, str) else None
        if found is None:
            words = (f"没有版本表 {schedule}", f"no schedule {schedule!r} in the included files")
            issues.append(Issue(("schedule",), "unknown_schedule", *words))
        return list(found or [])
    versions = raw.get("versions")
    if not isinstance(versions, list) or not versions or not all(isinstance(v, dict) for v in versions):
        words = ("至少要有一个 [[versions]]", "at least one [[versions]] table is needed")
        issues.append(Issue(("versions",), "no_version", *words))
        return []
    for index, version in enumerate(versions):
        for name in version.keys() - _VERSION:
            words = (f"版本没有 {name} 这个字段", f"{name} is not a field of a version")
            issues.append(Issue(("versions", index, name), "unknown_field", *words))
    return versions


def _content(
    raw: dict[str, Any], index: int, version: dict[str, Any], shared: dict[str, Any], issues: list[Issue]
) -> Content:
    """Everything about one version, written out."""
    number = str(version.get("version", ""))
    changes = version.get("parameters", {})
    return {
        "format": FORMAT,
        "key": raw.get("key"),
        "version": number,
        "name": raw.get("name"),
        "summary": raw.get("summary", {"zh": "", "en": ""}),
        "result": raw.get("result"),
        "sources": raw.get("sources", []),
        "regions": raw.get("regions", []),
        "in_force": {"from": _day(version.get("from")), "to": _day(version.get("to"))},
        "demonstration": version.get("demonstration", False),
        "variables": _named(raw.get("variables", {})),
        "at_least_one": raw.get("at_least_one", []),
        "parameters": _parameters(raw.get("parameters", {}), changes, shared["parameters"], issues),
        "formula": raw.get("formula"),
        "examples": _examples(raw.get("examples", []), number, raw, issues, index, shared),
    }


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _named(tables: Any) -> list[dict[str, Any]]:
    """Tables keyed by name, as a list in the author's order. Numbers become texts."""
    if not isinstance(tables, dict):
        return []
    return [{"name": name, **_texts(table)} for name, table in tables.items() if isinstance(table, dict)]


def _texts(value: Any) -> Any:
    """Numbers as exact text, so that no reader of the stored content can turn them into binary floats."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _parameters(own: Any, changes: Any, shared: dict[str, Any], issues: list[Issue]) -> list[dict[str, Any]]:
    """The parameters with `use = "..."` replaced by the shared table it names; a version's changes go on top."""
    written: list[dict[str, Any]] = []
    if not isinstance(own, dict) or not isinstance(changes, dict):
        return written
    for name in [*own, *(name for name in changes if name not in own)]:
        table = {**_as_table(own.get(name)), **_as_table(changes.get(name))}
        use = table.pop("use", None)
        if use is not None and (not isinstance(use, str) or use not in shared):
            words = (f"没有共享参数 {use}", f"no shared parameter {use!r} in the included files")
            issues.append(Issue(("parameters", name, "use"), "unknown_shared", *words))
        base = shared.get(use, {}) if isinstance(use, str) else {}
        written.append(_texts({"name": name, **base, **table}))
    return written


def _as_table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _examples(
    examples: Any, number: str, raw: dict[str, Any], issues: list[Issue], index: int, shared: dict[str, Any]
) -> list[dict[str, Any]]:
    """The examples of this version; `at` keeps an example's place in the file and is taken out before hashing."""
    kept: list[dict[str, Any]] = []
    if not isinstance(examples, list):
        return kept
    for place, example in enumerate(examples):
        if not isinstance(example, dict):
            continue
        wanted = example.get("versions")
        if isinstance(wanted, list) and index == 0:
            known = {str(v.get("version")) for v in _versions(raw, shared, [])}
            for missing in [str(w) for w in wanted if str(w) not in known]:
                words = (f"没有版本 {missing}", f"no version {missing!r}")
                issues.append(Issue(("examples", place, "versions"), "unknown_version", *words))
        if wanted is None or (isinstance(wanted, list) and number in map(str, wanted)):
            kept.append({**_texts({k: v for k, v in example.items() if k != "versions"}), "at": place})
    return kept


def sealed(content: Content) -> Content:
    """The content without the places of its examples in a file: what is stored and hashed."""
    examples = [{k: v for k, v in example.items() if k != "at"} for example in content["examples"]]
    return {**content, "examples": examples}
