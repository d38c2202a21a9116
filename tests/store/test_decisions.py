from __future__ import annotations

import msgspec
import pytest

from store.errors import FencedError
from store.records import AlreadyDecided, Changed, Committed, SymbolState, TooLate
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import (
    DENIAL,
    PLAN,
    SYMBOL,
    assumed,
    commit,
    decision,
    deliver_plans,
    pending_ids,
)


async def test_a_decision_writes_permit_mark_reservation_and_audit_and_acknowledges(leased: Backend) -> None:
    (entry_id,) = await deliver_plans(leased, "plan-1")
    now_ms = await leased.store.redis_now_ms()
    reply = await leased.store.commit_decisions(leased.fence, [decision("plan-1", entry_id)])
    (verdict,) = reply.verdicts
    assert isinstance(verdict, Committed)
    assert 0 <= reply.now_ms - now_ms < 5_000
    assert verdict.reservation_expires_ms == reply.now_ms + 90_000
    assert leased.outside.get(KEYS.permit("plan-1")) == b'{"plan_id":"plan-1","allow":true}'
    assert leased.outside.get(KEYS.plan_mark("plan-1")) == b"D|BOTH|close|SELL|0"
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {
        b"v": f"d{entry_id}".encode(),
        b"p:plan-1": f"BOTH|close|SELL|0.028|{verdict.reservation_expires_ms}".encode(),
    }
    ((_, audited),) = leased.outside.xrange(KEYS.audit)
    assert audited == {b"plan_id": b"plan-1", b"reason": b"sanity_checks_passed"}
    assert pending_ids(leased.outside, KEYS.plans) == []
    assert leased.outside.kind(KEYS.dead_plans) == "none"


async def test_many_decisions_are_written_in_order_each_on_what_those_before_it_left(leased: Backend) -> None:
    plans = [f"plan-{number}" for number in range(150)]
    ids = await deliver_plans(leased, *plans)
    versions = [None, *(f"d{entry_id}" for entry_id in ids[:-1])]
    decisions = [
        decision(plan_id, entry_id, assumed=assumed(permits_version=version, live_permits=number))
        for number, (plan_id, entry_id, version) in enumerate(zip(plans, ids, versions, strict=True))
    ]
    # One that rests on a state that is not, in the middle: those behind it rest on it.
    wrong = msgspec.structs.replace(decisions[100], assumed=assumed(permits_version="d0-1", live_permits=100))
    verdicts = await commit(leased, *decisions[:100], wrong, *decisions[101:])
    assert [type(verdict) for verdict in verdicts] == [Committed] * 100 + [Changed] * 50
    again = await commit(leased, *decisions[100:])
    assert [type(verdict) for verdict in again] == [Committed] * 50
    assert pending_ids(leased.outside, KEYS.plans) == []
    assert len(leased.outside.hgetall(KEYS.open_permits(SYMBOL))) == 151


async def test_many_decisions_need_the_lease(leased: Backend) -> None:
    leased.outside.set(KEYS.lease, "2:another")
    decisions = [decision(f"plan-{number}", f"{number + 1}-0", assumed=None) for number in range(150)]
    before = everything(leased.outside)
    with pytest.raises(FencedError):
        await commit(leased, *decisions)
    assert everything(leased.outside) == before


async def test_every_key_of_a_decision_has_its_own_life(leased: Backend) -> None:
    (entry_id,) = await deliver_plans(leased, "plan-1")
    await commit(leased, decision("plan-1", entry_id))
    for key, life_ms in {
        KEYS.permit("plan-1"): 60_000,
        KEYS.plan_mark("plan-1"): 3_660_000,
        KEYS.open_permits(SYMBOL): 150_000,
    }.items():
        assert life_ms - 5_000 < leased.outside.pttl(key) <= life_ms
    assert leased.outside.pttl(KEYS.audit) == -1


async def test_a_later_short_reservation_never_shortens_the_life_of_an_earlier_long_one(
    leased: Backend,
) -> None:
    first, second = await deliver_plans(leased, "plan-1", "plan-2")
    await commit(leased, decision("plan-1", first, reservation_life_ms=500_000))
    await commit(leased, decision("plan-2", second, assumed=None, reservation_life_ms=1_000))
    assert leased.outside.pttl(KEYS.open_permits(SYMBOL)) > 500_000


async def test_a_denial_reserves_nothing_and_reports_no_expiry(leased: Backend) -> None:
    assert await commit(leased, DENIAL) == [Committed(0)]
    assert leased.outside.kind(KEYS.open_permits(SYMBOL)) == "none"
    assert leased.outside.get(KEYS.permit("plan-1")) == b'{"plan_id":"plan-1","allow":false}'


