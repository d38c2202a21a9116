"""The status on a terminal, from a phone's width up: the state first, then facts, decisions, the tree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from commands.console.terminal import printable
from commands.status.document import Gates, Mismatch, Role, Status
from commands.status.notices import notice_rows
from commands.status.tree import tree_view
from page.words import duration, iso_moment

#: From here on, decisions and tree stand beside the facts.
_WIDE = 110
#: Below, explanations stand on lines of their own.
_NARROW = 60
_MOST_MISMATCHES = 5
_MOST_REASONS = 12
_MOST_UNREADABLE = 3
_MOST_LIMITS = 3
_NEARLY_FULL = 0.8
_BAR = 12


class Look(msgspec.Struct, frozen=True):
    """Last status of the daemon at `url`, decisions a second, and why it answers no more."""

    url: str
    status: Status
    per_sec: float | None
    lost: str = ""
    lost_sec: float = 0.0


class StatusView:
    """Renderable of a look."""

    def __init__(self, look: Look, *, live: bool = False) -> None:
        self._look = look
        self._live = live

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, look = options.max_width, self._look
        yield _headline(look, live=self._live)
        yield from _why(look)
        yield Text()
        facts = _facts(look, width)
        bar = ("#" if options.ascii_only else "█") * (_BAR if width >= _NARROW else _BAR // 3)
        gates = _gates(look.status.gates.last_5_min, bar)
        if width >= _WIDE:
            columns = Table.grid(padding=(0, 4, 0, 0), expand=True)
            columns.add_column(ratio=5)
            columns.add_column(ratio=4)
            tree = tree_view(look.status.tree, narrow=False)
            columns.add_row(Group(facts, Text(), gates), tree)
            yield columns
            return
        top = Group(facts, Text(), gates)
        yield top
        yield Text()
        tree = tree_view(look.status.tree, narrow=width < _NARROW)
        used = len(console.render_lines(top, options)) + 4 + len(look.status.reasons)
        if self._live and used + len(console.render_lines(tree, options)) > console.height:
            tree = tree_view(look.status.tree, narrow=width < _NARROW, short=True)
        yield tree


def _headline(look: Look, *, live: bool) -> RenderableType:
    status = look.status
    line = Text()
    if look.lost:
        line.append(" NO ANSWER ", "bold white on red")
    elif status.ready:
        line.append(" READY ", "bold white on green")
    else:
        line.append(" NOT READY ", "bold white on red")
    line.append(f" {printable(status.instance)}", "bold").append(f"  up {duration(status.uptime_sec)}")
    aside = f"{printable(status.build_tag)} at {look.url}"
    if live:
        aside = f"{datetime.now(UTC):%H:%M:%S} UTC, Ctrl-C ends  {aside}"
    return Group(line, Text(aside, "dim", overflow="ellipsis", no_wrap=True))


def _why(look: Look) -> Iterator[RenderableType]:
    if look.lost:
        yield Text(f"  {printable(look.lost)}, for {duration(look.lost_sec)}; its last state is below", "red")
    if look.status.exchange.trouble and look.status.ready:
        yield Text(f"  {printable(look.status.exchange.trouble)}", "yellow")
    if look.status.ready:
        for trouble in look.status.clocks.troubles:
            yield Text(f"  {printable(trouble)}", "yellow")
    for reason in look.status.reasons:
        yield Text(f"  {printable(reason)}", "yellow" if look.status.ready else "red")


def _facts(look: Look, width: int) -> RenderableType:
    narrow = width < _NARROW
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, aside in _rows(look):
        text = Text().append_text(value)
        if aside:
            text.append("\n" if narrow else "  ").append(printable(aside), "dim")
        table.add_row(name, text)
    return table


def _rows(look: Look) -> Iterator[tuple[str, Text, str]]:
    """Yield name, value, and dimmed remark."""
    status = look.status
    yield from notice_rows(status.notices)
    yield _snapshots(status)
    yield from _unreadable(status)
    yield _stream(status)
    yield _decisions(look)
    yield from _ledgers(status)
    yield from _unknown(status)
    for name, role in status.roles.items():
        yield name, Text(printable(role.mode), "yellow" if role.stale or role.waits_for else ""), role.doing
        yield from _open_cases(role)
        yield from _governed(role)
    yield _weight(status)
    lease = status.lease
    if lease.held:
        yield "lease", Text("held"), f"by {lease.holder}"
    else:
        yield "lease", Text("not held", "yellow"), f"{lease.holder or 'another instance'} holds it"
    allowlist = status.allowlist
    if allowlist is not None:
        value = Text(f"{allowlist.count} symbols", "yellow" if allowlist.stale or not allowlist.count else "")
        age = f", {duration(allowlist.age_sec)} old" if allowlist.age_sec is not None else ""
        yield "allowlist", value, f"{allowlist.source}{age}{', stale' if allowlist.stale else ''}"
    mode = {True: "hedge", False: "one-way", None: "not known yet"}[status.hedge_mode]
    yield "position mode", Text(mode), ""
    eviction = status.eviction
    if eviction is not None and eviction.may_evict:
        yield (
            "Redis",
            Text(f"may evict keys: {eviction.policy}, {eviction.evicted_keys} evicted", "bold red"),
            "set maxmemory-policy noeviction",
        )
    if status.append_only is False:
        yield "Redis", Text("keeps no append-only file", "bold red"), "position-state-brain check shows more"


def _open_cases(role: Role) -> Iterator[tuple[str, Text, str]]:
    """Yield the reconcile engine's cases, those for a person first."""
    for case in role.cases[:_MOST_MISMATCHES]:
        style = "bold red" if case.status == "MANUAL_REQUIRED" else "yellow"
        line = f"{case.symbol} {case.status}, {case.difference} for {duration(case.for_sec)}"
        yield "", Text(printable(line), style), case.why
    left_out = (role.open_cases or 0) - len(role.cases[:_MOST_MISMATCHES])
    if left_out > 0:
        yield "", Text(f"and {left_out} more", "yellow"), ""


