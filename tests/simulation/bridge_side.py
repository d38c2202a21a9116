"""Everything around the service's own intent bridge: the strategies whose intents it reads, and its judge."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import trio

from brain.intents.intent import Lane
from store.bridge_values import lane_stream
from store.keys import BridgeNames, PlanStream
from tests.simulation.books import ChainKept, Intended, Published
from tests.simulation.bridge_judge import BridgeJudge, as_fraction
from tests.simulation.chain_scene import DEFAULTS
from tests.simulation.fields import Fields, as_entry
from tests.simulation.footprint import Footprint
from tests.simulation.intent_rules import BridgeLimits
from tests.simulation.intents import TRADE, Intent, IntentMaker, Meant
from tests.simulation.publisher import DELISTED
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

#: The share of proposals that still are plans, by other publishers; and of intents that are published twice.
_FOREIGN, _TWICE = 0.25, 0.15
_ANSWERED_WITHIN_SEC = 1.2
_RECENT = 12
#: Steps of an order that is too small for the exchange, and is no order of a symbol with a position.
_CONTEXT = {"reduceOnly": "false", "action": "ENTRY_PROPOSED"}


class BridgeSide:
    """There is one in every world; only where the service's own bridge runs anything comes of it."""

    def __init__(self, world: World) -> None:
        scene = world.scene
        self.world = world
        self.books, self.redis, self.trace = world.books, world.redis, world.trace
        self.look = world.governing.look
        self.there = scene.bridge != "off"
        #: Whether it acts; otherwise it is in the shadow.
        self.acts = scene.bridge == "on"
        self.names = BridgeNames("quantum", shadow=not self.acts)
        #: Keys of marks that Redis has evicted.
        self.unmarked: set[str] = set()
        exits = self.text("INTENT_BRIDGE_EXIT_LANES")
        self.lanes = (TRADE, *(() if exits == "none" else exits.split(",")))
        exposure = self.text("MAX_EXPOSURE_PCT")
        self.judge = BridgeJudge(
            self,
            BridgeLimits(
                max_age_sec=float(self.text("INTENT_BRIDGE_MAX_AGE_SEC")),
                skip_flat_sell=self.text("INTENT_BRIDGE_SKIP_FLAT_SELL") == "true",
                min_hold_sec=float(self.text("MIN_HOLD_SECONDS")),
                max_notional=as_fraction(self.text("QT_MAX_NOTIONAL_USD")),
                fee_rate=as_fraction(self.text("COST_TAKER_FEE_RATE")),
                exposure_pct=as_fraction(exposure) if exposure else None,
            ),
        )
        self.published = 0
        self._needless: set[tuple[str, str]] = set()
        self._rng = Random(f"{scene.seed}:intents")
        self._maker = IntentMaker(world.venue, self._rng, self.lanes)
        self._recent: list[Intent] = []
        self._footprints: dict[str, Footprint] = {}
        if self.there:
            world.neighbours.intends = self.intends
            world.neighbours.publisher.on_intent = self._noted

    def text(self, variable: str) -> str:
        """Return a setting."""
        return self.world.scene.environment.get(variable, DEFAULTS[variable])

    @property
    def kept(self) -> ChainKept:
        """What is rolled back with Redis."""
        return self.books.kept.chain

    def now_sec(self) -> float:
        """Return trio's clock."""
        return trio.current_time()

    def stream(self, lane: str) -> PlanStream:
        """Return a lane's stream and the bridge's group of it."""
        return lane_stream(self.names, Lane(lane))

    def is_marked(self, mark: str) -> bool:
        """Return whether Redis has the mark of an entry or a plan."""
        return self.redis.kind(self.names.seen(mark)) != "none"

    def footprint(self, lane: str) -> Footprint:
        """Return what a batch of a lane's answers may touch."""
        if lane not in self._footprints:
            names, stream = self.names, self.stream(lane)
            appends = {names.audit, stream.dead} | ({self.world.keys.plans} if self.acts else set())
            own = (names.seen(""), names.last_close(""), stream.last_id)
            groups = ((stream.key, stream.group),)
            self._footprints[lane] = Footprint(self.redis, "b3", own=own, appends=appends, groups=groups)
        return self._footprints[lane]

    def has_group(self, stream: PlanStream) -> bool:
        """Return whether the bridge has a group of a stream."""
        stored = self.redis.keyspace.stream(stream.key)
        return stored is not None and stream.group in stored.groups

    def begun_anew(self, stream: PlanStream) -> None:
        """Let the group of a stream begin now, for all that is known: what came before needs no answer."""
        for lane, entry_id in self.books.intents:
            if self.stream(lane) == stream:
                self._needless.add((lane, entry_id))

    # Strategies.

    def intends(self, symbol: str) -> bool:
        """Publish an intent in the place of a plan; False: the plan is published, too, or alone."""
        rng = self._rng
        if self.acts and rng.random() < _FOREIGN:
            return False
        intent = self._draw(symbol)
        for _ in range(2 if rng.random() < _TWICE else 1):
            self.publish(intent)
        return self.acts

    def _draw(self, symbol: str) -> Intent:
        neighbours = self.world.neighbours
        adorned = neighbours.publisher.adorn(symbol, dict(_CONTEXT))
        given = {name: text for name, text in adorned.items() if name not in _CONTEXT}
        return self._maker.any(symbol, neighbours.plans.quantity(symbol), given, DELISTED)

    def publish(self, intent: Intent) -> str:
        """Put it on its stream; the entry's id."""
        stream = self.stream(intent.meant.lane)
        entry_id = self.redis.xadd(stream.key, as_entry(intent.fields))
        self._note(intent, entry_id)
        self._recent = [*self._recent[1 - _RECENT :], intent]
        return entry_id

    def publish_again(self, count: int) -> None:
        """Publish so many of the last intents once more."""
        for intent in self._recent[-count:]:
            self.publish(intent)

    def publish_many(self, count: int) -> None:
        """Publish so many intents at once."""
        for _ in range(count):
            self.publish(self._draw(self._rng.choice(self.world.scene.symbols)))

    def _noted(self, entry_id: str, fields: Fields) -> None:
        """Note an intent without a size, which others publish."""
        self._note(Intent(Meant(lane=TRADE, symbol="", side="", malformed=True), fields), entry_id)

    def _note(self, intent: Intent, entry_id: str) -> None:
        self.published += 1
        lane, now_ms = intent.meant.lane, self.redis.now_ms()
        self.books.intents[lane, entry_id] = Intended(intent.meant, intent.fields, entry_id, now_ms)
        self.trace.note(f"intent {lane} {entry_id} {intent.meant.side} {intent.meant.symbol}")

    def adopt(self, plan_id: str, symbol: str, fields: Fields, entry_id: str) -> None:
        """Let everybody know of a plan of the bridge."""
        plan = self.books.published.get(plan_id)
        if plan is None or plan_id in self.books.lost:
            unsound = symbol not in self.world.scene.symbols
            plan = Published(plan_id, symbol, fields, True, expired=False, unsound=unsound, entry_ids=[])
        self.world.neighbours.publisher.enter(plan, entry_id)
        self.trace.note(f"plan {plan_id} {symbol} {fields.get('action')} {entry_id}")
        self.world.neighbours.adopt(plan)

    # At rest.

    async def all_is_well(self) -> None:
        """Raises ViolationError unless an intent of each symbol is answered soon."""
        if not self.there:
            return
        symbols = self.world.scene.symbols
        asked = [self.publish(self._maker.nonsense(symbol)) for symbol in symbols]
        small = self.world.venue.symbol(symbols[0]).step_size / 2
        legs = self.world.venue.legs_of(symbols[0])
        asked += [self.publish(self._maker.entry(symbols[0], legs[0], "BUY", small))]
        await trio.sleep(_ANSWERED_WITHIN_SEC)
        late = [each for each in asked if (TRADE, each) not in self.kept.answered]
        require(not late, "f", f"intents without an answer after {_ANSWERED_WITHIN_SEC} s: {late}")

    def all_is_answered(self) -> None:
        """Raises ViolationError unless each intent that is still in its stream has an end."""
        if not self.there:
            return
        left = [
            f"{lane} {entry_id}"
            for lane, entry_id in self.books.intents
            if (lane, entry_id) not in self.kept.answered
            and (lane, entry_id) not in self._needless
            and self.world.in_stream(self.stream(lane).key, entry_id)
        ]
        require(not left, "b1", f"intents without an answer: {left[:5]}")
        for lane in self.lanes:
            stream = self.stream(lane)
            pending = self.look.pending(stream.key, stream.group)
            require(not pending, "b1", f"{lane}: not acknowledged {sorted(pending)[:5]}")
        dead = [self.redis.xlen(self.stream(lane).dead) for lane in self.lanes]
        failed = self.judge.reasons.get("evaluation_failed", 0)
        require(sum(dead) <= failed, "b1", f"dead letters {dead}, and {failed} intents have failed")

    async def intents_become_plans(self) -> None:
        """Raises ViolationError unless an entry and a close of each symbol become plans in a quiet moment."""
        if not self.acts:
            return
        world, wanted = self.world, []
        for symbol in world.scene.symbols:
            leg = world.venue.legs_of(symbol)[0]
            amount = world.venue.amount(symbol, leg)
            if amount:
                wanted.append(self.publish(self._maker.full_close(symbol, leg)))
            elif world.neighbours.publisher.is_listed(symbol):
                self.redis.delete(self.names.last_close(symbol))
                quantity = world.neighbours.plans.quantity(symbol)
                side = "SELL" if leg == "SHORT" else "BUY"
                intent = self._maker.entry(symbol, leg, side, quantity)
                # An account without money exposes itself to nothing.
                wanted += [] if self.text("MAX_EXPOSURE_PCT") else [self.publish(intent)]
        await trio.sleep(_ANSWERED_WITHIN_SEC)
        left = [each for each in wanted if not self.kept.answered.get((TRADE, each))]
        require(not left, "f", f"no plan, and nothing is wrong: {left}")

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        if not self.there:
            return {}
        return {
            "intents": self.published,
            "bridged": self.judge.plans,
            **{f"bridge {name}": count for name, count in sorted(self.judge.reasons.items())},
        }
