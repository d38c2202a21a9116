"""Each flavour against a real redis-server."""

from __future__ import annotations

import sys
import time
from decimal import Decimal

import pytest
import redis
import trio

from gate_testing.flavours import Acquire, OpenGate
from gate_testing.permits import KEY, SYMBOL, denied_permit, governor_permit, issue, p33_permit, signed
from gate_testing.redis_server import own_redis
from permit_gate import GOVERNOR, P33, GateRules, Granted, PermitSource, Refusal, Refused
from permit_gate.connections import READS_PUSHES
from permit_gate.trio_gate import open_trio_gate

_HOLD = f"quantum:reconcile:hold:{SYMBOL}"


def _left(store: redis.Redis, plan_id: str) -> int:
    """Return the number of a plan's permits that were not consumed."""
    return int(store.exists(f"quantum:permit:{plan_id}", f"quantum:permit:p33:{plan_id}"))


async def _gate_waits(store: redis.Redis) -> None:
    while "cmdstat_mget" not in store.info("commandstats"):
        await trio.lowlevel.checkpoint()


def _reason(answer: Granted | Refused) -> Refusal:
    assert isinstance(answer, Refused), answer
    return answer.reason


async def test_both_permits_are_consumed_at_once_and_returned(acquire: Acquire, store: redis.Redis) -> None:
    issue(store, "a")
    answer = await acquire("a")
    assert isinstance(answer, Granted) and answer.terms is not None
    assert answer.terms.safe_quantity == Decimal("0.028")
    assert _left(store, "a") == 0


async def test_a_missing_permit_leaves_the_other_where_it_is(acquire: Acquire, store: redis.Redis) -> None:
    store.set("quantum:permit:p33:a", p33_permit("a"))
    answer = await acquire("a", timeout_sec=0.05)
    assert str(answer) == "permit_timeout (missing: Governor)"
    assert _left(store, "a") == 1


async def test_nothing_at_all_is_refused_after_1200_ms(acquire: Acquire) -> None:
    began_sec = time.monotonic()
    answer = await acquire("a")
    assert str(answer) == "permit_timeout (missing: Governor, P3.3)"
    assert 1.2 <= time.monotonic() - began_sec < 4


