"""An explanation as a person reads it: the answer, why, what was checked and on what, the permit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brain.case import Case
from brain.decision import CheckResult, Outcome
from brain.numbers import plain
from brain.permit import OpenPermit
from commands.compared_numbers import in_words, value_text
from commands.explanation import Explanation
from commands.terminal import printable

_OUTCOMES = {
    Outcome.PASSED: ("passed", "green"),
    Outcome.DENIED: ("DENIED", "bold red"),
    Outcome.SKIPPED: ("not for it", "dim"),
}
_RULES = {
    "stale_threshold_sec": "P33_STALE_THRESHOLD_SEC",
    "cooldown_sec": "P33_COOLDOWN_SEC",
    "qty_tolerance_pct": "P33_QTY_TOLERANCE_PCT",
    "plan_max_age_sec": "P33_PLAN_MAX_AGE_SEC",
    "decision_ttl_sec": "P33_DECISION_TTL_SEC",
    "permit_ttl_sec": "P33_PERMIT_TTL",
    "execution_grace_sec": "P33_EXECUTION_GRACE_SEC",
}


def explanation_view(explained: Explanation) -> RenderableType:
    """Everything, in sections; empty ones are left out."""
    return Group(*_sections(explained))


def _sections(explained: Explanation) -> Iterator[RenderableType]:
    yield _headline(explained)
    yield _indented(Text(printable(explained.finding)))
    if explained.advice:
        yield _indented(Text(printable(explained.advice), style="dim"))
    for note in explained.notes:
        yield _indented(Text(printable(note), style="yellow"))
    yield _section("When", _rows(_times(explained)))
    yield from _optional("Plan, as published", _fields(explained.fields))
    if explained.checks:
        yield _section("Checks, in order", _checks(explained.checks))
        not_reached = [check.name for check in explained.checks if check.outcome is Outcome.NOT_REACHED]
        if not_reached:
            yield _indented(Text(f"not reached: {', '.join(not_reached)}", style="dim"))
    if explained.case is not None:
        yield _section("What they were based on", _rows(_facts(explained.case)))
    yield _section("Permit", _rows(_permit(explained)))


def _headline(explained: Explanation) -> Text:
    line = Text()
    line.append(f"Plan {printable(explained.plan_id)}", style="bold")
    if explained.symbol:
        line.append(f"  {printable(explained.symbol)}", style="bold")
    decision = explained.decision
    if decision is None:
        return line.append(f"  {explained.state}", style="bold yellow")
    answer, style = ("ALLOW", "bold green") if decision.allow else ("DENY", "bold red")
    line.append(f"  {answer} ", style=style).append(decision.reason, style=style)
    if decision.allow and decision.quantity:
        line.append(f"  {decision.order_side} {plain(decision.quantity)}", style="bold")
    return line


def _times(explained: Explanation) -> Iterator[tuple[str, str]]:
    if explained.published_at:
        yield "published", explained.published_at
    if explained.decided_at:
        after = explained.decided_after_ms
        later = "" if after is None else f", {after} ms later"
        yield "decided", f"{explained.decided_at}{later}, by {explained.issued_by or 'unknown'}"
    for error in explained.dead_letters:
        yield "set aside", error


def _fields(fields: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in fields.items() if name != "plan_id"]


def _checks(checks: list[CheckResult]) -> Table:
    table = _grid()
    table.add_column()
    for check in checks:
        if check.outcome is Outcome.NOT_REACHED:
            break
        outcome, style = _OUTCOMES[check.outcome]
        told = Text(printable(in_words(check.compared)), style="dim" if style == "dim" else "")
        if check.reason is not None:
            told.append(f"  → {check.reason}", style=style)
        table.add_row(Text(check.name, style="bold red" if check.reason else ""), Text(outcome, style), told)
    return table


def _facts(case: Case) -> Iterator[tuple[str, str]]:
    snapshot = case.snapshot
    if snapshot is None:
        yield "exchange", "no snapshot"
    else:
        for row in snapshot.legs:
            entered = f" at {plain(row.entry_price)}" if row.amount else ""
            yield "exchange", f"{row.leg} {plain(row.amount)}{entered}"
        doubt = "" if snapshot.believed else ", not believed since trust in the stream was lost"
        yield "as of", f"{_time(snapshot.ts_epoch_ms)}, {value_text(snapshot.age_sec)} s old{doubt}"
    ledger = case.ledger
    if ledger.last_known_amt is None:
        yield "ledger", "missing"
    else:
        told = msgspec.structs.asdict(ledger).items()
        yield "ledger", ", ".join(f"{name} {value}" for name, value in told if value is not None)
    yield "hold", "on" if case.hold else "none"
    yield "cooldown key", case.cooldown_text or "none"
    yield "open permits", "; ".join(map(_open_permit, case.open_permits)) or "none"
    rules = case.symbol_rules
    if rules is None:
        yield "exchangeInfo", "does not know the symbol"
    else:
        trading = "trading" if rules.trading else "not trading"
        yield (
            "exchangeInfo",
            f"{trading}, market step {plain(rules.market_step)}, minimum {plain(rules.market_min)}, "
            f"maximum {plain(rules.market_max)}",
        )
    yield "allowlist", "has the symbol" if case.in_allowlist else "does not have the symbol"
    yield "position mode", {True: "hedge", False: "one-way", None: "unknown"}[case.hedge_mode]
    if case.redis_changed_ms:
        yield "Redis changed", _time(case.redis_changed_ms)
    settings = msgspec.structs.asdict(case.rules).items()
    yield "settings", " ".join(f"{_RULES.get(name, name)}={value_text(value)}" for name, value in settings)


def _open_permit(permit: OpenPermit) -> str:
    return (
        f"plan {permit.plan_id}: {permit.kind} {permit.order_side} {plain(permit.remaining)} on {permit.leg}"
    )


def _permit(explained: Explanation) -> Iterator[tuple[str, str]]:
    if bytes(explained.permit) != b"null":
        # The same members with a space between them, for lines to break at.
        yield "as issued", msgspec.json.format(bytes(explained.permit), indent=0).decode()
    now = explained.permit_now
    signed = {None: "", True: ", signed", False: ", not signed"}[now.signed]
    yield "now", f"{now.state}{signed}"
    if explained.reservation is not None:
        until = _time(explained.reservation.expires_ms)
        yield "in flight", f"still counts for {plain(explained.reservation.remaining)}, until {until} at most"


def _optional(title: str, rows: list[tuple[str, str]]) -> Iterator[RenderableType]:
    if rows:
        yield _section(title, _rows(iter(rows)))


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(), Text(title, style="bold"), Padding(content, (0, 0, 0, 2)))


def _rows(rows: Iterator[tuple[str, str]]) -> Table:
    table = _grid()
    for name, value in rows:
        table.add_row(Text(printable(name), style="cyan"), Text(printable(value)))
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, max_width=24)
    table.add_column(overflow="fold")
    return table


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2))


def _time(epoch_ms: int) -> str:
    at = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"
