"""A change between the evaluator's read and its commit stops the ALLOW, of every kind, on every Redis.

The store is parked when an ALLOW is on its way to the commit script; the world changes; the store goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from brain.decisions.case import Rules
from store.records import AlreadyDecided, CommitReply, Committed, DecisionCommit, TooLate
from tests.actors.evaluator_rig import EvaluatorRig, EvaluatorWorld, WatchedCommits, running_evaluator
from tests.actors.redis_worlds import BACKENDS, SERVERS, evaluator_world
from tests.brain.cases import RULES
from tests.integration.waiting import until

SYMBOL = "BTCUSDT"
WITHIN_SEC = 10.0


def ask_close(world: EvaluatorWorld) -> None:
    world.holds(SYMBOL, "1")
    world.publish("p", action="PARTIAL_75")


def ask_open(world: EvaluatorWorld) -> None:
    world.holds(SYMBOL, "0")
    world.publish_entry("p")


def ask_add(world: EvaluatorWorld) -> None:
    world.holds(SYMBOL, "-1")
    world.publish_entry("p", side="SELL")


KINDS: dict[str, Callable[[EvaluatorWorld], None]] = {"close": ask_close, "open": ask_open, "add": ask_add}


def hold(world: EvaluatorWorld) -> None:
    world.redis.set(world.keys.hold(SYMBOL), "drift")


def cooldown(world: EvaluatorWorld) -> None:
    world.redis.set(world.keys.cooldown(SYMBOL), str(world.clock.now().wall_ms))


def correction(world: EvaluatorWorld) -> None:
    """`HSET quantum:position:ledger:BTCUSDT last_known_amt 0.5`, as an operator types it."""
    world.redis.hset("quantum:position:ledger:BTCUSDT", {"last_known_amt": "0.5"})


def last_order(world: EvaluatorWorld) -> None:
    """A booking that leaves the amount as it was: in and out again."""
    world.redis.hset(
        world.keys.ledger(SYMBOL),
        {"last_order_id": "7", "last_order_time_epoch": f"{world.clock.now().wall_ms / 1000:.3f}"},
    )


def end_of_hold(world: EvaluatorWorld) -> None:
    world.redis.delete(world.keys.hold(SYMBOL))


def result(world: EvaluatorWorld) -> None:
    """A result of this very plan was booked."""
    world.redis.set(world.keys.plan_mark("p"), "S")


CHANGES: dict[str, tuple[Callable[[EvaluatorWorld], None], str]] = {
    "a hold": (hold, "reconcile_hold_active"),
    "a cooldown": (cooldown, "cooldown_in_flight"),
    "an operator's correction": (correction, "reconcile_required_"),
    "a booked order": (last_order, "cooldown_in_flight"),
    "a result of the plan": (result, "plan_already_settled"),
}


def allows(decisions: Sequence[DecisionCommit]) -> bool:
    (decision,) = decisions
    permit: dict[str, Any] = msgspec.json.decode(decision.permit)
    return bool(permit["allow"])


async def answered(world: EvaluatorWorld) -> dict[str, Any]:
    await until(lambda: world.permit("p"), "an answer", WITHIN_SEC)
    return world.answer("p")


def nothing_was_given(world: EvaluatorWorld) -> None:
    """Neither a permit nor a reservation for the plan, and it was decided once."""
    permit = world.answer("p")
    assert permit["allow"] is False
    assert "safe_close_qty" not in permit
    assert world.redis.hgetall(world.keys.open_permits(SYMBOL)) == {}
    assert world.audited() == ["p"]
    assert world.pending() == 0


def change_once(
    world: EvaluatorWorld, store: WatchedCommits, change: Callable[[EvaluatorWorld], None]
) -> list[str]:
    """Let `change` happen while the first ALLOW is on its way; what was on the way, in order."""
    on_the_way: list[str] = []

    async def parked(decisions: Sequence[DecisionCommit]) -> None:
        if allows(decisions) and "allow" not in on_the_way:
            change(world)
        on_the_way.append("allow" if allows(decisions) else "deny")
        await trio.lowlevel.checkpoint()

    store.before_commit = parked
    return on_the_way


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_between_read_and_commit_stops_the_allow(name: str, kind: str, what: str) -> None:
    change, reason = CHANGES[what]
    async with evaluator_world(name, rules=RULES) as (world, store):
        on_the_way = change_once(world, store, change)
        async with running_evaluator(world):
            KINDS[kind](world)
            permit = await answered(world)
            assert permit["reason"].startswith(reason)
            assert on_the_way.count("allow") == 1, "an ALLOW was on its way, and only one"
            assert on_the_way[-1] == "deny"
            nothing_was_given(world)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_parked_allow_is_committed_if_nothing_changes(name: str, kind: str) -> None:
    async with evaluator_world(name, rules=RULES) as (world, store):
        on_the_way = change_once(world, store, lambda _: None)
        async with running_evaluator(world):
            KINDS[kind](world)
            permit = await answered(world)
            assert (permit["allow"], permit["kind"]) == (True, kind)
            assert on_the_way[-1] == "allow"
            assert b"p:p" in world.redis.hgetall(world.keys.open_permits(SYMBOL))


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_reconcile_close_whose_hold_ends_between_read_and_commit_is_stopped(name: str) -> None:
    async with evaluator_world(name, rules=RULES) as (world, store):
        world.position(SYMBOL, "1")
        world.ledger(SYMBOL, "0")
        hold(world)
        change_once(world, store, end_of_hold)
        async with running_evaluator(world):
            world.publish(
                "p", decision="RECONCILE_CLOSE", action="", side="SELL", type="MARKET", qty="0.1",
                reason="reconcile_drift",
            )  # fmt: skip
            assert (await answered(world))["reason"] == "guardrail_violation"
            nothing_was_given(world)


class Late(msgspec.Struct, frozen=True):
    """A delay of an ALLOW on its way, the rules it meets, and the outcome of its plan.

    Not so long that the entry counts as left pending: it would be taken a second time.
    """

    held_up_sec: float
    rules: Rules
    reason: str | None


def lateness(limit_sec: float) -> dict[str, Late]:
    """Limits that a commit can miss; `limit_sec` is the plan's age limit and the stale threshold."""
    expiring = msgspec.structs.replace(RULES, plan_max_age_sec=limit_sec)
    aging = msgspec.structs.replace(RULES, stale_threshold_sec=limit_sec)
    return {
        "the plan's age limit": Late(limit_sec + 0.1, expiring, "plan_expired"),
        "its snapshot's freshness": Late(limit_sec + 0.1, aging, "stale_exchange_state"),
        "a second after its decision": Late(1.1, RULES, None),
    }


