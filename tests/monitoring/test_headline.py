from __future__ import annotations

from typing import Any

import msgspec
import pytest

from brain.durability import Durability
from channels import Lease, StreamStatus, UnknownExecution, WaitingResult
from monitoring.page_view.headline import Looked, actor, overall
from monitoring.status.document import UnknownExecutionShown, UnknownExecutionsShown, WaitingResultShown
from page.content import Holding, Holdings, Restraints, Tone, Weight
from tests.monitoring.status_rig import NOON_MS, StatusRig, node

WEIGHT = Weight(own_used=40, own_budget=1200, address_used=45, address_limit=2400, ban_left_sec=None)


def trusted_rig() -> StatusRig:
    rig = StatusRig()
    now = rig.clock.now()
    rig.stream.send(StreamStatus(1, now.earlier_by(60), now.earlier_by(0.5), 0.25))
    return rig


def looked(rig: StatusRig, **changes: Any) -> Looked:
    status = rig.source.status()
    usual = Looked(
        status,
        actor(status.tree),
        Holdings((), 0, 0, "1"),
        Restraints(holds=(), cooldowns=(), left_out=0, unread=None),
        WEIGHT,
    )
    return msgspec.structs.replace(usual, **changes)


def apart(symbol: str, apart_sec: float) -> Holding:
    return Holding(
        symbol=symbol, exchange="1", ledger="0", difference="1", apart_sec=apart_sec, tone=Tone.BAD
    )


async def test_all_is_well_only_when_nothing_wants_looking_at() -> None:
    seen = overall(looked(trusted_rig()))
    assert (seen.tone, seen.headline, seen.reasons) == (Tone.GOOD, "Deciding, and all is well", ())


async def test_not_deciding_is_told_with_every_reason() -> None:
    rig = trusted_rig()
    rig.waits.append(("brain/permit_evaluator", "Redis at redis://localhost:6379/0"))
    rig.ledgers_adopted.send(False)
    seen = overall(looked(rig))
    assert (seen.tone, seen.headline) == (Tone.BAD, "Not deciding")
    assert len(seen.reasons) == 2


async def test_a_standby_is_in_order() -> None:
    rig = trusted_rig()
    rig.lease.send(Lease(None, "other:8045"))
    seen = overall(looked(rig))
    assert (seen.tone, seen.headline) == (Tone.ASIDE, "Standing by")
    assert "other:8045" in seen.reasons[0]
    rig.ledgers_adopted.send(False)
    assert overall(looked(rig)).tone is Tone.BAD


async def test_a_standby_to_a_process_of_its_own_name_is_not_in_order() -> None:
    rig = trusted_rig()
    rig.lease.send(Lease(None, "here:8045", "trade-2/71/ab"))
    seen = overall(looked(rig))
    assert (seen.tone, seen.headline) == (Tone.BAD, "Not deciding")
    assert "trade-2/71/ab" in seen.reasons[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weight": msgspec.structs.replace(WEIGHT, own_used=961)}, "961 of 1200 request weight is used"),
        (
            {"holdings": Holdings((apart("BTCUSDT", 5.0), apart("ETHUSDT", 4.9)), 2, 0, "1")},
            "ledger and exchange differ for BTCUSDT",
        ),
        (
            {"holdings": Holdings(tuple(apart(f"S{n}", 9.0) for n in range(5)), 5, 0, "1")},
            "ledger and exchange differ for S0, S1, S2 and 2 more",
        ),
        (
            {"restraints": Restraints(holds=(), cooldowns=(), left_out=0, unread="Redis: away")},
            "holds and cooldowns could not be read: Redis: away",
        ),
        (
            {"tree": actor(node("brain", node("metrics", restarts=1, last_reason="boom", since_sec=12.0)))},
            "metrics was restarted 12 s ago: boom",
        ),
        (
            {"tree": actor(node("brain", node("a", node("b", state="backing_off", last_reason="boom"))))},
            "b has failed and is about to be started again: boom",
        ),
    ],
)
async def test_what_wants_looking_at_is_named(changes: dict[str, Any], told: str) -> None:
    seen = overall(looked(trusted_rig(), **changes))
    assert (seen.tone, seen.headline) == (Tone.WATCH, "Deciding, but one thing wants looking at")
    assert seen.reasons == (told,)


