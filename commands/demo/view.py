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

from commands.demo.exchange_client import ExchangeClient
from commands.demo.outcome import Verdict
from commands.demo.summary import Conclusion, Summary
from commands.demo.tally import Decided, Tally, most_frequent, spread

_FRAME_SEC = 0.25
_LATE_LINES = 20
_LINE_SEC = 2.0
_ROWS_BESIDE_FEED = 19
_COLOURS = {Verdict.ALLOWED: "green", Verdict.DENIED: "yellow", Verdict.REFUSED: "cyan"}


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

    async def show(self, tally: Tally, exchange: ExchangeClient) -> None:
        """Show the progress until cancelled."""
        began_sec = time.monotonic()
        if not self._console.is_terminal:
            while True:
                await trio.sleep(_LINE_SEC)
                tally.used_weight = exchange.used_weight
                self.say(plain_line(tally, time.monotonic() - began_sec))
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                tally.used_weight = exchange.used_weight
                height = max(3, self._console.height - _ROWS_BESIDE_FEED)
                live.update(live_view(tally, time.monotonic() - began_sec, height), refresh=True)
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
    return "green bold", f"{word}: every plan was answered as expected, and the ledger agrees"


def plain_line(tally: Tally, elapsed_sec: float) -> str:
    """Return the progress in one line."""
    permits = spread(tally.permit_ms)
    oldest = tally.oldest_snapshot_sec[-1] if tally.oldest_snapshot_sec else None
    return (
        f"{elapsed_sec:6.1f}s plans={tally.plans} allowed={tally.total(Verdict.ALLOWED)} "
        f"denied={tally.total(Verdict.DENIED)} refused={tally.total(Verdict.REFUSED)} "
        f"permit_p50={_ms(permits.median)} permit_p99={_ms(permits.p99)} oldest_snapshot={_sec(oldest)} "
        f"orders={tally.orders} weight_1m={tally.used_weight} unexpected={tally.surprises}"
        + (f" too_late={tally.too_late}" if tally.too_late else "")
    )


def live_view(tally: Tally, elapsed_sec: float, feed_rows: int) -> RenderableType:
    """Return the progress for a terminal."""
    permits = spread(tally.permit_ms)
    oldest = tally.oldest_snapshot_sec[-1] if tally.oldest_snapshot_sec else None
    middle = tally.median_snapshot_sec[-1] if tally.median_snapshot_sec else None
    facts = Table.grid(padding=(0, 2))
    facts.add_row("plans", str(tally.plans), Text(f"{tally.plans / max(elapsed_sec, 1):.0f}/s", "dim"))
    for verdict, colour in _COLOURS.items():
        facts.add_row(Text(verdict, colour), str(tally.total(verdict)))
    facts.add_row("permit p50, p99", f"{_ms(permits.median)}, {_ms(permits.p99)}")
    facts.add_row("snapshot age", _sec(oldest), Text(f"oldest of all, median {_sec(middle)}", "dim"))
    facts.add_row("orders", str(tally.orders), Text(_results(tally), "dim"))
    facts.add_row("request weight", str(tally.used_weight), Text("this minute, of 2400", "dim"))
    facts.add_row("unexpected", Text(str(tally.surprises), "red bold" if tally.surprises else ""))
    if tally.too_late:
        facts.add_row("too late", str(tally.too_late), Text("this machine is too busy", "yellow"))

    reasons = Table.grid(padding=(0, 1))
    for reason, count in tally.by_reason(Verdict.DENIED)[:9]:
        reasons.add_row(Text(str(count), justify="right"), Text(reason, "yellow"))

    top = Table.grid(padding=(0, 4), expand=True)
    top.add_column(ratio=3)
    top.add_column(ratio=2)
    top.add_row(facts, reasons)

    feed = Table.grid(padding=(0, 1), expand=True)
    feed.add_column(no_wrap=True, min_width=12)
    feed.add_column(no_wrap=True, min_width=12, overflow="ellipsis")
    feed.add_column(no_wrap=True, ratio=2, overflow="ellipsis")
    feed.add_column(no_wrap=True, ratio=3, overflow="ellipsis")
    feed.add_column(no_wrap=True, min_width=9, justify="right")
    for decided in list(tally.recent)[-feed_rows:]:
        feed.add_row(*_feed_row(decided))
    title = Text(f"Position State Brain demo  {elapsed_sec:5.1f} s   Ctrl-C ends it", "bold")
    # The margin is for the `^C` that a terminal writes: in the last column it would begin a line of its own.
    return Padding(Group(title, Text(), top, Text(), feed), (0, 3, 0, 0))


def summary_view(summary: Summary) -> RenderableType:
    """Return the summary as a table."""
    tally, final_check = summary.tally, summary.final_check
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    rows.add_row("plans", f"{tally.plans} in {summary.duration_sec:.1f} s")
    rows.add_row("allowed", f"{tally.total(Verdict.ALLOWED)}: {_counts(most_frequent(tally.kinds))}")
    rows.add_row("denied", f"{tally.total(Verdict.DENIED)}: {_counts(tally.by_reason(Verdict.DENIED))}")
    refused = "no order" if tally.execution_ms else "no permit"
    rows.add_row(refused, f"{tally.total(Verdict.REFUSED)}: {_counts(tally.by_reason(Verdict.REFUSED))}")
    until = "decision" if tally.execution_ms else "permit consumed"
    rows.add_row("permit latency", f"{_spread_ms(tally.permit_ms)}  (plan published to {until})")
    if tally.execution_ms:
        rows.add_row(
            "execution", f"{_spread_ms(tally.execution_ms)}  (plan published to result of its order)"
        )
    rows.add_row("booking", f"{_spread_ms(tally.booking_ms)}  (result published to ledger and snapshot)")
    rows.add_row(
        "snapshot ages",
        f"max {_sec(spread(tally.oldest_snapshot_sec).maximum)}, "
        f"median {_sec(spread(tally.median_snapshot_sec).median)}  (all symbols, once a second)",
    )
    rows.add_row("orders", f"{tally.orders}; {_results(tally)}")
    rows.add_row(
        "request weight",
        f"{summary.request_weight} of 2400 a minute: "
        + ", ".join(f"{path} {count}x={weight}" for path, count, weight in summary.weight_by_path),
    )
    rows.add_row("dead letters", f"{summary.dead_letters} of {tally.unusable_entries} unusable entries")
    rows.add_row(
        "ledger",
        f"{'equals' if not final_check.differences else 'DIFFERS FROM'} the exchange: "
        f"{final_check.symbols} symbols, {final_check.open_positions} with a position",
    )
    rows.add_row("unexpected", str(tally.surprises))
    if tally.too_late:
        rows.add_row("too late", f"{tally.too_late} while this machine was too busy")
    return rows


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
        Text(f"{decided.latency_ms:.1f} ms", "dim"),
    )


def _results(tally: Tally) -> str:
    twice = f", {tally.repeated_results} of them twice" if tally.repeated_results else ""
    return f"{tally.results} results{twice}"


def _counts(rows: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in rows) or "none"


def _spread_ms(values: Sequence[float]) -> str:
    measured = spread(values)
    return f"p50 {_ms(measured.median)}, p99 {_ms(measured.p99)}, max {_ms(measured.maximum)}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _sec(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