async def test_a_permit_that_comes_500_ms_late_still_counts(acquire: Acquire, store: redis.Redis) -> None:
    store.set("quantum:permit:a", governor_permit())

    async def issue_late() -> None:
        await trio.sleep(0.5)
        store.set("quantum:permit:p33:a", p33_permit("a"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(issue_late)
        assert isinstance(await acquire("a"), Granted)


@pytest.mark.skipif(not READS_PUSHES, reason="without pushes it has to ask")
async def test_a_waiting_gate_asks_redis_now_and_then_and_not_200_times_a_second(
    acquire: Acquire, store: redis.Redis
) -> None:
    await acquire("a", timeout_sec=0.5)
    assert store.info("commandstats")["cmdstat_mget"]["calls"] <= 13


async def test_a_deny_ends_the_wait_at_once_and_says_who_and_why(
    acquire: Acquire, store: redis.Redis
) -> None:
    store.set("quantum:permit:p33:a", denied_permit("a", "stale_exchange_state", {"threshold_sec": 10}))
    began_sec = time.monotonic()
    answer = await acquire("a")
    assert time.monotonic() - began_sec < 1
    assert str(answer) == "permit_denied (P3.3: stale_exchange_state)"
    assert isinstance(answer, Refused) and answer.details == {"threshold_sec": Decimal(10)}


async def test_a_consumed_plan_cannot_be_consumed_again_though_its_permits_come_back(
    acquire: Acquire, store: redis.Redis
) -> None:
    issue(store, "a")
    assert isinstance(await acquire("a"), Granted)
    issue(store, "a")
    assert _reason(await acquire("a")) is Refusal.PERMIT_ALREADY_CONSUMED
    assert _left(store, "a") == 2


async def test_a_consumer_that_is_late_learns_at_once_who_was_first(
    open_gate: OpenGate, redis_server: str, store: redis.Redis
) -> None:
    issue(store, "a")
    async with open_gate(redis_server, GateRules(consumer="apply-layer")) as first:
        assert isinstance(await first("a"), Granted)
    async with open_gate(redis_server, GateRules(consumer="intent-executor")) as second:
        assert str(await second("a")) == "permit_already_consumed (by apply-layer)"


async def test_a_hold_that_came_since_refuses_and_consumes_nothing(
    acquire: Acquire, store: redis.Redis
) -> None:
    issue(store, "a")
    store.set(_HOLD, "drift")
    assert _reason(await acquire("a")) is Refusal.RECONCILE_HOLD_ACTIVE
    assert _left(store, "a") == 2


async def test_a_hold_of_any_type_counts_and_one_on_another_symbol_does_not(
    acquire: Acquire, store: redis.Redis
) -> None:
    issue(store, "a")
    store.set("quantum:reconcile:hold:ETHUSDT", "drift")
    store.lpush(_HOLD, "drift")
    assert _reason(await acquire("a")) is Refusal.RECONCILE_HOLD_ACTIVE
    store.delete(_HOLD)
    assert isinstance(await acquire("a"), Granted)


async def test_the_permit_that_was_given_because_of_a_hold_passes_it(
    acquire: Acquire, store: redis.Redis
) -> None:
    store.set(_HOLD, "drift")
    issue(store, "a", p33=p33_permit("a", reason="reconcile_close_bypass"))
    assert isinstance(await acquire("a"), Granted)


async def test_a_permit_older_than_allowed_is_refused(acquire: Acquire, store: redis.Redis) -> None:
    issue(store, "a", p33=p33_permit("a", created_at=time.time() - 60.5))
    issue(store, "b", p33=p33_permit("b", created_at=time.time() - 59.5))
    answer = await acquire("a")
    assert _reason(answer) is Refusal.PERMIT_TOO_OLD
    assert _left(store, "a") == 2
    assert isinstance(await acquire("b"), Granted)


async def test_a_permit_from_a_clock_that_is_far_ahead_is_refused(
    acquire: Acquire, store: redis.Redis
) -> None:
    issue(store, "a", p33=p33_permit("a", created_at=time.time() + 3))
    issue(store, "b", p33=p33_permit("b", created_at=time.time() + 30))
    assert isinstance(await acquire("a"), Granted)
    assert _reason(await acquire("b")) is Refusal.PERMIT_FROM_THE_FUTURE


async def test_a_permit_that_expired_is_missing(acquire: Acquire, store: redis.Redis) -> None:
    store.set("quantum:permit:a", governor_permit())
    store.set("quantum:permit:p33:a", p33_permit("a"), px=1)
    await trio.sleep(0.01)
    answer = await acquire("a", timeout_sec=0)
    assert isinstance(answer, Refused) and answer.missing == ("P3.3",)


async def test_a_permit_of_the_wrong_type_is_not_there(acquire: Acquire, store: redis.Redis) -> None:
    issue(store, "a")
    store.delete("quantum:permit:p33:a")
    store.hset("quantum:permit:p33:a", "allow", "true")
    answer = await acquire("a", timeout_sec=0.02)
    assert isinstance(answer, Refused) and answer.missing == ("P3.3",)


async def test_with_a_key_only_the_issuers_own_permits_open_the_gate(
    open_gate: OpenGate, redis_server: str, store: redis.Redis
) -> None:
    issue(store, "unsigned")
    issue(store, "forged", p33=signed(p33_permit("forged"), b"guessed"))
    issue(store, "genuine", p33=signed(p33_permit("genuine")))
    async with open_gate(redis_server, GateRules(signing_key=KEY.decode())) as acquire:
        assert _reason(await acquire("unsigned")) is Refusal.SIGNATURE_MISSING
        assert _reason(await acquire("forged")) is Refusal.SIGNATURE_WRONG
        assert isinstance(await acquire("genuine"), Granted)


async def test_a_signed_permit_that_was_copied_to_another_accounts_keys_is_refused(
    open_gate: OpenGate, redis_server: str, store: redis.Redis
) -> None:
    issue(store, "a", p33=signed(p33_permit("a")))
    for key in ("permit:a", "permit:p33:a"):
        store.copy(f"quantum:{key}", f"other:{key}")
    async with open_gate(redis_server, GateRules(prefix="other", signing_key=KEY)) as other_account:
        answer = await other_account("a")
    assert str(answer) == ("signature_wrong (P3.3: the permit was signed for quantum, not for other)")
    assert int(store.exists("other:permit:a", "other:permit:p33:a")) == 2
    async with open_gate(redis_server, GateRules(signing_key=KEY)) as acquire:
        assert isinstance(await acquire("a"), Granted)


async def test_other_services_permits_count_by_their_key_pattern(
    acquire: Acquire, store: redis.Redis
) -> None:
    brake = PermitSource("Brake", "{prefix}:permit:brake:{plan_id}", "released")
    issue(store, "a")
    sources = (GOVERNOR, P33, brake)
    answer = await acquire("a", sources=sources, timeout_sec=0.02)
    assert isinstance(answer, Refused) and answer.missing == ("Brake",)
    store.set("quantum:permit:brake:a", b'{"released":true}')
    assert isinstance(await acquire("a", sources=sources), Granted)


async def test_another_prefix_is_another_account(
    open_gate: OpenGate, redis_server: str, store: redis.Redis
) -> None:
    issue(store, "a")
    async with open_gate(redis_server, GateRules(prefix="other")) as acquire:
        assert _reason(await acquire("a", timeout_sec=0)) is Refusal.PERMIT_TIMEOUT
    assert _left(store, "a") == 2


async def test_a_redis_that_is_killed_while_the_gate_waits_is_a_refusal_and_its_return_is_noticed(
    open_gate: OpenGate,
) -> None:
    with own_redis("--appendonly", "yes") as server:
        async with open_gate(server.url) as acquire:
            store = redis.Redis.from_url(server.url)
            answers: list[Granted | Refused] = []

            async def wait() -> None:
                answers.append(await acquire("a"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await _gate_waits(store)
                server.kill()
            assert [_reason(answer) for answer in answers] == [Refusal.REDIS_ERROR]
            assert _reason(await acquire("a")) is Refusal.REDIS_ERROR
            await trio.to_thread.run_sync(server.start)  # the event loop goes on during the start
            issue(redis.Redis.from_url(server.url), "a")
            assert isinstance(await acquire("a"), Granted)


async def test_a_redis_that_was_restarted_between_two_plans_costs_no_permit(open_gate: OpenGate) -> None:
    with own_redis() as server:
        async with open_gate(server.url) as acquire:
            issue(redis.Redis.from_url(server.url), "a")
            assert isinstance(await acquire("a"), Granted)
            server.kill()
            await trio.to_thread.run_sync(server.start)  # the event loop goes on during the start
            issue(redis.Redis.from_url(server.url), "b")
            assert isinstance(await acquire("b"), Granted)


async def test_a_full_redis_is_a_refusal_that_leaves_the_permits(
    acquire: Acquire, store: redis.Redis
) -> None:
    issue(store, "a")
    store.config_set("maxmemory", "1")
    assert _reason(await acquire("a")) is Refusal.REDIS_ERROR
    assert _left(store, "a") == 2
    store.config_set("maxmemory", "0")
    assert isinstance(await acquire("a"), Granted)


async def test_connections_are_given_back_without_pushes_on_them(
    acquire: Acquire, store: redis.Redis
) -> None:
    for number in range(20):
        await acquire(str(number), timeout_sec=0.001)
        issue(store, str(number))
    # This one, the gate's, and the one that asked at the start whether Redis answers.
    assert store.info("stats")["total_connections_received"] <= 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="redis-py loses a cancellation while it connects")
async def test_a_cancelled_wait_ends_at_once_and_disturbs_no_other(
    redis_server: str, store: redis.Redis
) -> None:
    async with open_trio_gate(redis_server) as gate:
        began_sec = time.monotonic()
        for number in range(50):
            with trio.move_on_after(number / 10_000):  # also while it connects
                await gate.acquire(str(number), SYMBOL, (GOVERNOR, P33), timeout_sec=60)
        assert time.monotonic() - began_sec < 30  # not one of them waited until its timeout
        issue(store, "a")
        assert isinstance(await gate.acquire("a", SYMBOL, (GOVERNOR, P33)), Granted)
