"""Renders what waits as a document, part by part, so that other tasks can run in between."""

from __future__ import annotations

from collections.abc import Iterator

from page.environment import environment
from page.waiting_content import WaitingContent


class WaitingPage:
    """The template, compiled when this is made."""

    def __init__(self) -> None:
        self._template = environment().get_template("waiting.html")

    def document(self, content: WaitingContent) -> Iterator[str]:
        """Render the document in parts."""
        yield from self._template.generate(content=content, here="/waiting")
