"""Output of the demo: live on a terminal, a line every 2 s elsewhere, and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from commands.demo.chain import StepCounts, steps
from commands.demo.exchange_client import ExchangeClient
from commands.demo.outcome import Verdict
from commands.demo.record import Record, Step
from commands.demo.stage import Shown, Stage
from commands.demo.summary import Conclusion, Summary
from commands.demo.tally import Decided, Tally, most_frequent, spread

_FRAME_SEC = 0.25
_LATE_LINES = 20
_LINE_SEC = 2.0
#: Latest of an event's notes that fit on a line; and reasons of a step.
_NOTES, _REASONS = 4, 2
#: Title, chain, facts, headings and the lines between them.
_ROWS_BESIDE_FEED = 18
_COLOURS = {
    Verdict.NO_PLAN: "magenta",
    Verdict.ALLOWED: "green",
    Verdict.DENIED: "yellow",
    Verdict.REFUSED: "cyan",
}
_STEP_COLOURS = {
    Step.PLANS: "magenta",
    Step.GOVERNOR: "cyan",
    Step.P33: "yellow",
    Step.ORDERS: "cyan",
}


class Screen:
    """Output on one console; colours and the live view are for terminals only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun_sec = time.monotonic()

    def say_up(self, part: str) -> None:
        """Print that a part is up, and after how many seconds of the whole start."""
        self.say(f"  up after {time.monotonic() - self._begun_sec:4.1f} s: {part}")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, markup=False, soft_wrap=not self._console.is_terminal)

    def say_plainly(self, text: str) -> None:
        """Print a line where there is no live view, which shows it."""
        if not self._console.is_terminal:
            self.say(text)

    async def show(
        self, tally: Tally, record: Record, stage: Stage, exchange: ExchangeClient, seconds: float | None
    ) -> None:
        """Show the progress until cancelled; `seconds`: length of the whole, None for without end."""
        began_sec = time.monotonic()
        if not self._console.is_terminal:
            while True:
                await trio.sleep(_LINE_SEC)
                tally.used_weight = exchange.used_weight
                self.say(plain_line(tally, record, time.monotonic() - began_sec))
        of_sec = "" if seconds is None else f" of {seconds:g} s"
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                tally.used_weight = exchange.used_weight
                title = f"Position State Brain demo  {time.monotonic() - began_sec:5.1f} s{of_sec}"
                shown = live_view(tally, record, stage.events, title, self._console.height)
                live.update(shown, refresh=True)
                await trio.sleep(_FRAME_SEC)

    def conclude(self, summary: Summary) -> None:
        """Print the summary, and the conclusion with its reasons."""
        self._console.print(summary_view(summary))
        for surprise in summary.tally.first_surprises:
            self._say_in("red", f"unexpected: {surprise}")
        for difference in summary.final_check.differences[:20]:
            self._say_in("red", f"difference: {difference}")
        for late in summary.tally.first_too_late[:_LATE_LINES]:
            self._say_in("yellow", f"too late: {late}")
        self._say_in(*_conclusion(summary))

    def _say_in(self, style: str, text: str) -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def _conclusion(summary: Summary) -> tuple[str, str]:
    """Return style and text."""
    word = summary.conclusion
    if word is Conclusion.FAILED:
        return "red bold", f"{word}: {'; '.join(summary.failures())}"
    if word is Conclusion.INCONCLUSIVE:
        reasons = f"{'; '.join(summary.too_late())} ({summary.load_when_late})"
        return "yellow bold", f"{word}: this machine was too busy: {reasons}"
    return "green bold", f"{word}: every plan was answered as expected, and everything adds up"


