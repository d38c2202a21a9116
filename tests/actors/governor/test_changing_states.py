"""Plans whose state changes or cannot be read while they are judged: each ends, and is observed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pytest
import trio
from structlog.testing import capture_logs

from brain.identifiers import FencingToken
from store.governor_records import GovernorCommit, GovernorReply
from tests.actors.governor_rig import PREFIX, GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time

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
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0, max_exec_per_hour=0, max_exec_per_5min=0))
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
    block = rig.block("open")
    assert block is not None
    assert block["details"]["unreadable"] == "reserved ('\\udcff': not the id of a plan)"
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


async def test_a_grant_that_cannot_be_read_is_named_where_operators_look(rig: GovernorRig) -> None:
    with capture_logs() as logs:
        async with running_governor(rig):
            rig.redis.hset(rig.own.reserved, {"gone": "{}"})
            await trio.sleep(2)
    assert rig.governor is not None
    now = rig.governor.value
    assert now is not None
    (named,) = now.unreadable
    assert named.startswith("reserved (gone: ")
    assert [row["keys"] for row in logs if row["event"].startswith("Counts cannot be read")] == [named]


async def delivered_again(rig: GovernorRig, *, times: int) -> None:
    """The entry that was published is delivered, and so often again, without an outcome."""
    fence = await rig.take_lease()
    await rig.store.judged_plans.read_new(count=1, block_ms=0)
    for _ in range(times):
        await rig.store.judged_plans.recover(fence=fence, after="0", idle_ms=0, count=1)


async def test_a_plan_that_failed_too_often_is_observed_with_its_refusal() -> None:
    rig = GovernorRig(actor_rules({"GOV_DENY_PERMITS": "true"}))
    await rig.store.judged_plans.create(lost=False)
    rig.publish("open", kill_score="0.3")
    await delivered_again(rig, times=4)
    async with running_governor(rig):
        await trio.sleep(0.1)
    permit = rig.permit("open")
    assert permit is not None
    assert (permit["reason"], permit["eval_type"]) == ("evaluation_failed", "ENTRY")
    assert (rig.stats()["entry_n"], rig.pending()) == ("1", 0)


@pytest.mark.parametrize("fields", [{}, {"side": "SIDEWAYS"}])
@pytest.mark.parametrize("decision", ["RECONCILE_CLOSE", "SKIP"])
@pytest.mark.parametrize(("times", "observed"), [(4, "1"), (7, None)])
async def test_an_observation_that_failed_too_often_is_a_dead_letter_and_no_refusal(
    decision: str, fields: dict[str, str], times: int, observed: str | None
) -> None:
    rig = GovernorRig(actor_rules({"GOV_DENY_PERMITS": "true"}))
    await rig.store.judged_plans.create(lost=False)
    rig.publish_close("close", decision=decision, kill_score="0.3", **fields)
    await delivered_again(rig, times=times)
    async with running_governor(rig):
        await trio.sleep(0.1)
    assert (rig.permit("close"), rig.block("close"), rig.entries(rig.own.audit)) == (None, None, [])
    assert (rig.text(rig.own.plan_mark("close")), rig.stats().get("exit_n")) == ("observed", observed)
    assert [letter["error"] for letter in rig.entries(rig.own.plans.dead)] == ["evaluation_failed"]
    assert rig.pending() == 0


async def test_the_line_of_a_granted_close_shows_no_hint_for_opens(rig: GovernorRig) -> None:
    rig.position("BTCUSDT", "2")
    now_sec = str(rig.clock.now().wall_ms // 1000)
    fields: dict[str | bytes, str | bytes] = {"efficiency_score": "0.1", "confidence": "0.9", "ts": now_sec}
    rig.redis.hset(f"{PREFIX}:capital:efficiency:BTCUSDT", fields)
    with capture_logs() as logs:
        async with running_governor(rig):
            rig.publish_close("bye")
            rig.publish("add")
            await trio.sleep(0.1)
    lines = [line for row in logs for line in str(row["event"]).splitlines() if "ALLOW" in line]
    assert [line.partition("P3.1: ")[2] for line in lines] == [
        "action=NONE factor=1.00", "action=DOWNSIZE factor=0.25",
    ]  # fmt: skip


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
        await trio.sleep(0.1)
        assert rig.text(rig.own.plan_mark("plan")) is not None
    assert rig.pending() == 0
    assert writes <= 11