def _governed(role: Role) -> Iterator[tuple[str, Text, str]]:
    """Yield the account as the Governor knows it, and the limits that are the fullest."""
    if role.trading_state is None:
        return
    stopped = role.trading_state == "HALTED"
    style = "bold red" if stopped else "bold yellow" if role.trading_state != "ACTIVE" else ""
    if role.kill_switch and not stopped:
        style = "bold yellow"
    equity = "unknown, opens wait" if role.equity is None else f"{role.equity} USDT"
    aside = f"equity {equity}"
    if role.drawdown is not None:
        aside += f", drawdown {role.drawdown:.2%}"
    if role.heat is not None:
        aside += f", heat {role.heat:.3f}"
    yield "trading", Text(printable(role.trading_state), style), aside
    known = [each for each in role.limits if each.full is not None]
    known.sort(key=lambda each: -(each.full or 0.0))
    for number, each in enumerate(known[:_MOST_LIMITS]):
        part = each.full or 0.0
        whose = f" {each.symbol}" if each.symbol else ""
        value = Text(f"{part:.0%}", "bold yellow" if part >= _NEARLY_FULL else "")
        yield "limits" if not number else "", value, f"{each.name}{whose}: {each.used} of {each.limit}"


def _snapshots(status: Status) -> tuple[str, Text, str]:
    seen = status.snapshots
    value = Text(f"{seen.count}", "" if seen.count else "red")
    if seen.stale:
        value.append(f", {seen.stale} stale", "bold red")
    if seen.never_read:
        value.append(f", {seen.never_read} symbols never read", "yellow")
    if seen.oldest_age_sec is None:
        return "snapshots", value, ""
    value.append(f", oldest {duration(seen.oldest_age_sec)}")
    return (
        "snapshots",
        value,
        f"median {duration(seen.median_age_sec)}, limit {duration(seen.stale_threshold_sec)}",
    )


def _unreadable(status: Status) -> Iterator[tuple[str, Text, str]]:
    unreadable = status.exchange.unreadable
    if not unreadable.count:
        return
    yield "unreadable", Text(f"{unreadable.count}, plans denied", "bold yellow"), ""
    for each in unreadable.symbols[:_MOST_UNREADABLE]:
        yield "", Text(printable(f"{each.symbol}: {each.why}"), "yellow"), ""
    if unreadable.count > _MOST_UNREADABLE:
        yield "", Text(f"and {unreadable.count - _MOST_UNREADABLE} more", "yellow"), ""


def _unknown(status: Status) -> Iterator[tuple[str, Text, str]]:
    unknown = status.unknown_executions
    if not unknown.count:
        return
    yield "unknown executions", Text(f"{unknown.count}", "bold yellow"), "orders that may have been filled"
    for each in unknown.executions[:_MOST_UNREADABLE]:
        line = f"{each.symbol}: plan {each.plan_id}, for {duration(each.ends_in_sec)} at most"
        yield "", Text(printable(line), "yellow"), ""


