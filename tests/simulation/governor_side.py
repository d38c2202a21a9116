"""Everything around the service's own Governor: its judges, the account's equity, and its operators."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, TypeVar

import trio

from simulator import external_events
from simulator.margin import margin_of
from tests.simulation.books import Published
from tests.simulation.clocks import true_ms
from tests.simulation.governor import ServiceGovernor
from tests.simulation.governor_books import GovernorKept
from tests.simulation.governor_judge import GovernorJudge
from tests.simulation.governor_look import GovernorKeys, GovernorLook, decision_of, permit_key
from tests.simulation.governor_plans import GovernedPlans
from tests.simulation.governor_scene import DEFAULTS
from tests.simulation.governor_settling import GovernorSettling
from tests.simulation.governor_waiting import WaitingCloses
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
_SAMPLE_SEC = 1.0
#: From the last unreadable row of exchangeInfo until the next read of all of them, at most.
_KNOWN_AGAIN_SEC = 130.0
_OPERATOR_SEC = 15.0
_REARMED = 0.4
#: Samples of equity are kept for so long (seconds), and looked at further back than it may be old.
_SAMPLES_SEC = 200.0
_READ_SEC = 12.0
#: A clock that was set within this (ms) is taken into account.
_CLOCK_KNOWN_WITHIN_MS = 100_000
_RECONCILE_CLOSE = "RECONCILE_CLOSE"
_SWITCHES = (
    "quantum:governor:trading_state", "quantum:kill", "quantum:global:kill_switch", "quantum:system:mode",
    "quantum:lockdown", "quantum:churn:global_freeze",
)  # fmt: skip


class EquitySamples:
    """Equity of the account as the exchange has it, over the last minutes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._samples: list[tuple[int, Decimal]] = []
        #: Until then (trio's clock) symbols may not be known as those of the exchange.
        self.odd_until_sec = 0.0

    def look(self) -> None:
        """Take a sample now."""
        now_ms = true_ms()
        self._samples.append((now_ms, margin_of(self._world.venue).balance))
        if self._samples[0][0] < now_ms - 2 * _SAMPLES_SEC * 1000:
            self._samples = [each for each in self._samples if each[0] >= now_ms - _SAMPLES_SEC * 1000]

    def between(self, within_sec: float) -> tuple[Decimal, Decimal]:
        """Return the least and the most of the last seconds."""
        self.look()
        since_ms = true_ms() - within_sec * 1000
        recent = [balance for at_ms, balance in self._samples if at_ms >= since_ms]
        return min(recent), max(recent)

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            self.look()
            if self._world.venue.odd_symbols:
                self.odd_until_sec = trio.current_time() + _KNOWN_AGAIN_SEC
            await trio.sleep(_SAMPLE_SEC)


