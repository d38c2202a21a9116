"""Renders content as HTML, part by part, so that other tasks can run in between."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from importlib.resources import files
from itertools import islice
from typing import Final, TypeVar
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from explanation.printable import printable
from explanation.sections import Sections
from page import words
from page.content import PageContent
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
)
#: Pieces of a template that are put out between two pauses.
_PIECES = 250
#: As much as the log lines show.
_PLAN_ID_SHOWN = 8


class Page:
    """The templates, read and compiled when this is made, which takes tens of milliseconds."""

    def __init__(self, *, acting: bool = False) -> None:
        """`acting`: bar and foot lead to the page on which an operator acts."""
        environment = Environment(
            loader=FunctionLoader(lambda name: files("page").joinpath("templates", name).read_text("utf-8")),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(
            duration=words.duration,
            time_of_day=words.time_of_day,
            moment=words.moment,
            iso_moment=words.iso_moment,
            link=_link,
            iso_utc=words.machine_moment,
            moment_ms=words.moment_ms,
            plan_link=lambda plan_id: f"/plans/{quote(plan_id, safe='')}",
            symbol_link=lambda symbol: f"/symbols/{quote(symbol, safe='')}",
            short=_short,
        )
        environment.globals["acting"] = acting
        self._head, self._foot = environment.get_template("head.html"), environment.get_template("foot.html")
        self._sections: list[Template] = [environment.get_template(f"{name}.html") for name in _SECTIONS]
        self._explanation = environment.get_template("explanation.html")
        self._unexplained = environment.get_template("unexplained.html")
        self._documents = {name: environment.get_template(name) for name in _DOCUMENTS}

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

    def document_of(self, name: str, content: object) -> Iterator[str]:
        """Render one of the further pages in parts of 250 pieces."""
        pieces = self._documents[name].generate(content=content)
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


def _shown(value: object) -> object:
    """Return the text of a value: a dash for None, and invisible characters made visible."""
    if value is None:
        return "–"
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _link(plan_id: str) -> str:
    return f"/explanation?plan={quote(plan_id, safe='')}"


def _short(plan_id: str) -> str:
    return plan_id if len(plan_id) <= _PLAN_ID_SHOWN else f"{plan_id[:_PLAN_ID_SHOWN]}…"


def _latency(latencies_ms: Sequence[int]) -> tuple[int, int] | None:
    """Return median and 99th percentile."""
    if not latencies_ms:
        return None
    ordered = sorted(latencies_ms)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
