"""The environment of all templates."""

from __future__ import annotations

from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from explanation.printable import printable
from page import words
from page.links import plan_link, symbol_link

#: As much as the log lines show.
_PLAN_ID_SHOWN = 8


def environment(*, acting: bool) -> Environment:
    """Return an environment that escapes all text, and fails for a name that is not given.

    `acting`: bar and foot lead to the page on which an operator acts.
    """
    made = Environment(
        loader=FunctionLoader(lambda name: files("page").joinpath("templates", name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        duration=words.duration,
        time_of_day=words.time_of_day,
        moment=words.moment,
        iso_moment=words.iso_moment,
        explanation_link=_explanation_link,
        iso_utc=words.machine_moment,
        moment_ms=words.moment_ms,
        plan_link=plan_link,
        symbol_link=symbol_link,
        short=_short,
    )
    made.tests["plain"] = lambda text: printable(text) == text
    made.globals["acting"] = acting
    return made


def _shown(value: object) -> object:
    """Return the text of a value: a dash for None, and invisible characters made visible."""
    if value is None:
        return "–"
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _explanation_link(plan_id: str) -> str:
    return f"/explanation?plan={quote(plan_id, safe='')}"


def _short(plan_id: str) -> str:
    return plan_id if len(plan_id) <= _PLAN_ID_SHOWN else f"{plan_id[:_PLAN_ID_SHOWN]}…"
