"""The documents, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
}
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block, and the number of its first line."""

    language: str
    text: str
    line: int


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = DOCUMENTS[document]
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 2) for found in _FENCED.finditer(text)
    ]


def prose(document: str) -> str:
    """The document without its fenced blocks."""
    return _FENCED.sub("", DOCUMENTS[document])


def headings(document: str) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    found = re.findall(r"^#+ (.+)$", prose(document), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def section(document: str, title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    found = re.search(rf"^(#+) {re.escape(title)}$\n(.*?)(?=^\1 |\Z)", DOCUMENTS[document], flags=re.M | re.S)
    assert found is not None, title
    return found[2]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each row of each table in a text, without its heading."""
    blocks = re.findall(r"(?:^\|.*\n?)+", text, flags=re.M)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
        for block in blocks
    ]


def table(text: str, number: int = 0) -> dict[str, list[str]]:
    """A table in a text, the first unless another is asked for: a row's other cells by its first cell."""
    return {first.strip("`"): others for first, *others in tables(text)[number]}


def codes(cell: str) -> list[str]:
    """The pieces of code in a text."""
    return re.findall(r"`([^`]+)`", cell)
