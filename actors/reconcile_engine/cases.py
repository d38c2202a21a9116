"""Open cases of the reconcile engine: each difference from its first sight until both sides agree again."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from actors.reconcile_engine.known_trades import KnownTrades
from brain.identifiers import Symbol
from brain.numbers import plain
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import Drift, drift_signature
from brain.reconciliation.evidence import Explained, Finding, Growth
from brain.reconciliation.record import Weighed
from clocks.growing_delay import GrowingDelay

#: Pauses between looks that found nothing to book (seconds).
_DELAYS = GrowingDelay(initial_sec=1.0, maximum_sec=60.0)
#: Pauses between looks at a case that waits for a person (seconds): those where all is explained grow.
_MANUAL_SEC = 60.0
_EXPLAINED = GrowingDelay(initial_sec=_MANUAL_SEC, maximum_sec=600.0)


class Case:
    """A difference of one symbol. Times are trio's clock (seconds) unless their name says otherwise.

    `since_ms`: first seen (Redis's clock), `first_seen_ms`: the same by the exchange's clock. `status`: as
    written last, None before the first write. `own_sig`: owner of the own hold that stands, empty for none.
    `held_by`: owner of another's hold, None for none. `calm_since_sec`: since when there is no difference to
    settle. `seen`: the position was believed at the latest comparison. `repaired`: signature of a drift that
    was repaired, and is shown until the next comparison (in the shadow for as long as it lasts).
    """

    def __init__(
        self, drift: Drift, *, now_sec: float, since_ms: int, first_seen_ms: int, settle_sec: float
    ) -> None:
        self.drift = drift
        self.signature = drift_signature(drift)
        self.since_sec = now_sec
        self._settle_sec = settle_sec
        self.since_ms = since_ms
        self.first_seen_ms = first_seen_ms
        #: Trades since then are evidence (the exchange's clock, ms).
        self.evidence_since_ms = first_seen_ms
        self.status: CaseStatus | None = None
        self.own_sig = ""
        self.held_since_sec: float | None = None
        #: When the own hold, and when the state, was last written.
        self.held_sec = self.written_sec = float("-inf")
        self.held_by: str | None = None
        #: When another's hold expires by itself, infinity for never.
        self.other_ends_sec = float("inf")
        #: Its hold was the executor's, of an order that is over: it stands until the drift is settled.
        self.took_over = False
        self.calm_since_sec: float | None = None
        self.seen = True
        self.looking = False
        #: Of a look's requests, which end when its hold does.
        self.requests = trio.CancelScope()
        self.looks = 0
        self.next_look_sec = now_sec
        self.looked_sec = float("-inf")
        self.finding: Finding | None = None
        #: The evidence of the present look with what it proves; None where it did not come to that.
        self.weighed: Weighed | None = None
        self.trades = KnownTrades()
        self.why = ""
        self.repaired = ""
        #: Events, log lines and counts of this case that are not repeated.
        self.told: set[str] = set()
        #: For what a person was asked last.
        self.asked_for = ""
        self._failures = self._explained = 0
        #: The next look at that.
        self._next_asked_sec = now_sec
        self._complete_since_sec: float | None = None

    @property
    def symbol(self) -> Symbol:
        """Return its symbol."""
        return self.drift.symbol

    @property
    def found(self) -> tuple[Growth, ...]:
        """Return the fills that the ledger lacks, as far as the latest look has found them."""
        finding = self.finding
        if finding is None:
            return ()
        return (*finding.adopted, *finding.foreign) if isinstance(finding, Explained) else finding.growths

    @property
    def is_manual(self) -> bool:
        """Return True if it waits for a person."""
        return self.status is CaseStatus.MANUAL_REQUIRED

    @property
    def can_wait(self) -> bool:
        """Return True if others look first: a person has the case, however it changes.

        It changes with each trade of another robot.
        """
        return bool(self.asked_for)

    @property
    def matter(self) -> str:
        """Identify what is looked at, and what a person is asked for: the drift.

        Within the tolerance that is the difference alone, which the bookings of other orders leave as it is.
        """
        if self.keeps_hold(on_stale=False):
            return self.signature
        return " ".join(f"{each.leg}:{plain(each.difference)}" for each in self.drift.drifted)

    def keeps_hold(self, *, on_stale: bool) -> bool:
        """Return True if the symbol is held for as long as the case lasts, and not only during a look."""
        if not self.drift.reason.compares:
            return on_stale
        return self.drift.exceeds or self.took_over

    def see(self, drift: Drift, now_sec: float) -> None:
        """Take in the drift as it is now; another matter is looked at anew.

        Within the tolerance it has to last first, as fills of ours that are not booked yet do not.
        """
        self.calm_since_sec = None
        if drift == self.drift:
            return
        before = self.matter
        self.drift, self.signature = drift, drift_signature(drift)
        if self.matter == before:
            return
        if self.matter == self.asked_for:
            self.next_look_sec = self._next_asked_sec
            return
        settles_sec = now_sec if self.keeps_hold(on_stale=False) else now_sec + self._settle_sec
        self.next_look_sec = max(settles_sec, self.looked_sec + _DELAYS.initial_sec)
        self._failures, self._complete_since_sec = 0, None

    def tell(self, what: str) -> bool:
        """Return True the first time."""
        if what in self.told:
            return False
        self.told.add(what)
        return True

    def complete_for_sec(self, finding: Finding, now_sec: float) -> float:
        """Take in a look at all pages; return since when there have been such looks at this drift (s)."""
        self.finding = finding
        if self._complete_since_sec is None:
            self._complete_since_sec = now_sec
        return now_sec - self._complete_since_sec

    def look_again(self, now_sec: float, *, at_sec: float | None = None, until_sec: float = 0.0) -> None:
        """Set the next look: at `at_sec`, else later with each look in a row, `until_sec` at the latest.

        `until_sec` counts from the first look at all pages; 0 sets no limit.
        """
        self._failures += 1
        self.next_look_sec = now_sec + _DELAYS.after(self._failures)
        if at_sec is not None:
            self.next_look_sec = max(at_sec, now_sec + _DELAYS.initial_sec)
        elif until_sec and self._complete_since_sec is not None:
            end_sec = self._complete_since_sec + until_sec
            self.next_look_sec = max(min(self.next_look_sec, end_sec), now_sec + _DELAYS.initial_sec)

    def look_when_changed(self, now_sec: float, finding: Finding, *, closes_after_sec: float | None) -> None:
        """Set the next look of a case that waits for a person: each time later if others' trades explain it.

        `closes_after_sec`: from the hold to the proposal of a close, None where none is proposed.
        """
        self._explained = self._explained + 1 if self.matter == self.asked_for else 1
        self.next_look_sec = now_sec + _MANUAL_SEC
        if isinstance(finding, Explained) and not finding.adopted and closes_after_sec is None:
            self.next_look_sec = now_sec + _EXPLAINED.after(self._explained)
        if closes_after_sec is not None and self.held_since_sec is not None:
            closes_sec = self.held_since_sec + closes_after_sec
            if closes_sec > now_sec:
                self.next_look_sec = min(self.next_look_sec, closes_sec)
        self._next_asked_sec = self.next_look_sec


class OpenCases:
    """Cases by symbol, and the first sights of differences that are not settled yet."""

    def __init__(self, settle_sec: float, clear_after_sec: float) -> None:
        self._settle_sec = settle_sec
        self._clear_after_sec = clear_after_sec
        self._cases: dict[Symbol, Case] = {}

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(tuple(self._cases.values()))

    def get(self, symbol: Symbol) -> Case | None:
        """Return the case of a symbol."""
        return self._cases.get(symbol)

    def symbols(self) -> list[Symbol]:
        """Return the symbols with a case or a first sight."""
        return list(self._cases)

    def add(self, case: Case) -> Case:
        """Add a case, in the place of one of its symbol."""
        self._cases[case.symbol] = case
        return case

    def drop(self, case: Case) -> None:
        """Remove a case that is over."""
        if self._cases.get(case.symbol) is case:
            del self._cases[case.symbol]

    def clear(self) -> None:
        """Forget all."""
        self._cases.clear()

    def is_settled(self, case: Case, now_sec: float) -> bool:
        """Return True for a difference that has lasted for long enough to be a case."""
        return case.status is not None or now_sec >= case.since_sec + self._settle_sec

    def settled(self) -> list[Case]:
        """Return the cases, oldest first."""
        found = [case for case in self._cases.values() if case.status is not None]
        return sorted(found, key=lambda case: case.since_ms)

    def is_calm(self, case: Case, now_sec: float) -> bool:
        """Return True for a case whose sides have agreed for long enough; begin to count."""
        if case.calm_since_sec is None:
            case.calm_since_sec = now_sec
        return now_sec >= case.calm_since_sec + self._clear_after_sec

    def to_look_at(self, now_sec: float) -> list[Case]:
        """Return the cases to look at: those without a look first, then the longest due; oldest first.

        Those that can wait come last, and of them those that wait for a person.
        """
        due = [
            case
            for case in self.settled()
            if case.drift.reason.compares
            and case.seen
            and not case.looking
            and case.calm_since_sec is None
            and case.held_by is None
            and case.repaired != case.signature
            and case.next_look_sec <= now_sec
            and (case.own_sig or not case.keeps_hold(on_stale=False))
        ]
        return sorted(
            due,
            key=lambda case: (
                case.can_wait,
                case.is_manual,
                case.looks > 0 and case.next_look_sec,
                case.since_ms,
            ),
        )

    def next_due_sec(self, after_sec: float) -> float:
        """Return when a case next wants attention, later than that (trio's clock); infinity for never."""
        times = [float("inf")]
        for case in self._cases.values():
            if case.status is None:
                times.append(case.since_sec + self._settle_sec)
            elif case.calm_since_sec is not None:
                times.append(case.calm_since_sec + self._clear_after_sec)
            elif case.held_by is not None:
                times.append(case.other_ends_sec)
            elif not case.looking and case.seen:
                times.append(case.next_look_sec)
        return min(each for each in times if each > after_sec)
