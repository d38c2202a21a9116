"""Report of a soak of the whole chain, with its failures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.console import Console
from rich.table import Table

from tests.integration.chain_books import ChainBooks
from tests.soak.gauges import Course
from tests.soak.report import MOST_GROWTH_SHARE, SLOWEST_RECOVERY_SEC

#: The daemon remembers so many allowed plans and results, and half as many orders: until then it grows.
PLANS_REMEMBERED = 20_000


class ChainReport(msgspec.Struct, kw_only=True, frozen=True):
    """The figures of a run, durations in seconds, memory in 10^6 bytes.

    `faults`: by kind. `left_out`: intents that Redis did not take. `rest_sec`: from the last intent until
    everything added up. `memory`: of the process that lived on alone, over `memory_lasted_sec`, from when it
    remembered all that it ever does, where `memory_is_full`; it executed `memory_executed` plans in its life.
    `memory_slope`: MB an hour over the last four fifths. `failures`: lines of the logs.
    """

    lasted_sec: float
    books: ChainBooks
    faults: Mapping[str, int]
    left_out: int
    slowest_recovery_sec: float
    rest_sec: float
    memory: Course
    memory_is_full: bool
    memory_lasted_sec: float
    memory_executed: int
    memory_slope: float
    failures: tuple[str, ...]

    def wrong(self) -> list[str]:
        """Return the failed expectations, a sentence each."""
        found = self.books.wrong()
        if not self.books.executed:
            found.append("nothing was executed")
        if self.failures:
            found.append(f"{len(self.failures)} times an actor failed: {self.failures[0]}")
        if self.slowest_recovery_sec > SLOWEST_RECOVERY_SEC:
            found.append(f"once it took {self.slowest_recovery_sec:.1f} s to execute something again")
        if self.memory_is_full and self.memory.growth > self.memory.middle * MOST_GROWTH_SHARE:
            found.append(f"memory grows: {self.memory.growth:+.1f} MB from its middle to its end")
        return found

    def print_to(self, console: Console) -> None:
        """Print a table, and a last line with the result."""
        books, memory = self.books, self.memory
        table = Table.grid(padding=(0, 3))
        for name, value in (
            ("lasted", f"{self.lasted_sec:.0f} s, everything added up {self.rest_sec:.1f} s later"),
            ("intents", f"{books.intents}, {books.refused} of them refused; {self.left_out} not taken"),
            ("plans", f"{books.plans}, {books.executed} of them executed by {books.orders} orders"),
            ("faults", f"{sum(self.faults.values())}, slowest recovery {self.slowest_recovery_sec:.2f} s"),
            *(("", f"{times:3} {kind}") for kind, times in sorted(self.faults.items())),
            *((f"{len(found)}", what) for what, found in books.faults.items()),
            (
                "memory",
                f"{memory.start:.1f} MB at the start, {memory.middle:.1f} in the middle, {memory.end:.1f} "
                f"at the end of {self.memory_lasted_sec:.0f} s of one process; slope "
                f"{self.memory_slope:+.1f} MB/h; {self.memory_executed} plans executed, "
                f"{'its memory full' if self.memory_is_full else 'which fill what it remembers'}",
            ),
            ("refusals", _counts(books.reasons)),
            ("not executed", _counts(books.errors)),
        ):
            table.add_row(name, value)
        console.print(table)
        wrong = self.wrong()
        for each in wrong:
            console.print(f"BROKEN: {each}", markup=False)
        if not wrong:
            console.print("OK: every intent has its end, no order is doubled, and all books agree")


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{times} {what}" for what, times in counted.items())