#: On virtual time each limit by itself; in real time limits that a busy machine keeps before the ALLOW.
VIRTUAL, REAL = lateness(0.5), lateness(1.1)


async def hold_up(world: EvaluatorWorld, store: WatchedCommits, kind: str, late: Late) -> None:
    """Hold up the plan's first ALLOW; nothing may be written for it."""
    verdicts: list[object] = []
    held_up = False

    async def parked(decisions: Sequence[DecisionCommit]) -> None:
        nonlocal held_up
        if allows(decisions) and not held_up:
            held_up = True
            await trio.sleep(late.held_up_sec)

    def look(reply: CommitReply) -> None:
        verdicts.extend(reply.verdicts)
        if any(isinstance(verdict, TooLate) for verdict in reply.verdicts):
            assert world.permit("p") is None
            assert world.audited() == []
            assert world.redis.hgetall(world.keys.open_permits(SYMBOL)) == {}

    store.before_commit, store.after_commit = parked, look
    async with running_evaluator(world):
        KINDS[kind](world)
        permit = await answered(world)
        if late.reason is None:
            # It is young, and all is as it was: decided again, it is allowed, once.
            assert permit["allow"] is True
            assert world.audited() == ["p"]
        else:
            assert permit["reason"] == late.reason
            nothing_was_given(world)
        # Its answer may be on its way still.
        await until(lambda: Committed in map(type, verdicts), "the commit's answer", WITHIN_SEC)
    kinds = [type(verdict) for verdict in verdicts]
    assert kinds.count(Committed) == 1
    # On a machine that oversleeps a second delivery may have been faster.
    assert TooLate in kinds or AlreadyDecided in kinds


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("past", VIRTUAL)
async def test_a_commit_that_comes_late_writes_no_allow(
    autojump_clock: MockClock, kind: str, past: str
) -> None:
    rig = EvaluatorRig(rules=VIRTUAL[past].rules)
    await hold_up(rig, rig.store, kind, VIRTUAL[past])


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("past", REAL)
async def test_nor_on_a_real_redis(name: str, past: str) -> None:
    async with evaluator_world(name, rules=REAL[past].rules) as (world, store):
        await hold_up(world, store, "open", REAL[past])