def plain_line(tally: Tally, record: Record, elapsed_sec: float) -> str:
    """Return the progress in one line."""
    rows = steps(tally, record)
    counts = " ".join(f"{str(row.step).lower()}={row.through}" for row in rows)
    permits = spread(record.step_ms[Step.P33])
    oldest = tally.oldest_snapshot_sec[-1] if tally.oldest_snapshot_sec else None
    return (
        f"{elapsed_sec:6.1f}s {counts} permit_p50={_ms(permits.median)} permit_p99={_ms(permits.p99)} "
        f"oldest_snapshot={_sec(oldest)} weight_1m={tally.used_weight} unexpected={tally.surprises}"
        + (f" too_late={tally.too_late}" if tally.too_late else "")
    )


def live_view(
    tally: Tally, record: Record, events: Sequence[Shown], title: str, height: int
) -> RenderableType:
    """Return the progress for a terminal of that height: the chain, the stage, the latest plans."""
    oldest = tally.oldest_snapshot_sec[-1] if tally.oldest_snapshot_sec else None
    direct = tally.plans - (tally.intents - tally.total(Verdict.NO_PLAN))
    facts = Text.assemble(
        ("plans without an intent ", "dim"), str(direct),
        ("   oldest snapshot ", "dim"), _sec(oldest),
        ("   weight ", "dim"), f"{tally.used_weight} of 2400", ("   unexpected ", "dim"),
        (str(tally.surprises), "red bold" if tally.surprises else "green"),
    )  # fmt: skip
    if tally.too_late:
        facts.append(f"   too late {tally.too_late}: this machine is too busy", "yellow")
    stage = Table.grid(padding=(0, 1), expand=True)
    stage.add_column(no_wrap=True, justify="right", min_width=6)
    for width in (10, 13):
        stage.add_column(no_wrap=True, min_width=width)
    stage.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    for event in events:
        stage.add_row(*_event_row(event))
    feed = Table.grid(padding=(0, 1), expand=True)
    feed.add_column(no_wrap=True, min_width=12)
    feed.add_column(no_wrap=True, min_width=13, overflow="ellipsis")
    feed.add_column(no_wrap=True, ratio=2, overflow="ellipsis")
    feed.add_column(no_wrap=True, ratio=3, overflow="ellipsis")
    feed.add_column(no_wrap=True, min_width=9, justify="right")
    rows = max(2, height - _ROWS_BESIDE_FEED - len(events))
    for decided in list(tally.recent)[-rows:]:
        feed.add_row(*_feed_row(decided))
    # The margin is for the `^C` that a terminal writes: in the last column it would begin a line of its own.
    heading = Text.assemble((title, "bold"), ("   Ctrl-C ends it", "dim"))
    return Padding(
        Group(
            heading, Text(), chain_table(steps(tally, record), most=_REASONS), Text(), facts, Text(),
            Text.assemble(("On stage", "bold"), ("   with the seconds since each began", "dim")), stage,
            Text(), Text("Latest", "bold"), feed,
        ),
        (0, 3, 0, 0),
    )  # fmt: skip


def chain_table(rows: Sequence[StepCounts], most: int | None = None) -> Table:
    """Return a table of the chain, a row a step, with so many reasons each."""
    table = Table.grid(padding=(0, 2), expand=most is not None)
    table.add_column(no_wrap=True)
    for _ in range(4):
        table.add_column(no_wrap=True, justify="right", min_width=7)
    table.add_column(no_wrap=most is not None, ratio=1, overflow="ellipsis")
    table.add_row(*(Text(each, "dim") for each in ("", "through", "stopped", "p50", "p99", "stopped by")))
    for row in rows:
        style = _STEP_COLOURS.get(row.step, "dim")
        reasons = _counts(row.stopped[:most]) if row.stopped else row.note
        if most is not None and len(row.stopped) > most:
            reasons += f", {sum(count for _, count in row.stopped[most:])} more"
        table.add_row(
            Text(row.step, "bold"),
            str(row.through),
            Text(str(row.stopped_total) if row.stopped else "", style),
            _ms(row.took.median, 0) if row.took.count else "",
            _ms(row.took.p99, 0) if row.took.count else "",
            Text(reasons, style),
        )
    return table