async def test_a_plan_that_failed_goes_to_the_dead_letters_with_its_decision(leased: Backend) -> None:
    dead = ("entry_id", "1-0", "error", "no decision after 3 deliveries")
    await commit(leased, decision("plan-1", "1-0", assumed=None, reservation="", dead_fields=dead))
    ((_, letter),) = leased.outside.xrange(KEYS.dead_plans)
    assert letter == {b"entry_id": b"1-0", b"error": b"no decision after 3 deliveries"}


async def test_a_second_delivery_is_acknowledged_and_changes_nothing_else(leased: Backend) -> None:
    first, again = await deliver_plans(leased, "plan-1", "plan-1")
    await commit(leased, decision("plan-1", first))
    assert leased.outside.take(KEYS.permit("plan-1")) is not None
    assert pending_ids(leased.outside, KEYS.plans) == [again]
    before = everything(leased.outside)
    assert await commit(leased, decision("plan-1", again, permit="another")) == [AlreadyDecided()]
    assert pending_ids(leased.outside, KEYS.plans) == []
    before.pop(KEYS.plans)
    after = everything(leased.outside)
    after.pop(KEYS.plans)
    assert after == before


async def test_the_mark_decides_again_once_its_life_is_over(leased: Backend) -> None:
    brief = decision("plan-1", "1-0", mark_ttl_ms=30, reservation="")
    await commit(leased, brief)
    assert await commit(leased, brief) == [AlreadyDecided()]
    await leased.pass_ms(31)
    assert await commit(leased, brief) == [Committed(0)]


async def test_a_permit_is_gone_once_its_life_is_over(leased: Backend) -> None:
    await commit(leased, decision("plan-1", "1-0", permit_ttl_ms=30))
    await leased.pass_ms(31)
    assert leased.outside.get(KEYS.permit("plan-1")) is None
    assert leased.outside.kind(KEYS.open_permits(SYMBOL)) == "hash"


async def test_a_plan_whose_result_came_first_is_changed_then_decided_as_settled(leased: Backend) -> None:
    leased.outside.set(KEYS.plan_mark("plan-1"), "S")
    assert await commit(leased, decision("plan-1", "1-0")) == [Changed(SymbolState(settled=True))]
    settled = decision("plan-1", "1-0", assumed=assumed(settled=True), reservation="")
    assert await commit(leased, settled) == [Committed(0)]
    assert leased.outside.get(KEYS.plan_mark("plan-1")) == b"D|BOTH|close|SELL|0"


async def test_an_answer_on_the_plan_alone_looks_at_nothing_else(leased: Backend) -> None:
    leased.outside.set(KEYS.hold(SYMBOL), "1")
    leased.outside.hset(KEYS.ledger(SYMBOL), {"last_known_amt": "1"})
    leased.outside.set(KEYS.open_permits(SYMBOL), "of a wrong type")
    denial = decision("plan-1", "1-0", assumed=None, reservation="")
    assert await commit(leased, denial) == [Committed(0)]


async def test_an_open_permit_that_has_come_since_is_reported_with_its_version(leased: Backend) -> None:
    (first,) = await commit(leased, decision("plan-1", "1-0"))
    assert isinstance(first, Committed)
    (verdict,) = await commit(leased, decision("plan-2", "2-0"))
    stored = f"BOTH|close|SELL|0.028|{first.reservation_expires_ms}"
    assert verdict == Changed(SymbolState(permits_version="d1-0", permits=((PLAN, stored),)))
    assert leased.outside.get(KEYS.permit("plan-2")) is None


async def test_a_decision_of_a_batch_sees_the_reservation_of_the_one_before(leased: Backend) -> None:
    informed = assumed(permits_version="d1-0", live_permits=1)
    verdicts = await commit(
        leased,
        decision("plan-1", "1-0"),
        decision("plan-2", "2-0"),
        decision("plan-3", "3-0", assumed=informed),
        decision("plan-1", "4-0"),
        decision("plan-4", "5-0", symbol="ETHUSDT"),
    )
    kinds = [type(verdict) for verdict in verdicts]
    assert kinds == [Committed, Changed, Committed, AlreadyDecided, Committed]
    assert set(leased.outside.hgetall(KEYS.open_permits(SYMBOL))) == {b"v", b"p:plan-1", b"p:plan-3"}
    assert leased.outside.xlen(KEYS.audit) == 3