async def test_a_restart_of_long_ago_worries_nobody() -> None:
    tree = actor(node("brain", node("metrics", restarts=1, last_reason="boom", since_sec=301.0)))
    assert overall(looked(trusted_rig(), tree=tree)).tone is Tone.GOOD


async def test_a_lost_stream_and_stale_snapshots_are_two_things() -> None:
    rig = trusted_rig()
    rig.publish("ETHUSDT", "0", age_sec=11.0)
    rig.publish("SOLUSDT", "0", age_sec=1.0)
    rig.stream.send(StreamStatus(1, losses=1, last_loss="no pong"))
    seen = overall(looked(rig))
    assert seen.headline == "Deciding, but 2 things want looking at"
    assert seen.reasons == (
        "the private stream is not trusted: no pong",
        "1 of 3 snapshots are stale or not believed",
    )


async def test_a_trouble_with_the_exchange_and_unreadable_symbols_want_looking_at() -> None:
    rig = trusted_rig()
    rig.exchange_trouble = "the exchange refuses the API key (-2015)"
    rig.unreadable_rules.send(dict.fromkeys(("AUSDT", "BUSDT", "CUSDT", "DUSDT"), "no filters"))
    seen = overall(looked(rig, weight=msgspec.structs.replace(WEIGHT, ban_left_sec=42.0)))
    assert (seen.tone, seen.headline) == (Tone.WATCH, "Deciding, but 2 things want looking at")
    assert seen.reasons == (
        "the exchange refuses the API key (-2015)",
        "4 symbols cannot be read, plans are denied for AUSDT, BUSDT, CUSDT and 1 more",
    )


async def test_unknown_executions_and_results_that_wait_are_named_until_they_end() -> None:
    rig = trusted_rig()
    ends_sec = rig.clock.now().monotonic_sec + 60
    rig.unknown_executions.send((UnknownExecution("plan-1", "BTCUSDT", NOON_MS - 500, ends_sec),))
    rig.waiting_results.send((WaitingResult("5-0", "ETHUSDT", "plan-2", "set long_amt"),))
    status = rig.source.status()
    assert status.unknown_executions == UnknownExecutionsShown(
        1, [UnknownExecutionShown("plan-1", "BTCUSDT", "2026-09-21T14:13:19.500Z", 60.0)]
    )
    assert status.ledgers.waiting_results == [WaitingResultShown("ETHUSDT", "plan-2", "5-0", "set long_amt")]
    assert overall(looked(rig)).reasons == (
        "unknown executions: 1 (BTCUSDT)",
        "a result of ETHUSDT is not booked: set long_amt",
    )
    rig.waiting_results.send(())
    rig.clock.advance(60)
    assert rig.source.status().unknown_executions.count == rig.source.unknown_count() == 0


async def test_a_redis_that_forgets_is_a_concern() -> None:
    rig = trusted_rig()
    rig.durability.send(Durability(False, "noeviction", 0))
    seen = overall(looked(rig, status=rig.source.status()))
    assert seen.reasons == (
        "Redis keeps no append-only file: after a crash of Redis a plan could be allowed twice",
    )
    rig.durability.send(Durability(True, "allkeys-lru", 12))
    seen = overall(looked(rig, status=rig.source.status()))
    assert seen.reasons == (
        "Redis may evict keys of this service (maxmemory-policy allkeys-lru): it has evicted 12 keys so far",
    )
    rig.durability.send(Durability(True, "noeviction", 12))
    assert overall(looked(rig, status=rig.source.status())).tone is Tone.GOOD


async def test_a_key_that_denies_for_good_is_a_concern() -> None:
    rig = trusted_rig()
    problem = "quantum:cooldown:last_exec_ts:BTCUSDT holds a hash, not a string"
    restraints = Restraints(holds=(), cooldowns=(), left_out=0, unread=None, problems=(problem,) * 4)
    seen = overall(looked(rig, restraints=restraints))
    assert (seen.tone, seen.reasons) == (Tone.WATCH, (problem,) * 3)
