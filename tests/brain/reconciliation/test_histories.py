"""Random histories: no repair books a fill twice, for another, or that is not proven.

Own orders with lost, late, doubled and partial results; outside orders of every cause, and outside trades
that undo just what is not booked; positions and lists that lag; pages that were not read; memories that are
gone; operators that correct the ledger.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from brain.identifiers import Symbol
from brain.reconciliation.agreed import Agreed
from brain.reconciliation.agreeing import Agreements
from brain.reconciliation.evidence import Gap
from brain.reconciliation.rules import ADOPTABLE_CAUSES, DriftCause
from tests.brain.reconciliation.account import Account
from tests.brain.reconciliation.cases import ADOPTED
from tests.brain.reconciliation.venue import Order, Venue

_OWN = [DriftCause.OWN_UNBOOKED, DriftCause.OWN_UNBOOKED, DriftCause.OWN_ORPHAN]
_OUTSIDE = [*sorted(ADOPTABLE_CAUSES), DriftCause.NONE]


class History:
    """One history, played to its end when made."""

    def __init__(self, seed: int, seen: Counter[str]) -> None:
        self._seen = seen
        self._rng = rng = Random(seed)  # noqa: S311 - a search, no secret
        self._venue = Venue(rng, hedge_mode=rng.random() < 0.4)
        for _ in range(rng.randint(0, 2)):
            self._venue.fill(self._venue.place(rng.choice(_OWN + _OUTSIDE)))
        self._venue.now_ms += rng.choice([1, 5000])
        adopted = ADOPTED if rng.random() < 0.7 else frozenset(rng.sample(_OUTSIDE[:-1], rng.randint(0, 5)))
        self._account = Account(self._venue, rng, adopted, seen)
        self._corrects = rng.random() < 0.2
        self._results: list[tuple[Order, int]] = []
        self.play()

    def play(self) -> None:
        rng, venue, account = self._rng, self._venue, self._account
        venue.current = True
        account.look(window_ms=300_000, restarted=False)
        venue.current = False
        while not venue.exhausted:
            venue.now_ms += rng.choice([0, 1, 50, 400, 3000])
            rng.choices(
                [
                    self._fill_an_order,
                    self._report,
                    self._look,
                    self._close,
                    self._correct,
                    self._forget,
                    self._undo,
                ],
                [8, 5, 12, 1, self._corrects, 1, 2],
            )[0]()
            account.check()
        for _ in range(3):
            self._look()
            account.check()
        venue.current = True
        venue.now_ms += 1000
        account.look(window_ms=venue.now_ms, restarted=False)
        account.check_repaired()
        rng.shuffle(self._results)
        while self._results:
            self._report()
            account.check()

    def _fill_an_order(self) -> None:
        rng, venue = self._rng, self._venue
        going_on = [each for each in venue.orders[-3:] if each.cause is not DriftCause.RECONCILE_CLOSE]
        if going_on and rng.random() < 0.4:
            order = rng.choice(going_on)
        else:
            order = venue.place(rng.choice(_OWN if rng.random() < 0.6 else _OUTSIDE))
        venue.fill(order)
        if order.cause in (*_OWN, DriftCause.NONE):
            lost_or_doubled = rng.choices([0, 1, 2], [4, 5, 1])[0]
            self._results += [(order, len(venue.fills))] * lost_or_doubled

    def _close(self) -> None:
        """Remove by a RECONCILE_CLOSE what outside orders have added: nothing of ours may be unbooked."""
        venue = self._venue
        leg = self._rng.choice(venue.legs)
        excess = venue.amount(leg, len(venue.fills)) - self._account.amount(leg)
        if excess and not any(map(self._account.lacks, venue.orders)):
            order = venue.place(DriftCause.RECONCILE_CLOSE, "SELL" if excess > 0 else "BUY", leg)
            venue.fill(order, abs(excess))
            self._results.append((order, len(venue.fills)))

    def _report(self) -> None:
        if self._results:
            order, view = self._results.pop(self._rng.randrange(len(self._results)))
            self._account.report(order, order.cumulative(view))

    def _look(self) -> None:
        window_ms = self._rng.choice([300_000, 300_000, 2000])
        self._account.look(window_ms=window_ms, restarted=self._rng.random() < 0.1)

    def _undo(self) -> None:
        """Trade back from outside just what the ledger lacks, of whatever sender.

        The engine compares whatever moves: it has seen the difference.
        """
        venue = self._venue
        self._account.compare(len(venue.fills), venue.now_ms)
        leg = self._rng.choice(venue.legs)
        lacks = venue.amount(leg, len(venue.fills)) - self._account.amount(leg)
        if lacks:
            order = venue.place(DriftCause.MANUAL, "SELL" if lacks > 0 else "BUY", leg)
            venue.fill(order, abs(lacks))
            self._account.undone = True
            self._seen["undone"] += 1

    def _correct(self) -> None:
        self._account.correct()

    def _forget(self) -> None:
        awaited = {order.order_id for order, _ in self._results}
        old = [each for each in self._venue.orders[:-3] if each.order_id not in awaited]
        if old:
            self._account.forget(self._rng.choice(old))


def play(seeds: range) -> Counter[str]:
    """Play a history of each seed, and return how often each thing happened."""
    seen = Counter[str]()
    for seed in seeds:
        try:
            History(seed, seen)
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error
    return seen


@pytest.mark.simulation
def test_no_history_books_a_fill_twice_or_for_another() -> None:
    seen = play(range(300))
    needed = {*DriftCause, *Gap, "agreed", "explained", "repaired", "settled"}
    needed |= {"two causes", "no sum", "undone"}
    # Rows that contradict each other are examples of their own; unattributed is no true cause.
    needed -= {DriftCause.NONE, Gap.CONTRADICTION, Gap.MEMORY_UNREADABLE}
    assert {name for name in needed if not seen[name]} == set()


@pytest.mark.parametrize("broken", ["agree", "differ"])
def test_the_histories_find_equal_amounts_that_are_taken_for_an_agreement(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every equality counts; or one counts that the exchange alone has brought about."""

    def agree(self: Agreements, symbol: Symbol, seen: Agreed, now_sec: float) -> None:
        self._take(symbol, seen)

    def differ(self: Agreements, symbol: Symbol, *_: object) -> None:
        self.interrupt(symbol)

    monkeypatch.setattr(Agreements, broken, {"agree": agree, "differ": differ}[broken])
    with pytest.raises(AssertionError, match=r"left out|not booked|would be lost|the adoption"):
        play(range(300))


@pytest.mark.simulation
@pytest.mark.parametrize("part", range(10))
def test_none_of_10000_histories_does(part: int) -> None:
    assert play(range(part * 1000, part * 1000 + 1000))["repaired"] > 1000