async def test_a_decision_that_rests_on_an_entry_decided_anew_is_not_committed_on_its_first_decision(
    leased: Backend,
) -> None:
    first, anew = decision("plan-1", "1-0", proposal=".1"), decision("plan-1", "1-0", proposal=".2")
    assert (first.permits_version, anew.permits_version) == ("d1-0.1", "d1-0.2")
    await commit(leased, first)
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL))[b"v"] == b"d1-0.1"
    on_top = assumed(permits_version=anew.permits_version, live_permits=1)
    verdicts = await commit(leased, anew, decision("plan-2", "2-0", assumed=on_top))
    assert [type(verdict) for verdict in verdicts] == [AlreadyDecided, Changed]


async def test_an_expired_reservation_is_not_reported_and_is_removed_by_the_next_decision(
    leased: Backend,
) -> None:
    await commit(leased, decision("plan-1", "1-0", reservation_life_ms=30))
    await leased.pass_ms(31)
    (verdict,) = await commit(leased, decision("plan-2", "2-0"))
    assert verdict == Changed(SymbolState(permits_version="d1-0"))
    (verdict,) = await commit(leased, decision("plan-2", "2-0", assumed=assumed(permits_version="d1-0")))
    assert isinstance(verdict, Committed)
    assert set(leased.outside.hgetall(KEYS.open_permits(SYMBOL))) == {b"v", b"p:plan-2"}


async def test_more_expired_reservations_than_a_script_can_unpack_are_removed_bit_by_bit(
    leased: Backend,
) -> None:
    ended: dict[str | bytes, str | bytes] = {f"p:{n}": "BOTH|close|SELL|1|1000" for n in range(9_000)}
    leased.outside.hset(KEYS.open_permits(SYMBOL), ended)
    (verdict,) = await commit(leased, decision("plan-1", "1-0"))
    assert isinstance(verdict, Committed)
    assert len(leased.outside.hgetall(KEYS.open_permits(SYMBOL))) == 9_000 - 1_000 + 2


async def test_a_commit_after_its_deadline_writes_nothing(leased: Backend) -> None:
    deadline_ms = await leased.store.redis_now_ms() + 20
    late = decision("plan-1", "1-0", deadline_ms=deadline_ms)
    await leased.pass_ms(21)
    before = everything(leased.outside)
    assert await commit(leased, late) == [TooLate()]
    assert everything(leased.outside) == before


async def test_a_commit_before_its_deadline_is_in_time(leased: Backend) -> None:
    deadline_ms = await leased.store.redis_now_ms() + 10_000
    (verdict,) = await commit(leased, decision("plan-1", "1-0", deadline_ms=deadline_ms))
    assert isinstance(verdict, Committed)


async def test_a_commit_that_redis_dates_before_its_decision_writes_nothing(leased: Backend) -> None:
    now_ms = await leased.store.redis_now_ms()
    early = decision("plan-1", "1-0", deadline_ms=now_ms + 60_000, not_before_ms=now_ms + 30_000)
    before = everything(leased.outside)
    assert await commit(leased, early) == [TooLate()]
    assert everything(leased.outside) == before
    in_time = decision("plan-1", "1-0", deadline_ms=now_ms + 60_000, not_before_ms=now_ms)
    (verdict,) = await commit(leased, in_time)
    assert isinstance(verdict, Committed)


async def test_of_a_change_and_lateness_the_change_is_reported(leased: Backend) -> None:
    leased.outside.set(KEYS.hold(SYMBOL), "1")
    (verdict,) = await commit(leased, decision("plan-1", "1-0", deadline_ms=1))
    assert verdict == Changed(SymbolState(hold=True))


async def test_a_plan_id_may_hold_any_printable_character(leased: Backend) -> None:
    plan_id = "".join(chr(code) for code in range(32, 127))
    (verdict,) = await commit(leased, decision(plan_id, "1-0"))
    assert isinstance(verdict, Committed)
    assert leased.outside.get(KEYS.permit(plan_id)) is not None
    (shown,) = await commit(leased, decision("plan-2", "2-0"))
    assert isinstance(shown, Changed)
    assert [name for name, _ in shown.state.permits] == [plan_id]


async def test_a_text_of_any_length_and_script_arrives_whole(leased: Backend) -> None:
    record = "\x00Ⓢ中\N{PILE OF POO}" * 20_000
    audit = ("record", record)
    await commit(leased, decision("plan-1", "1-0", permit=record, audit_fields=audit))
    assert leased.outside.get(KEYS.permit("plan-1")) == record.encode()
    ((_, fields),) = leased.outside.xrange(KEYS.audit)
    assert fields == {b"record": record.encode()}


async def test_an_empty_batch_has_no_verdicts(leased: Backend) -> None:
    assert await commit(leased) == []
