"""What a soak has shown, and whether that is what it has to be."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from tests.soak.gauges import Memory

#: Of the memory at the middle of the run; less than a leak of one small record a decision would make.
MOST_GROWTH_SHARE = 0.05
#: The stale threshold's default: what is older is of no use to a decision.
OLDEST_SNAPSHOT_SEC = 10.0
SLOWEST_RECOVERY_SEC = 30.0


class SoakReport(msgspec.Struct, kw_only=True, frozen=True):
    """The figures of a run, durations in seconds, memory in 10^6 bytes. `broken`: invariants, in words."""

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
    memory: Memory
    broken: tuple[str, ...]

    def failures(self) -> list[str]:
        """What is not as it has to be, a sentence each."""
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
        if self.memory.growth > self.memory.middle * MOST_GROWTH_SHARE:
            found.append(f"memory grows: {self.memory.growth:+.1f} MB in the second half")
        return found

    def print_to(self, console: Console) -> None:
        """A table, and a last line that says how it went."""
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
        ):
            table.add_row(name, value)
        console.print(table)
        failures = self.failures()
        for failure in failures:
            console.print(f"BROKEN: {failure}", markup=False)
        if not failures:
            console.print("OK: nothing lost, nothing twice, and memory stays where it was")