def _stream(status: Status) -> tuple[str, Text, str]:
    stream = status.stream
    lost = ""
    if stream.losses:
        times = "once" if stream.losses == 1 else f"{stream.losses} times"
        lost = f"trust lost {times}, last {iso_moment(stream.last_lost_at)}: {stream.last_loss or '?'}"
    if not stream.trusted:
        return "stream", Text("not trusted, positions are polled", "bold yellow"), lost
    return "stream", Text("trusted").append(f", proven {duration(stream.proven_age_sec)} ago"), lost


def _decisions(look: Look) -> tuple[str, Text, str]:
    gates = look.status.gates
    rate = "–" if look.per_sec is None else f"{look.per_sec:.1f} a second"
    return (
        "decisions",
        Text(rate),
        f"since the start {gates.allow} allowed, {gates.deny} denied",
    )


def _ledgers(status: Status) -> Iterator[tuple[str, Text, str]]:
    ledgers = status.ledgers
    if ledgers is None:
        return
    count = "" if ledgers.count is None else f"{ledgers.count}, "
    for waiting in ledgers.waiting_results[:_MOST_UNREADABLE]:
        yield "result waits", Text(printable(f"{waiting.symbol}: {waiting.why}"), "bold yellow"), ""
    wrong = ledgers.mismatches
    flying = f"{ledgers.in_flight} with a fill in flight" if ledgers.in_flight else ""
    if not wrong:
        yield "ledgers", Text(f"{count}all as the exchange has it"), flying
        return
    yield "ledgers", Text(count).append(f"{len(wrong)} not as the exchange has it", "bold red"), flying
    for mismatch in wrong[:_MOST_MISMATCHES]:
        yield "", Text(printable(_mismatch(mismatch)), "red"), ""
    if len(wrong) > _MOST_MISMATCHES:
        yield "", Text(f"and {len(wrong) - _MOST_MISMATCHES} more", "red"), ""


def _mismatch(mismatch: Mismatch) -> str:
    since = "" if mismatch.apart_sec is None else f", for {duration(mismatch.apart_sec)}"
    ledger = "none" if mismatch.ledger is None else mismatch.ledger
    leg = f" {mismatch.leg}" if mismatch.leg else ""
    return f"{mismatch.symbol}{leg}: exchange {mismatch.exchange}, ledger {ledger}{since}"


def _weight(status: Status) -> tuple[str, Text, str]:
    used, budget, weight = status.weight_used, status.weight_budget, status.weight
    value = Text("–" if used is None else str(used))
    if budget is not None:
        value.append(f" of {budget} a minute")
        if used is not None and used > 0.8 * budget:
            value.stylize("bold yellow")
    if weight is None:
        return "weight", value, ""
    if weight.ban_left_sec:
        return "weight", Text(f"banned for {duration(weight.ban_left_sec)}", "bold red"), ""
    others = (
        "" if weight.address_used is None else f"this address {weight.address_used} of {weight.address_limit}"
    )
    return "weight", value, others


def _gates(gates: Gates, longest: str) -> RenderableType:
    """Return the last 5 min's decisions by reason; the most frequent has the bar `longest`."""
    title = Text("Decisions of the last 5 min", "bold")
    rows = [
        *((reason, count, "green") for reason, count in gates.allow_by_reason.items()),
        *((reason, count, "yellow") for reason, count in gates.deny_by_reason.items()),
    ]
    rows.sort(key=lambda row: -row[1])
    if not rows:
        return Group(title, Text("none", "dim"))
    total, most = gates.decisions, rows[0][1]
    title.append(f"  {gates.allow} allowed, {gates.deny} denied", "dim")
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right")
    table.add_column(justify="right", width=4)
    table.add_column(width=len(longest), no_wrap=True)
    table.add_column(overflow="fold")
    for reason, count, style in rows[:_MOST_REASONS]:
        bar = longest[: max(round(count / most * len(longest)), 1)]
        table.add_row(str(count), f"{count / total:.0%}", Text(bar, style), Text(printable(reason)))
    if len(rows) > _MOST_REASONS:
        table.add_row(str(sum(row[1] for row in rows[_MOST_REASONS:])), "", "", Text("others", "dim"))
    return Group(title, table)