def summary_view(summary: Summary) -> RenderableType:
    """Return the summary: the chain, what adds up, and the numbers beside it."""
    tally, final_check = summary.tally, summary.final_check
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    chain = steps(tally, summary.record)
    rows.add_row("plans", f"{tally.plans} in {summary.duration_sec:.1f} s, {tally.intents} intents")
    rows.add_row("allowed", f"{tally.total(Verdict.ALLOWED)}: {_counts(most_frequent(tally.kinds))}")
    rows.add_row("accounts", "\n".join(_accounts(summary)))
    rows.add_row(
        "ledger",
        f"{'equals' if not final_check.ledgers_differ else 'DIFFERS FROM'} the exchange: "
        f"{final_check.symbols} symbols, {final_check.open_positions} with a position",
    )
    rows.add_row("open cases", _open_cases(summary))
    rows.add_row(
        "snapshot ages",
        f"max {_sec(spread(tally.oldest_snapshot_sec).maximum)}, "
        f"median {_sec(spread(tally.median_snapshot_sec).median)}  (all symbols, once a second)",
    )
    rows.add_row(
        "request weight",
        f"{summary.request_weight} of 2400 a minute: "
        + ", ".join(f"{path} {count}x={weight}" for path, count, weight in summary.weight_by_path),
    )
    rows.add_row("dead letters", f"{summary.dead_letters} of {tally.unusable_entries} unusable entries")
    rows.add_row("unexpected", str(tally.surprises))
    if tally.too_late:
        rows.add_row("too late", f"{tally.too_late} while this machine was too busy")
    return Group(chain_table(chain), Text(), rows)


def _accounts(summary: Summary) -> list[str]:
    """Return what has become of intents and plans."""
    tally = summary.tally
    twice = f", {tally.repeated_results} results twice" if tally.repeated_results else ""
    made = tally.intents - tally.total(Verdict.NO_PLAN)
    bridged = [f"{tally.intents} intents: {made} plans, {tally.total(Verdict.NO_PLAN)} refusals"]
    stopped = tally.plans - tally.orders
    counted = summary.final_check.counted
    return [
        *(bridged if tally.intents else ()),
        f"{tally.plans} plans: {tally.orders} orders, {stopped} without one",
        f"{tally.booked} orders booked{twice}",
        *(() if counted is None else (f"{counted} results counted by P3.5",)),
    ]


def _open_cases(summary: Summary) -> str:
    found = summary.final_check
    left = [f"{symbol} (left open on stage)" for symbol in found.open_cases]
    cut = [f"{symbol} (cut off, not judged)" for symbol in found.unfinished if symbol not in found.open_cases]
    return ", ".join([*left, *cut]) or "none"


def _event_row(event: Shown) -> tuple[RenderableType, ...]:
    cut = "… " if len(event.notes) > _NOTES or not event.notes else ""
    style = "" if not event.over else "yellow" if event.left_open else "green"
    progress = Text(cut + " › ".join(event.notes[-_NOTES:]), style)
    return f"{event.began_sec:.1f} s", event.symbol, Text(event.title, "bold"), progress


def _feed_row(decided: Decided) -> tuple[RenderableType, ...]:
    at = datetime.fromtimestamp(decided.at_sec, UTC).strftime("%H:%M:%S.%f")[:-3]
    outcome = Text(
        str(decided.outcome), "red bold" if not decided.as_expected else _COLOURS[decided.outcome.verdict]
    )
    return (
        Text(at, "dim"),
        decided.symbol,
        decided.scenario,
        outcome,
        Text(f"{decided.took_ms:.0f} ms", "dim"),
    )


def _counts(rows: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in rows) or "none"


def _ms(value: float | None, decimals: int = 1) -> str:
    return "-" if value is None else f"{value:.{decimals}f} ms"


def _sec(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