class GovernorSide:
    """There is one in every world; only where the service's own Governor runs anything comes of it."""

    def __init__(self, world: World) -> None:
        scene = world.scene
        self.world = world
        self.books, self.venue, self.redis, self.trace = world.books, world.venue, world.redis, world.trace
        self.there = scene.governor != "off"
        #: Whether it acts; otherwise it is in the shadow.
        self.acts = scene.governor == "on"
        look = GovernorLook(world.redis, GovernorKeys(shadow=not self.acts), scene.symbols)
        self.look = look
        self.judge = GovernorJudge(self, look)
        self.settling = GovernorSettling(self, look)
        self.waiting = WaitingCloses(self)
        self.equity = EquitySamples(world)
        self.plans = GovernedPlans(Random(f"{scene.seed}:governed plans"))
        #: Whether anything was written into the statistics that cannot be read.
        self.garbled = False
        self.events: dict[str, int] = {}
        self._rng = Random(f"{scene.seed}:governor's operator")
        self.permit_ttl_ms = round(self.number("GOV_PERMIT_TTL") * 1000)
        self.grant_lives_ms = self.permit_ttl_ms + round(world.settings.execution_grace_sec * 1000)
        self.equity_lag_sec = (
            self.number("GOV_EQUITY_MAX_AGE_SEC") + self.number("GOV_EQUITY_SEC") + _READ_SEC
        )
        self.most_extra_cooldown_sec = self.number("P31_MAX_EXTRA_COOLDOWN_SEC")
        if self.there:
            world.neighbours.publisher.adorn = self.plans.adorn
            world.neighbours.publisher.on_publish.append(self.waiting.published)
        if self.acts:
            world.neighbours.consumers.may_take = self.may_take
        if self.acts and scene.executor:
            world.neighbours.governor = ServiceGovernor()

    # Settings, clocks, and what Redis keeps of it all.

    @property
    def kept(self) -> GovernorKept:
        """What is rolled back with Redis."""
        return self.books.kept.governor

    def text(self, variable: str) -> str:
        """Return a setting."""
        return self.world.scene.environment.get(variable, DEFAULTS[variable])

    def number(self, variable: str) -> float:
        """Return a setting that is a number."""
        return float(self.text(variable))

    def decimal(self, variable: str) -> Decimal:
        """Return a setting that is an amount or a share; 0 for none."""
        return Decimal(self.text(variable) or "0")

    def now_ms(self) -> int:
        """Return Redis's clock."""
        return self.redis.now_ms()

    def clock_stepped(self) -> bool:
        """Return whether Redis's clock was set a while ago."""
        return len(self.world.redis_clock.offsets_since(true_ms() - _CLOCK_KNOWN_WITHIN_MS)) > 1

    def is_disturbed(self) -> bool:
        """Return whether anything keeps the Governor from answering at once."""
        return self.waiting.disturbed_sec() >= trio.current_time()

    def recorded(self, audit: dict[str, str]) -> dict[str, object]:
        """Return what a permit in the shadow would say, from the record in the audit."""
        judgement = json.loads(audit["record"], parse_float=Decimal, parse_int=Decimal)["judgement"]
        return {
            "computed_qty": judgement["quantity"],
            "computed_notional": judgement["notional"] or Decimal(0),
        }

    def note_event(self, fields: dict[str, str]) -> None:
        """Count an event of the Governor."""
        self.events[fields["event"]] = self.events.get(fields["event"], 0) + 1

    # The steps of the store.

    def judged(self, writer: str, entries: Sequence[tuple[str, str]], effect: Callable[[], T]) -> T:
        """Judge a batch of judgements, which `effect` is to write."""
        return self._watched(partial(self.judge.judged, writer, entries, effect))

    def changed(self, writer: str, entry_ids: Sequence[str], effect: Callable[[], T]) -> T:
        """Judge a step that settles or ends grants."""
        return self._watched(partial(self.settling.changed, writer, entry_ids, effect))

    def kept_equity(self, effect: Callable[[], T]) -> T:
        """Judge a step that writes what is known of the account."""
        return self._watched(effect)

    def _watched(self, effect: Callable[[], T]) -> T:
        """Check that a step in the shadow writes nothing that anybody else reads."""
        if self.acts:
            return effect()
        before, state = self._others(), self.look.text("quantum:governor:trading_state")
        answer = effect()
        added = self._others() ^ before
        require(not added, "g6", f"written in the shadow: {sorted(added)}")
        same = self.look.text("quantum:governor:trading_state") == state
        require(same, "g6", "the trading state is set in the shadow")
        return answer

    def _others(self) -> set[str]:
        return {each for each in list(self.redis.keys()) if not each.startswith("quantum:governor:shadow:")}

    # What Redis loses.

    def evicted(self, keys: Sequence[str]) -> None:
        """Let go of what these keys held."""
        for symbol in self.world.scene.symbols:
            if self.look.keys.window(symbol) in keys:
                for grant in self.kept.grants.values():
                    grant.in_window &= grant.symbol != symbol
            if self.look.keys.stats(symbol) in keys:
                self.judge.scores.forget(symbol)

    # Everybody else.

    def may_take(self, plan: Published) -> bool:
        """Take the Governor's permit, as a played consumer does; answers whether there was one."""
        if decision_of(plan) == _RECONCILE_CLOSE:
            return True
        text = self.redis.take(permit_key(plan.plan_id))
        return text is not None and json.loads(text)["granted"] is True

    def lets_execute(self, plan: Published) -> bool:
        """Return whether the plan has not been refused by the Governor."""
        return not self.acts or self.kept.judged.get(plan.plan_id) is not False

    def start(self, nursery: trio.Nursery) -> None:
        """Start what goes on by itself."""
        # The bridge's judge asks which symbols may not be known, with and without a Governor.
        nursery.start_soon(self.equity.watch)
        if self.there:
            nursery.start_soon(self._operate)

    async def _operate(self) -> None:
        """Act as the operator who lets the Governor open again."""
        while True:
            await trio.sleep(_OPERATOR_SEC)
            reducing = self.look.text("quantum:governor:trading_state") == b"REDUCING"
            if reducing and self._rng.random() < _REARMED:
                self.redis.set("quantum:governor:trading_state", "ACTIVE")
                self.trace.note("armed again")

    def set_trading(self, on: bool) -> None:
        """Let operators and neighbours be as they are, or speak against nothing."""
        self.plans.scores = on
        if on or not self.there:
            return
        for key in _SWITCHES:
            self.redis.delete(key)
        lacking = Decimal(self.world.scene.wallet) - self.venue.wallet_balance
        if lacking > 0:
            external_events.change_balance(self.venue, reason="DEPOSIT", amount=lacking)

    def all_is_over(self) -> None:
        """Raises ViolationError unless all is judged, nothing is reserved, and what counts was filled."""
        if not self.there:
            return
        pending = self.look.pending(self.world.keys.plans, self.look.keys.plans_group)
        require(not pending, "g1", f"the Governor has not acknowledged {sorted(pending)[:5]}")
        self.waiting.all_is_judged()
        self.settling.all_is_over()

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        if not self.there:
            return {}
        return {
            "governed": sum(self.judge.reasons.values()),
            "granted": self.judge.granted,
            "settled": self.settling.settled,
            "expired": self.settling.expired,
            **{f"event {name}": count for name, count in sorted(self.events.items())},
            **{f"governor {name}": count for name, count in sorted(self.judge.reasons.items())},
        }
