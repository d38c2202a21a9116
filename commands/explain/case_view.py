"""A symbol's case on a terminal: what is known now, what can be done, the evidence, the time line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from brain.reconciliation.case_life import CaseStatus
from commands.explain.view import indented, rows, section, timeline
from explanation.case import CaseExplained
from explanation.case_events import orders_text
from explanation.printable import printable
from page.words import duration

_STYLES = {
    CaseStatus.OK: "bold green",
    CaseStatus.REPAIRED: "bold green",
    CaseStatus.MANUAL_REQUIRED: "bold red",
}
_STATE_ROWS = ("reason", "cause", "diff_amt", "diff_pct", "legs")
_LEDGER_ROWS = ("last_known_amt", "long_amt", "short_amt", "source", "version")
_EXCHANGE_ROWS = ("position_amt", "long_amt", "short_amt")


def case_view(explained: CaseExplained) -> RenderableType:
    """Return the case in sections; empty ones are left out."""
    return Group(*_sections(explained))


def _sections(explained: CaseExplained) -> Iterator[RenderableType]:
    line = Text(f"Symbol {printable(explained.symbol)}", style="bold")
    if explained.status:
        style = _STYLES.get(explained.status, "bold yellow")  # type: ignore[call-overload]
        line.append(f"  {printable(explained.status)}", style=style)
    yield line
    yield indented(Text(printable(explained.finding)))
    if explained.order_id:
        note = f"Order {explained.order_id} is of no plan that is known here; its symbol's case:"
        yield indented(Text(printable(note), style="yellow"))
    if explained.why:
        yield indented(Text(printable(explained.why), style="yellow"))
    if explained.advice:
        yield indented(Text(printable(explained.advice)))
    yield section("Now", _printable(_now(explained)))
    if explained.evidence:
        named = [(each.order_id, orders_text((each,))) for each in explained.evidence]
        yield section("Orders that are named", _printable(named))
    if explained.timeline:
        title = "Time line"
        if explained.left_out:
            title += f", without {explained.left_out} earlier lines"
        yield section(title, timeline(explained.timeline))


def _printable(named: Iterable[tuple[str, str]]) -> RenderableType:
    return rows((printable(name), printable(value)) for name, value in named)


def _now(explained: CaseExplained) -> Iterator[tuple[str, str]]:
    yield "exchange", _listed(explained.exchange, _EXCHANGE_ROWS) or "no snapshot"
    yield "ledger", _listed(explained.ledger, _LEDGER_ROWS) or "missing"
    state = _listed(explained.state, _STATE_ROWS)
    if state:
        yield "difference, as seen", state
    hold = explained.hold
    if hold is None:
        yield "hold", "none"
        return
    ends = "does not expire" if hold.ttl_sec is None else f"for {duration(hold.ttl_sec)} more"
    yield "hold", f"by {hold.sig or 'an owner that has left no name'}, {hold.reason or 'no reason'}, {ends}"


def _listed(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {fields[name]}" for name in names if fields.get(name))
