"""Renders content as HTML, part by part, so that other tasks can run in between."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from importlib.resources import files
from itertools import islice
from typing import Final, TypeVar

from jinja2 import Template

from explanation.sections import Sections
from page.act_content import Forms
from page.content import PageContent
from page.environment import environment
from page.gate_chart import HEIGHT, WIDTH, gate_charts
from page.heat_map import heat_map
from page.kill_chart import kill_charts
from page.window_bars import HEIGHT as BAR_HEIGHT
from page.window_bars import LOOKS, window_bars

T = TypeVar("T")

#: Lets a browser show the page with its own script and style, and nothing else.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
#: Served as they are, below `/page/`.
ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_SECTIONS = (
    "gates",
    "intents",
    "intelligence",
    "reconcile",
    "governor",
    "ages",
    "decisions",
    "holdings",
    "connections",
    "tree",
    "roles",
    "holds_and_cooldowns",
    "settings",
)
#: Pages of their own.
_DOCUMENTS = (
    "find_decisions.html",
    "find_candidates.html",
    "find_plan.html",
    "find_symbol.html",
    "notices.html",
    "act.html",
    "outcome.html",
    "waiting.html",
    "history.html",
)
#: Parts of several pages: compiled with them, not when the first of those is asked for.
_INCLUDED = (
    "document.html",
    "bar.html",
    "looks.html",
    "find_rows.html",
    "forms.html",
    "permits.html",
    "explained.html",
)
#: Pieces of a template that are put out between two pauses.
_PIECES = 250


class Page:
    """The templates, read and compiled when this is made, which takes tens of milliseconds."""

    def __init__(self, *, acting: bool = False) -> None:
        """`acting`: bar and foot lead to the page on which an operator acts."""
        templates = environment(acting=acting)
        self._head, self._foot = templates.get_template("head.html"), templates.get_template("foot.html")
        self._sections: list[Template] = [templates.get_template(f"{name}.html") for name in _SECTIONS]
        self._explanation = templates.get_template("explanation.html")
        self._unexplained = templates.get_template("unexplained.html")
        for name in _INCLUDED:
            templates.get_template(name)
        self._documents = {name: templates.get_template(name) for name in _DOCUMENTS}

    def document(self, content: PageContent) -> Iterator[str]:
        """Render the page in parts, the longest of which takes about a millisecond."""
        ages = yield from _parts(heat_map(content.ages))
        yield self._head.render(content=content, ages=ages, latency=_latency(content.latencies_ms))
        charts = yield from _parts(gate_charts(content.gates))
        kill_scores = () if content.governor is None else content.governor.kill_scores
        lines = yield from _parts(kill_charts(kill_scores, content.as_of_ms))
        shown = {
            "content": content,
            "ages": ages,
            "gates": charts,
            "kill_charts": lines,
            "width": WIDTH,
            "height": HEIGHT,
            "window_bars": () if content.intelligence is None else window_bars(content.intelligence.windows),
            "looks": LOOKS,
            "bar_height": BAR_HEIGHT,
        }
        for section in self._sections:
            yield section.render(shown)
        yield self._foot.render()

    def document_of(
        self, name: str, content: object, drawn: object = None, forms: Forms | None = None
    ) -> Iterator[str]:
        """Render one of the further pages in parts of 250 pieces.

        `drawn`: its charts, if it has any. `forms`: None for a page that only shows.
        """
        pieces = self._documents[name].generate(content=content, drawn=drawn, forms=forms)
        while part := "".join(islice(pieces, _PIECES)):
            yield part

    def explanation(self, explained: Sections) -> str:
        """Render the explanation of a decision as a document of its own."""
        return self._explanation.render(explained=explained)

    def unexplained(self, plan_id: str) -> str:
        """Render the document for a plan that is not remembered."""
        return self._unexplained.render(plan_id=plan_id)


def _parts(making: Generator[None, None, T]) -> Generator[str, None, T]:
    """Return the result of `making`; yield an empty part for each of its pauses."""
    while True:
        try:
            next(making)
        except StopIteration as made:
            result: T = made.value
            return result
        yield ""


def asset(name: str) -> bytes:
    """Return the bytes of one of `ASSETS`."""
    return files("page").joinpath("assets", name).read_bytes()


def _latency(latencies_ms: Sequence[int]) -> tuple[int, int] | None:
    """Return median and 99th percentile."""
    if not latencies_ms:
        return None
    ordered = sorted(latencies_ms)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
