"""Invariant (g3): each grant counts once, from its permit until its last word or its end, as filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from store.memory.streams import parse_id
from tests.simulation.governor_books import ZERO, GovernorGrant, GovernorKept, said_by
from tests.simulation.governor_look import GovernorLook, day_of
from tests.simulation.results import UNKNOWN
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.governor_side import GovernorSide

T = TypeVar("T")
#: Sums are decimal texts of products of ours and theirs (a share).
_ROUNDING = Decimal("0.000001")
#: From the look at Redis's clock to the step, at most (ms).
_LOOKED_WITHIN_MS = 1_500
_COUNTED_SEC = 3600.0


class GovernorSettling:
    """Looks at every result that is taken in, and at every grant that ends."""

    def __init__(self, side: GovernorSide, look: GovernorLook) -> None:
        self.settled = self.expired = 0
        self._side = side
        self._look = look

    @property
    def _kept(self) -> GovernorKept:
        return self._side.kept

    def changed(self, writer: str, entry_ids: Sequence[str], effect: Callable[[], T]) -> T:
        """Judge a step that settles or ends grants. `entry_ids`: the results that are in its hand."""
        look, results = self._look, self._side.world.keys.results
        before = look.pending(results, look.keys.results_group)
        permits = {plan_id for plan_id, text in look.permits(self._kept.grants).items() if text is not None}
        events = look.last_id(look.keys.events)
        answer = effect()
        after = look.pending(results, look.keys.results_group)
        expired = [
            fields
            for _, fields in look.behind(look.keys.events, events)
            if fields["event"] == "GRANT_EXPIRED"
        ]
        for entry_id in entry_ids:
            if entry_id and entry_id in before - after:
                self._take(writer, entry_id, permits)
        self._judge_ends(len(expired), permits)
        self.compare()
        return answer

    def _take(self, writer: str, entry_id: str, permits: set[str]) -> None:
        """Take a result that is acknowledged into the books."""
        stream = self._side.redis.keyspace.stream(self._side.world.keys.results)
        fields = None if stream is None else stream.get(parse_id(entry_id))
        said = None if fields is None else said_by(fields, UNKNOWN)
        grant = None if said is None else self._kept.grants.get(said.plan_id)
        if said is None or grant is None or grant.filled is not None:
            return
        notional = said.quantity * (said.price or grant.price)
        if not said.final:
            if said.quantity:
                grant.partly, grant.ends_ms = notional, self._side.now_ms() + self._side.grant_lives_ms
            return
        if not said.had_permit and not grant.partly and self._side.acts and said.plan_id not in permits:
            # Another executor has the permit.
            return
        self._side.trace.note(f"{writer} settles {said.plan_id} {said.quantity}")
        self.settled += 1
        self._settle(grant, notional if said.quantity else grant.partly)

    def _settle(self, grant: GovernorGrant, notional: Decimal) -> None:
        if not notional:
            del self._kept.grants[grant.plan_id]
            return
        grant.filled, grant.settled_ms = notional, self._side.now_ms()

    def _judge_ends(self, expired: int, permits: set[str]) -> None:
        """Check that grants whose reservation is gone have expired, and say so, or were refused before."""
        reserved, now_ms = self._look.reserved(), self._side.now_ms()
        gone = [
            each
            for each in self._kept.grants.values()
            if each.filled is None
            and (each.plan_id not in reserved or reserved[each.plan_id].get("filled_ms") is not None)
        ]
        refused = [each for each in gone if self._was_refused(each, permits)]
        for grant in gone:
            if grant in refused:
                del self._kept.grants[grant.plan_id]
                continue
            over = grant.ends_ms <= now_ms + _LOOKED_WITHIN_MS or self._side.clock_stepped()
            left_ms = grant.ends_ms - now_ms
            require(over, "g3", f"{grant.plan_id} has {left_ms} ms left, no result, and is not reserved")
            self._settle(grant, grant.partly)
        ended = len(gone) - len(refused)
        self.expired += ended
        require(ended <= expired, "g3", f"{[each.plan_id for each in gone]} expired without an event")

    def _was_refused(self, grant: GovernorGrant, permits: set[str]) -> bool:
        """Return whether an executor's refusal is published, which may have come before the grant."""
        for _, fields in self._side.redis.xrange(self._side.world.keys.results):
            said = said_by(fields, UNKNOWN)
            if said.plan_id == grant.plan_id and said.final and not said.quantity and not grant.partly:
                free = said.had_permit or not self._side.acts or grant.plan_id in permits
                if free:
                    return True
        return False

    def compare(self) -> None:
        """Compare all that Redis counts with the books."""
        self._compare_reserved()
        for symbol in self._side.world.scene.symbols:
            self._compare_window(symbol)
            self._compare_sums(symbol)

    def _compare_reserved(self) -> None:
        reserved, kept = self._look.reserved(), self._kept
        live = {each.plan_id for each in kept.grants.values() if each.filled is None}
        missing = live - reserved.keys()
        require(not missing, "g3", f"granted, and not reserved: {sorted(missing)}")
        surplus = sorted(name for name in reserved if name not in kept.grants)
        require(not surplus, "g3", f"reserved, and over or never granted: {surplus}")
        for plan_id, reservation in reserved.items():
            settled = kept.grants[plan_id].filled is not None
            marked = reservation.get("filled_ms") is not None
            require(settled is marked, "g3", f"{plan_id}: settled is {settled}, and it says {reservation}")

    def _compare_window(self, symbol: str) -> None:
        now_ms = self._side.now_ms()
        stored = self._look.window(symbol)
        expected = {each.plan_id: each.granted_ms for each in self._kept.opened(symbol, now_ms, _COUNTED_SEC)}
        counted = {name: at_ms for name, at_ms in stored.items() if name in expected}
        require(counted == expected, "g3", f"{symbol}: the window counts {counted} of {expected}")
        since_ms = now_ms - _COUNTED_SEC * 1000
        surplus = [name for name, at_ms in stored.items() if at_ms > since_ms and name not in expected]
        require(not surplus, "g3", f"{symbol}: the window counts {surplus}, over or never granted")

    def _compare_sums(self, symbol: str) -> None:
        """Compare the sums of today: those of a day that is over are left as they are."""
        keys, day = self._look.keys, day_of(self._side.now_ms())
        if self._side.clock_stepped():
            return
        for key, opens in ((keys.opened(symbol, day), True), (keys.reduced(symbol, day), False)):
            expected = self._kept.sum_of(symbol, day, opens=opens)
            stored = Decimal((self._look.text(key) or b"0").decode())
            near = abs(stored - expected) <= _ROUNDING * (abs(expected) + 1)
            require(near, "g3", f"{key} is {stored}, recounted {expected}")

    def all_is_over(self) -> None:
        """Raises ViolationError unless nothing is reserved, and all that counts was filled.

        After a long quiet.
        """
        reserved = self._look.reserved()
        require(not reserved, "g3", f"still reserved after a long quiet: {reserved}")
        unsettled = [each.plan_id for each in self._kept.grants.values() if each.filled is None]
        require(not unsettled, "g3", f"neither settled nor expired: {unsettled}")
        empty = [each.plan_id for each in self._kept.grants.values() if each.filled == ZERO]
        require(not empty, "g3", f"counted, and nothing was filled: {empty}")
        self.compare()
