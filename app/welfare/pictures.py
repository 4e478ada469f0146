"""A certificate as a picture of our own: SVG with every word, PNG with the number and a code to scan.

The reader's machine has the fonts for SVG; for PNG we ship none, so it carries Latin letters and digits only, and the
QR code leads to the page with the rest.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from xml.sax.saxutils import escape

import segno
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1000, 700
GREEN, INK, PAPER = "#1b7f4b", "#20302a", "#fbfdf9"


def svg(*, title: str, lines: Sequence[str], number: str, address: str) -> bytes:
    """The certificate as SVG: a title, lines of text, the number, and the address as a QR code."""
    code = segno.make(address, error="m")
    modules = code.symbol_size(border=0)[0]
    scale = 180 / modules
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(code.matrix) for x, dark in enumerate(row) if dark)
    words = "".join(
        f'<text x="80" y="{240 + 52 * place}" font-size="30" fill="{INK}">{escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' font-family="PingFang SC, Microsoft YaHei, Noto Sans CJK SC, sans-serif">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>'
        f'<rect x="24" y="24" width="{WIDTH - 48}" height="{HEIGHT - 48}" fill="none" stroke="{GREEN}"'
        f' stroke-width="4"/>'
        f'<text x="80" y="150" font-size="52" font-weight="bold" fill="{GREEN}">{escape(title)}</text>{words}'
        f'<text x="80" y="620" font-size="26" fill="{INK}">{escape(number)}</text>'
        f'<g transform="translate(740 440) scale({scale:.4f})"><path d="{path}" fill="{INK}"/></g></svg>'
    ).encode()


def png(*, lines: Sequence[str], number: str, address: str) -> bytes:
    """The certificate as PNG; of the lines, those that are ASCII."""
    page = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(page)
    draw.rectangle((24, 24, WIDTH - 24, HEIGHT - 24), outline=GREEN, width=4)
    draw.text((80, 90), "Diandi  -  Certificate", font=ImageFont.load_default(52), fill=GREEN)
    for place, line in enumerate(one for one in lines if one.isascii()):
        draw.text((80, 210 + 52 * place), line, font=ImageFont.load_default(30), fill=INK)
    draw.text((80, 596), number, font=ImageFont.load_default(28), fill=INK)
    scanned = io.BytesIO()
    segno.make(address, error="m").save(scanned, kind="png", scale=6, border=2)
    with Image.open(scanned) as code:
        page.paste(code.convert("RGB").resize((200, 200)), (730, 440))
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()
