"""Report of a soak, with its failures."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from tests.soak.gauges import Course

#: Of the memory at the middle of the run; less than a leak of one small record a decision would make.
MOST_GROWTH_SHARE = 0.05
#: The stale threshold's default: what is older is of no use to a decision.
OLDEST_SNAPSHOT_SEC = 10.0
SLOWEST_RECOVERY_SEC = 30.0
#: Binance bans an address at 300; our own limit is a fifth of that.
MOST_CONNECTIONS_IN_5_MIN = 60
#: Connections to Redis, the exchange and those who look come and go by a few.
MOST_MORE_DESCRIPTORS = 10.0
#: Where the stream breaks and nothing else: 10^6 bytes from the middle to the end, and a share of decisions.
MOST_GROWTH_MB = 2.0
MOST_STALE_SHARE = 0.01


class SoakReport(msgspec.Struct, kw_only=True, frozen=True):
    """The figures of a run, durations in seconds, memory in 10^6 bytes. `broken`: invariants, in words.

    `stale`: decisions that denied for want of a fresh snapshot. `most_connections`: new ones to both streams
    in any 5 minutes. `drops_alone`: nothing was wrong but a private stream that breaks.
    """

    lasted_sec: float
    plans: int
    results: int
    decisions: int
    allowed: int
    faults: int
    restarts: int
    mismatches: int
    oldest_snapshot_sec: float
    slowest_recovery_sec: float
    memory: Course
    descriptors: Course
    stale: int
    most_connections: int
    drops_alone: bool
    broken: tuple[str, ...]

    def wrong(self) -> list[str]:
        """Return the failed expectations, a sentence each."""
        found = list(self.broken)
        if not self.allowed:
            found.append("nothing was allowed")
        if self.restarts:
            found.append(f"actors were restarted {self.restarts} times")
        if self.mismatches:
            found.append(f"{self.mismatches} ledgers differ from the exchange")
        if self.oldest_snapshot_sec > OLDEST_SNAPSHOT_SEC:
            found.append(f"a snapshot was {self.oldest_snapshot_sec:.1f} s old while nothing was wrong")
        if self.slowest_recovery_sec > SLOWEST_RECOVERY_SEC:
            found.append(f"once it took {self.slowest_recovery_sec:.1f} s to allow something again")
        most_growth = MOST_GROWTH_MB if self.drops_alone else self.memory.middle * MOST_GROWTH_SHARE
        if self.memory.growth > most_growth:
            found.append(f"memory grows: {self.memory.growth:+.1f} MB in the second half")
        if self.descriptors.growth > MOST_MORE_DESCRIPTORS:
            found.append(f"descriptors grow: {self.descriptors.growth:+.0f} in the second half")
        if self.most_connections > MOST_CONNECTIONS_IN_5_MIN:
            found.append(f"{self.most_connections} connections to the streams within 5 minutes")
        if self.drops_alone and self.stale > self.decisions * MOST_STALE_SHARE:
            found.append(f"{self.stale} of {self.decisions} plans were denied as stale")
        return found

    def print_to(self, console: Console) -> None:
        """Print a table, and a last line with the result."""
        memory = self.memory
        table = Table.grid(padding=(0, 3))
        for name, value in (
            ("lasted", f"{self.lasted_sec:.0f} s"),
            ("published", f"{self.plans} plans, {self.results} results"),
            ("decisions", f"{self.decisions}, {self.allowed} of them allowed"),
            ("faults", f"{self.faults}, slowest recovery {self.slowest_recovery_sec:.2f} s"),
            ("actor restarts", str(self.restarts)),
            ("mismatches", f"{self.mismatches}  (ledger against exchange)"),
            ("oldest snapshot", f"{self.oldest_snapshot_sec:.2f} s  (between faults)"),
            (
                "memory",
                f"{memory.start:.1f} MB at the start, {memory.middle:.1f} in the middle, "
                f"{memory.end:.1f} at the end",
            ),
            ("growth", f"{memory.growth:+.1f} MB in the second half"),
            (
                "descriptors",
                f"{self.descriptors.start:.0f} at the start, {self.descriptors.middle:.0f} in the middle, "
                f"{self.descriptors.end:.0f} at the end",
            ),
            ("connections", f"{self.most_connections} to the streams in 5 minutes at most"),
            ("stale", f"{self.stale} plans, {self.stale / max(self.decisions, 1):.2%} of the decisions"),
        ):
            table.add_row(name, value)
        console.print(table)
        wrong = self.wrong()
        for failure in wrong:
            console.print(f"BROKEN: {failure}", markup=False)
        if not wrong:
            console.print("OK: nothing lost, nothing twice, and memory stays where it was")
