"""Invariants (b), (c) and (e): what is decided, how often, and whether it was right in that very moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

from brain.decisions.case import SnapshotView
from brain.decisions.permit_text import RecordedDecision, read_audit, recorded_decision
from brain.plans.permit import Reason
from settings import Settings
from simulator.history import PositionSide
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.records import Committed, DecisionCommit
from tests.simulation.books import Books, Grant
from tests.simulation.claims import ROUNDING_MS, Claims
from tests.simulation.clocks import SteppedClock, true_ms
from tests.simulation.venue import ZERO, Change, Venue
from tests.simulation.verdicts import require

_OPENS = ("open", "add")
_NEAR_MS = 5
#: A permit is dated by Redis's clock to within this (ms), a while after that was set (ms).
_DATED_WITHIN_MS = 2_000
_CLOCK_KNOWN_WITHIN_MS = 8_000
#: An answer that was held up by less looks like one of a read that waited so long (ms).
_HELD_UP_MS = 1_500
#: An eviction is noticed within this (ms).
_EVICTION_NOTICED_MS = 8_000
#: Hosts agree with Redis's clock to within this (seconds), except while one of them is set wrong.
_HOSTS_AGREE_SEC = 1.1


class Decisions:
    """Looks at every decision in the moment in which it is committed."""

    def __init__(
        self,
        books: Books,
        venue: Venue,
        redis: MemoryRedis,
        keys: Keys,
        settings: Settings,
        claims: Claims,
        clock_of: Callable[[str], SteppedClock],
        redis_clock: SteppedClock,
        may_open: Callable[[str], bool],
        on_grant: Callable[[Grant], None],
        audit_ms: Callable[[], int],
        on_decided: Callable[[str], None],
    ) -> None:
        """`may_open`: whether the symbol was allowed to be opened recently. `audit_ms`: how long a change
        that no event announces may go unnoticed as of now."""
        self.count = 0
        self.allowed = 0
        #: Redis's clock when it last came up as another run; 0: never.
        #: When another run of Redis began: by its clock, and by true time.
        self.redis_changed_ms = self.redis_truly_changed_ms = 0
        #: Redis's clock when it last evicted keys; 0: never.
        self.evicted_ms = self.truly_evicted_ms = 0
        #: Plans that were denied for a cooldown.
        self.cooled: set[str] = set()
        self._redis_clock = redis_clock
        self._books = books
        self._venue = venue
        self._redis = redis
        self._keys = keys
        self._settings = settings
        self._claims = claims
        self._clock_of = clock_of
        self._may_open = may_open
        self._on_grant = on_grant
        self._on_decided = on_decided
        self._audit_ms = audit_ms

    def committed(self, writer: str, commit: DecisionCommit, verdict: object) -> None:
        """Judge a decision that was offered to Redis, which gave that verdict."""
        if not isinstance(verdict, Committed):
            return
        self.count += 1
        plan_id = commit.plan_id
        kept = self._books.kept
        audit = dict(zip(commit.audit_fields[::2], commit.audit_fields[1::2], strict=True))
        allow, reason = audit["allow"] == "true", audit["reason"]
        self._books.reasons[reason] = self._books.reasons.get(reason, 0) + 1
        again = plan_id in kept.decided and plan_id not in self._books.unmarked
        require(not again, "b", f"{plan_id} was decided twice, now {reason}")
        kept.decided[plan_id] = allow
        if reason == Reason.COOLDOWN_IN_FLIGHT:
            self.cooled.add(plan_id)
        if allow:
            again = plan_id in self._books.ever_allowed and not self._is_new_again(commit)
            require(not again, "b", f"{plan_id} was allowed twice")
            self._books.ever_allowed.add(plan_id)
            self.allowed += 1
            self._judge_allow(writer, commit, reason, audit["record"].encode())
        self._on_decided(plan_id)

    def _judge_allow(self, writer: str, commit: DecisionCommit, reason: str, record: bytes) -> None:
        plan_id, symbol = commit.plan_id, commit.symbol
        audit = read_audit(record)
        decision, case = recorded_decision(audit), audit.case
        require(case is not None and case.snapshot is not None, "e", f"{plan_id} allowed without a snapshot")
        assert case is not None and case.snapshot is not None
        hold = self._redis.kind(self._keys.hold(symbol)) != "none"
        bypass = reason == Reason.RECONCILE_CLOSE_BYPASS
        require(hold is bypass, "e", f"{plan_id} on {symbol}: {reason} while hold is {hold}")
        self._judge_age(commit, reason)
        published = self._books.published[plan_id]
        require(
            published.wants and not published.expired and not published.unsound,
            "e",
            f"{plan_id} allowed as {reason}: {published.fields}",
        )
        self._judge_permit(commit, decision)
        # A mark that was evicted says nothing of a result any more.
        settled = plan_id in self._books.kept.settled and plan_id not in self._books.unmarked
        require(not settled, "e", f"{plan_id} allowed after its result")
        if not bypass and reason != Reason.NO_QUANTITY_CHANGE:
            self._judge_cooldown(commit)
        if decision.kind in _OPENS:
            require(self._may_open(symbol), "e", f"{plan_id} opens {symbol} outside the allowlist")
        leg: PositionSide = decision.leg.value
        amount = sum((row.amount for row in case.snapshot.legs if row.leg is decision.leg), ZERO)
        seen_ms = self._judge_snapshot(writer, symbol, leg, amount, case.snapshot)
        if reason == Reason.NO_QUANTITY_CHANGE:
            require(decision.quantity == ZERO, "e", f"{plan_id} changes no quantity, and allows some")
            return
        grant = Grant(
            plan_id,
            symbol,
            leg,
            decision.kind.value,
            decision.order_side or "",
            decision.quantity if decision.kind == "close" else case.plan.quantity or ZERO,
            ZERO,
            bypass,
        )
        grant.left = grant.quantity
        self._books.grants[plan_id] = grant
        self._judge_open_permits(symbol)
        if grant.kind == "close":
            self._judge_close(grant, amount, seen_ms)
        self._on_grant(grant)

    def _judge_permit(self, commit: DecisionCommit, decision: RecordedDecision) -> None:
        """Check that the permit says what was decided."""
        permit = json.loads(commit.permit, parse_float=Decimal, parse_int=Decimal)
        written = [permit[name] for name in ("plan_id", "symbol", "allow", "order_side", "safe_close_qty")]
        decided = [commit.plan_id, commit.symbol, True, decision.order_side, decision.quantity]
        require(written == decided, "e", f"the permit says {written}, decided was {decided}")
        offsets = self._redis_clock.offsets_since(true_ms() - _CLOCK_KNOWN_WITHIN_MS)
        if len(offsets) == 1:
            # What a gate compares with: it refuses permits from the future, and old ones.
            off_ms = round(permit["created_at"] * 1000) - self._redis.now_ms()
            require(
                abs(off_ms) <= _DATED_WITHIN_MS,
                "e",
                f"the permit of {commit.plan_id} is dated {off_ms} ms off Redis's clock",
            )

    def booked(self, symbol: str, booked_ms: int) -> None:
        """Judge the time that a ledger has of its latest order: by Redis's clock, as cooldowns compare it."""
        if len(self._redis_clock.offsets_since(true_ms() - _CLOCK_KNOWN_WITHIN_MS)) == 1:
            stored = self._redis.hgetall(self._keys.ledger(symbol)).get(b"last_order_time_epoch", b"0")
            ahead_ms = round(Decimal(stored.decode()) * 1000) - booked_ms
            says = f"{symbol}: the ledger's latest order is {ahead_ms} ms ahead of Redis's clock"
            require(ahead_ms <= _DATED_WITHIN_MS, "e", says)

    def _is_new_again(self, commit: DecisionCommit) -> bool:
        """Return whether Redis has no trace of an earlier decision of the plan.

        One that Redis has lost, plan and all, is new to it when it is published again; so is one that is
        published again after the mark of its decision was evicted.
        """
        unmarked_ms = self._books.unmarked.get(commit.plan_id)
        published_ms = self._books.published_ms[commit.entry_id]
        return commit.plan_id in self._books.lost or (unmarked_ms is not None and published_ms > unmarked_ms)

    def _judge_cooldown(self, commit: DecisionCommit) -> None:
        """By Redis's clock, the last execution is a cooldown ago; one further ahead than that is ignored."""
        now_ms, limit_sec = self._redis.now_ms(), self._settings.cooldown_sec
        stepped_ms = round(limit_sec * 1000) + _CLOCK_KNOWN_WITHIN_MS
        if len(self._redis_clock.offsets_since(true_ms() - stepped_ms)) > 1:
            return
        stored = self._redis.get(self._keys.cooldown(commit.symbol))
        booked_ms = self._books.kept.booked_ms.get(commit.symbol)
        for executed_ms, slack_sec in (
            (None if stored is None else int(stored), 0.0),
            (booked_ms, _HOSTS_AGREE_SEC),
        ):
            if executed_ms is None:
                continue
            ago_sec = (now_ms - executed_ms) / 1000
            require(
                not min(0.0, slack_sec - limit_sec + 2) <= ago_sec < limit_sec - slack_sec,
                "e",
                f"{commit.plan_id} on {commit.symbol}: allowed {ago_sec:.3f} s after an execution",
            )

    def _judge_open_permits(self, symbol: str) -> None:
        """Check that a reservation is written together with the removal of those that are over."""
        now_ms = self._redis.now_ms()
        for name, value in self._redis.hgetall(self._keys.open_permits(symbol)).items():
            if name.startswith(b"p:"):
                expires_ms = int(value.rpartition(b"|")[2])
                require(expires_ms > now_ms, "g", f"{name.decode()[2:]}: its open permit outlives its time")

    def _judge_age(self, commit: DecisionCommit, reason: str) -> None:
        # When it was published, whatever its id says.
        now_ms, entry_ms = self._redis.now_ms(), self._books.published_ms[commit.entry_id]
        true_entry_ms = self._books.truly_published_ms[commit.entry_id]
        age_ms = now_ms - entry_ms
        limit_ms = self._settings.plan_max_age_sec * 1000
        if int(commit.entry_id.partition("-")[0]) > entry_ms:
            # Its time of publication is not in its id, but in the answer that brought it.
            limit_ms += _HELD_UP_MS
        require(age_ms <= limit_ms, "e", f"{commit.plan_id} allowed {age_ms} ms after it was published")
        changed_ms = self.redis_changed_ms
        older = true_entry_ms < self.redis_truly_changed_ms
        require(not older, "e", f"{commit.plan_id} allowed, and older than the run of Redis")
        if reason == Reason.OPEN_PERMIT_GRANTED and changed_ms:
            # By Redis's clock, or truly where that was set back since.
            since_ms = max(now_ms - changed_ms, true_ms() - self.redis_truly_changed_ms)
            require(
                since_ms >= self._settings.permit_ttl_sec * 1000,
                "e",
                f"{commit.plan_id} opens {since_ms} ms after Redis came up as another run",
            )
        if reason == Reason.OPEN_PERMIT_GRANTED and self.evicted_ms:
            # By Redis's clock, or truly where that was set back since.
            since_ms = max(now_ms - self.evicted_ms, true_ms() - self.truly_evicted_ms)
            waits = _EVICTION_NOTICED_MS <= since_ms < self._settings.permit_ttl_sec * 1000
            require(not waits, "e", f"{commit.plan_id} opens {since_ms} ms after keys were evicted")

    def _judge_snapshot(
        self, writer: str, symbol: str, leg: PositionSide, amount: Decimal, snapshot: SnapshotView
    ) -> list[int]:
        """Check that its snapshot was true at its date and fresh; return the possible times (true ms)."""
        clock, now_ms = self._clock_of(writer), true_ms()
        shown_ms = snapshot.ts_epoch_ms
        self._claims.check(writer, symbol, leg, amount, shown_ms, self._proof_of(symbol, shown_ms))
        seen_ms = [shown_ms - offset for offset in clock.offsets_since(now_ms - 75_000)]
        age_ms = now_ms - max(seen_ms)
        limit_ms = self._settings.stale_threshold_sec * 1000 + ROUNDING_MS
        require(age_ms <= limit_ms, "e", f"{symbol}: allowed on a snapshot {age_ms} ms old")
        self._judge_present(symbol, leg, amount, now_ms)
        return seen_ms

    def _proof_of(self, symbol: str, shown_ms: int) -> str:
        """Return the kind of the snapshot's proof where Redis holds the same one, else the book's."""
        stored = self._redis.hgetall(self._keys.snapshot(symbol))
        same = stored.get(b"ts_epoch_ms") == str(shown_ms).encode()
        return stored[b"verified_by"].decode() if same else "the book"

    def _judge_present(self, symbol: str, leg: PositionSide, amount: Decimal, now_ms: int) -> None:
        """By true time alone, whatever clocks and dates say: it was so within the stale threshold, or within
        the time that it takes to notice what no event announces."""
        longest_ms = max(round(self._settings.stale_threshold_sec * 1000), self._audit_ms())
        held = self._venue.amounts_between(symbol, leg, now_ms - longest_ms, now_ms)
        require(
            amount in held, "e", f"{symbol} {leg}: allowed on {amount}, which it was not for {longest_ms} ms"
        )

    def _judge_close(self, grant: Grant, granted_against: Decimal, seen_ms: list[int]) -> None:
        """Check that all open closes are no more than the position that it was granted against.

        Less what our own orders have closed of that since; what others did to it is no fault of the grant.
        """
        side = "SELL" if granted_against > 0 else "BUY"
        require(grant.order_side == side, "c", f"{grant} would open against {granted_against}")
        step = self._venue.symbol(grant.symbol).step_size
        require(grant.quantity > 0 and grant.quantity % step == 0, "c", f"{grant}: no multiple of {step}")
        most = max(self._closable(grant, granted_against, each_ms) for each_ms in seen_ms)
        if self._may_look_alike(grant):
            most = abs(granted_against)
        tolerance = abs(granted_against) * self._settings.qty_tolerance_pct / 100
        live = self._books.live_closes(grant.symbol, grant.leg)
        alive = [each for each in live if self._may_still_execute(each)]
        total = sum((each.left for each in alive), ZERO)
        require(
            total <= most + tolerance,
            "c",
            f"{grant.symbol} {grant.leg}: {total} may be closed of {most}, granted against {granted_against}:"
            f" {[(each.plan_id, str(each.left), each.taken) for each in alive]}",
        )

    def _may_look_alike(self, grant: Grant) -> bool:
        """Return whether others' trades may make an older snapshot agree with a newer ledger: (c)'s end."""
        settings = self._settings
        since_ms = true_ms() - 3 * settings.stale_threshold_sec * 1000
        changes = self._venue.changes_since(grant.symbol, grant.leg, round(since_ms))
        return settings.cooldown_sec < settings.stale_threshold_sec and any(not each.own for each in changes)

    def _closable(self, grant: Grant, granted_against: Decimal, seen_ms: int) -> Decimal:
        """Return what our own orders have left since then of a position that was `granted_against`."""
        near_ms = _NEAR_MS + self._claims.clock_lag_ms(seen_ms)
        changes = self._venue.changes_since(grant.symbol, grant.leg, seen_ms - near_ms)
        ours = [(change.at_ms, change.delta) for change in changes if self._is_known(change)]
        # Near the moment of the snapshot a change may be on either side of it.
        near = [delta for at_ms, delta in ours if at_ms <= seen_ms + near_ms]
        left = granted_against + sum((delta for at_ms, delta in ours if at_ms > seen_ms + near_ms), ZERO)
        most = abs(left)
        for delta in reversed(near):
            left += delta
            most = max(most, abs(left))
        return most

    def _is_known(self, change: Change) -> bool:
        return change.own and self._books.speaks_of(str(change.order_id))

    def _may_still_execute(self, grant: Grant) -> bool:
        if self._books.has_lost_hold(grant):
            return False  # (c)'s end: only that hold covered an order that outlives the grace.
        return grant.taken or self._redis.get(self._keys.permit(grant.plan_id)) is not None
