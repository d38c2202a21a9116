"""Plans whose state changes or cannot be read while they are judged: each has an end, and is observed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pytest
import trio

from brain.identifiers import FencingToken
from store.governor_records import GovernorCommit, GovernorReply
from tests.actors.governor_rig import PREFIX, GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time

FREE = {"symbol_cooldown_sec": 0.0, "max_exec_per_hour": 0, "max_exec_per_5min": 0}
_NUMBERS = count()


def before_each_write(rig: GovernorRig, change: Callable[[], object]) -> None:
    """Let another service write each time between the read of the state and the judgement's write."""
    judged = rig.store.judge_plans

    async def late(fence: FencingToken, judgements: Sequence[GovernorCommit]) -> GovernorReply:
        change()
        return await judged(fence, judgements)

    rig.store.judge_plans = late  # type: ignore[method-assign]


def of_a_neighbour(rig: GovernorRig) -> Callable[[], object]:
    """The budget of BTCUSDT changes."""
    key = f"{PREFIX}:portfolio:budget:BTCUSDT"
    return lambda: rig.redis.hset(key, {"timestamp": str(next(_NUMBERS))})


def of_the_statistics(rig: GovernorRig) -> Callable[[], object]:
    """The statistics of BTCUSDT change."""
    key = rig.own.kill_stats("BTCUSDT")
    return lambda: rig.redis.hset(key, {"entry_ts": str(next(_NUMBERS)), "exit_ts": str(next(_NUMBERS))})


@pytest.mark.parametrize("decision", ["SKIP", "RECONCILE_CLOSE"])
async def test_a_plan_that_was_observed_is_judged_once_it_is_to_be_executed(
    rig: GovernorRig, decision: str
) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.publish_close("bye", decision=decision, kill_score="0.3")
        rig.publish_close("bye", decision=decision, kill_score="0.3")
        await trio.sleep(0.1)
        assert rig.reason("bye") == ""
        rig.publish_close("bye", kill_score="0.3")
        rig.publish_close("next", kill_score="0.4")
        rig.publish_close("bye", kill_score="0.3")
        await trio.sleep(0.1)
        assert rig.text(rig.own.plan_mark("bye")) == "granted"
        rig.publish_close("bye", decision=decision, kill_score="0.3")
        await trio.sleep(0.1)
    assert (rig.reason("bye"), rig.reason("next")) == ("governor_granted_close", "governor_granted_close")
    assert (rig.stats()["exit_n"], rig.pending()) == ("2", 0)
    assert [row["plan_id"] for row in rig.entries(rig.own.audit)] == ["bye", "next"]


async def test_the_score_of_a_plan_that_was_observed_before_is_judged_by_the_statistics_as_they_are() -> None:
    rig = GovernorRig(actor_rules(**FREE))
    async with running_governor(rig):
        for number in range(20):
            rig.publish(f"usual-{number}", decision="SKIP", kill_score="0.3")
        rig.publish("odd", decision="SKIP", kill_score="0.7")
        await trio.sleep(0.1)
        rig.publish("odd", kill_score="0.7")
        await trio.sleep(0.1)
    assert rig.reason("odd") == "kill_score_entry"
    assert rig.stats()["entry_n"] == "21"
    (audit,) = rig.entries(rig.own.audit)
    assert float(audit["kill_z"]) == pytest.approx(10**0.5, abs=0.001)


@pytest.mark.parametrize("first", ["close", "SKIP", "malformed"])
async def test_names_of_grants_that_are_no_text_stop_opens_alone(rig: GovernorRig, first: str) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        rig.redis.hset(rig.own.reserved, {b"\xff": b"x", b"\xfe": b"x"})
        if first == "SKIP":
            rig.publish("first", decision="SKIP", kill_score="0.3")
        elif first == "malformed":
            rig.publish("first", side="SIDEWAYS", kill_score="0.3")
        rig.publish_close("bye", kill_score="0.3")
        rig.publish("open", kill_score="0.3")
        await trio.sleep(0.1)
    assert (rig.reason("bye"), rig.reason("open")) == ("governor_granted_close", "no_portfolio_state")
    assert rig.stats()["entry_n"] == ("1" if first == "close" else "2")


async def test_a_grant_under_a_name_that_is_no_plans_is_not_taken_for_one(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("plan")
        await trio.sleep(0.1)
        (text,) = rig.redis.hgetall(rig.own.reserved).values()
        rig.redis.hset(rig.own.reserved, {b"\xff": text})
        await trio.sleep(120)
        assert list(rig.redis.hgetall(rig.own.reserved)) == [b"\xff"]
        rig.publish("open")
        await trio.sleep(0.1)
    assert rig.reason("open") == "no_portfolio_state"


async def test_a_close_rests_on_no_text_of_a_neighbour(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    async with running_governor(rig):
        before_each_write(rig, of_a_neighbour(rig))
        rig.publish_close("bye", kill_score="0.3")
        await trio.sleep(0.1)
    assert rig.reason("bye") == "governor_granted_close"


async def test_a_contended_plan_is_observed_with_its_refusal(rig: GovernorRig) -> None:
    async with running_governor(rig):
        before_each_write(rig, of_a_neighbour(rig))
        rig.publish("open", kill_score="0.3")
        rig.publish("skipped", decision="SKIP", kill_score="0.3")
        await trio.sleep(0.1)
    assert rig.reason("open") == "state_contended"
    assert (rig.stats()["entry_n"], rig.pending()) == ("2", 0)


@pytest.mark.parametrize("fields", [{}, {"decision": "SKIP"}, {"side": "SIDEWAYS"}])
async def test_statistics_that_change_without_end_end_no_plan_in_a_loop(
    rig: GovernorRig, fields: dict[str, str]
) -> None:
    writes = 0

    def change() -> None:
        nonlocal writes
        writes += 1
        of_the_statistics(rig)()

    async with running_governor(rig):
        before_each_write(rig, change)
        rig.publish("plan", kill_score="0.3", **fields)
        with trio.fail_after(10):
            while not rig.text(rig.own.plan_mark("plan")):
                await trio.sleep(0.01)
    assert rig.pending() == 0
    assert writes <= 11
