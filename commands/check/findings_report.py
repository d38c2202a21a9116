"""Output of findings: lines as they come, or one JSON document at the end."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from commands.check.findings import Finding, Verdict
from commands.console.progress import patience
from commands.console.terminal import printable, screen, show_on

_WORDS = {
    Verdict.OK: ("ok", "green"),
    Verdict.WARNING: ("WARN", "bold yellow"),
    Verdict.FAILED: ("FAIL", "bold red"),
    Verdict.SKIPPED: ("skip", "dim"),
}
#: Below this many columns, the detail stands under the name instead of beside it.
_NARROW = 60
_NAME_WIDTH = 19


class _Document(msgspec.Struct, frozen=True):
    ok: bool
    findings: list[Finding]


class FindingsReport:
    """Collector of findings. Without `as_json` each is printed at once."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = screen()
        self._bars = self._console if self._console.is_terminal and not as_json else Console(stderr=True)
        self.findings: list[Finding] = []

    @property
    def counts(self) -> Counter[Verdict]:
        """The number of findings by verdict."""
        return Counter(finding.verdict for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """1 when a check failed; warnings and skipped checks do not count."""
        return 1 if self.counts[Verdict.FAILED] else 0

    def add(self, *findings: Finding) -> None:
        """Add findings and, unless the output is JSON, print them."""
        self.findings += findings
        if not self._as_json:
            for finding in findings:
                self._print(finding)

    def busy(self, what: str, lasts_sec: float | None = None) -> AbstractContextManager[None]:
        """Show `what` on a terminal after 2 s; with `lasts_sec`, as a progress bar."""
        return patience(what, self._bars, lasts_sec)

    def close(self, summary: Finding | None = None) -> None:
        """Print the counts, or `summary` instead; with `as_json`, the whole document."""
        if summary is not None:
            self.findings.append(summary)
        if self._as_json:
            print(msgspec.json.encode(_Document(self.exit_code == 0, self.findings)).decode())
            return
        show_on(self._console, Text())
        if summary is not None:
            self._print(summary)
            return
        counts = self.counts
        detail = [_counted(counts[verdict], verdict) for verdict in Verdict if counts[verdict]]
        style = "bold red" if counts[Verdict.FAILED] else "yellow" if counts[Verdict.WARNING] else "green"
        show_on(self._console, Text(", ".join(detail), style))

    def _print(self, finding: Finding) -> None:
        if self._console.is_terminal:
            show_on(self._console, self._line(finding))
            return
        # One line is one line, for grep.
        word, _ = _WORDS[finding.verdict]
        print(f"{word:<6}{finding.name:<{_NAME_WIDTH + 2}}{printable(finding.detail)}")
        if finding.fix:
            print(f"{'':<{_NAME_WIDTH + 8}}fix: {printable(finding.fix)}", flush=True)

    def _line(self, finding: Finding) -> RenderableType:
        word, style = _WORDS[finding.verdict]
        detail = Text(printable(finding.detail), "dim" if finding.verdict is Verdict.SKIPPED else "")
        lines: list[RenderableType] = [detail]
        if finding.fix:
            lines.append(Text("fix: ", "bold").append(printable(finding.fix), "not bold"))
        if self._console.is_terminal and self._console.width < _NARROW:
            head = Text(f"{word:<5}", style).append(finding.name, "bold")
            return Group(head, Padding(Group(*lines), (0, 0, 0, 5)))
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=4)
        row.add_column(width=_NAME_WIDTH)
        row.add_column(overflow="fold")
        row.add_row(Text(word, style), finding.name, Group(*lines))
        return row


def _counted(count: int, verdict: Verdict) -> str:
    plural = "s" if verdict is Verdict.WARNING and count != 1 else ""
    return f"{count} {verdict}{plural}"
