"""``flask errors``: the page of all refusals, from where they are declared."""

from __future__ import annotations

from pathlib import Path

import click
from flask import Flask

from app.errors import REGISTRY, Declared

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"
_HEAD = """# Errors

Made by `flask errors --write` from where each refusal is declared; a test compares. An error answer is always

```json
{"error": {"code": "sold_out", "message": "…", "details": {}, "request_id": "…"}}
```

`code` is stable, `message` is for people (Chinese, or English with `Accept-Language: en`), `details` says what to
mend, `request_id` finds the log line. 429 and 503 carry `Retry-After` in seconds. 401 `login_required` means: log in
silently, once. What is not yours is 404, as what doesn't exist.
"""


def register(app: Flask) -> None:
    app.cli.add_command(errors)


@click.command("errors")
@click.option("--write", is_flag=True, help="write docs/errors.md instead of printing")
def errors(write: bool) -> None:
    """Print the page of all errors."""
    if write:
        PAGE.write_text(render(), "utf-8")
    else:
        click.echo(render())


def render() -> str:
    """The page: one table per status."""
    parts = [_HEAD]
    for kind in sorted({one.kind for one in REGISTRY.values()}, key=lambda kind: kind.value):
        rows = sorted((one for one in REGISTRY.values() if one.kind is kind), key=lambda one: one.code)
        parts.append(
            f"\n## {kind.value} {kind.name.lower().replace('_', ' ')}\n\n| code | 中文 | English |\n|---|---|---|\n"
        )
        parts += [_row(one) for one in rows]
    return "".join(parts)


def _row(one: Declared) -> str:
    return f"| `{one.code}` | {_cell(one.zh)} | {_cell(one.en)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
