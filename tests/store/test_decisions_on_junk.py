"""Keys of wrong types, and bytes that mean nothing: nothing half done, nothing passed over."""

from __future__ import annotations

import pytest

from brain.ledger.ledger import StoredLedger
from store.errors import StoreRefusedError
from store.records import Broken, Changed, Committed, DecisionCommit, SymbolState, Verdict
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import DECISION, SYMBOL, assumed, commit, decision, deliver_plans

JUNK = [b"\xff\xfe", "Ⓢ".encode(), b"1\n", b"\x00", b"1" * 257]
JUNK_IDS = ["no UTF-8", "no ASCII", "line feed", "NUL", "long"]


async def refused(leased: Backend, *decisions: DecisionCommit) -> StoreRefusedError:
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError) as caught:
        await leased.store.commit_decisions(leased.fence, decisions)
    assert everything(leased.outside) == before
    return caught.value


async def broken(leased: Backend, refused_one: DecisionCommit) -> str:
    before = everything(leased.outside)
    (verdict,) = await commit(leased, refused_one)
    assert isinstance(verdict, Broken)
    assert everything(leased.outside) == before
    return verdict.error


@pytest.mark.parametrize("name", ["plans", "audit", "dead_plans"])
async def test_a_stream_of_a_wrong_type_refuses_all_and_nothing_is_written(
    leased: Backend, name: str
) -> None:
    leased.outside.set(getattr(KEYS, name), "x")
    doomed = decision("plan-1", "1-0", dead_fields=("error", "x"))
    error = await refused(leased, doomed, decision("plan-2", "2-0", symbol="ETHUSDT"))
    assert "WRONGTYPE" in str(error)
    assert getattr(KEYS, name) in str(error)


@pytest.mark.parametrize("name", ["plan_mark", "open_permits"])
async def test_a_key_of_our_own_of_a_wrong_type_breaks_only_its_own_decision(
    leased: Backend, name: str
) -> None:
    if name == "plan_mark":
        leased.outside.hset(KEYS.plan_mark("plan-1"), {"a": "b"})
    else:
        leased.outside.set(KEYS.open_permits(SYMBOL), "x")
    error = await broken(leased, DECISION)
    assert getattr(KEYS, name)("plan-1" if name == "plan_mark" else SYMBOL) in error
    verdicts = await commit(leased, DECISION, decision("plan-2", "2-0", symbol="ETHUSDT"))
    assert [type(verdict) for verdict in verdicts] == [Broken, Committed]


async def test_a_reservation_without_assumptions_looks_at_the_open_permits_all_the_same(
    leased: Backend,
) -> None:
    leased.outside.set(KEYS.open_permits(SYMBOL), "x")
    await broken(leased, decision("plan-1", "1-0", assumed=None))
    leased.outside.delete(KEYS.open_permits(SYMBOL))
    (verdict,) = await commit(leased, decision("plan-1", "1-0", assumed=None))
    assert isinstance(verdict, Committed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p:other", b"\xff\xfe"),
        ("p:other", b""),
        ("p:other", b"BOTH|close|SELL|0.028"),
        ("p:other", b"BOTH|close|SELL|0.028|"),
        ("p:other", b"BOTH|close|SELL|0.028|soon"),
        ("p:other", b"BOTH|close|SELL||99999999999999"),
        ("p:other", b"BOTH|close|SELL|0.028|1000000000000000"),
        ("p:other", b"\xff|close|SELL|0.028|99999999999999"),
        (b"p:\xff", b"BOTH|close|SELL|0.028|99999999999999"),
        ("p:", b"BOTH|close|SELL|0.028|99999999999999"),
        ("x", b"1"),
    ],
)
async def test_an_open_permit_that_cannot_be_read_is_never_passed_over(
    leased: Backend, field: str | bytes, value: bytes
) -> None:
    leased.outside.hset(KEYS.open_permits(SYMBOL), {field: value})
    await broken(leased, DECISION)
    await broken(leased, decision("plan-1", "1-0", assumed=assumed(live_permits=1)))


async def changed_to(leased: Backend) -> SymbolState:
    (verdict,) = await commit(leased, DECISION)
    assert isinstance(verdict, Changed)
    return verdict.state


async def decided_on(leased: Backend, **values: object) -> Verdict:
    (verdict,) = await commit(leased, decision("plan-1", "1-0", assumed=assumed(**values)))
    return verdict


@pytest.mark.parametrize("junk", JUNK, ids=JUNK_IDS)
async def test_a_cooldown_that_cannot_be_read_is_reported_as_such_and_can_be_decided_on(
    leased: Backend, junk: bytes
) -> None:
    leased.outside.set(KEYS.cooldown(SYMBOL), junk)
    assert await changed_to(leased) == SymbolState(cooldown=UNREADABLE)
    assert isinstance(await decided_on(leased, cooldown=UNREADABLE), Committed)


async def test_a_cooldown_of_a_wrong_type_cannot_be_read(leased: Backend) -> None:
    leased.outside.hset(KEYS.cooldown(SYMBOL), {"a": "b"})
    assert await changed_to(leased) == SymbolState(cooldown=UNREADABLE)
    assert isinstance(await decided_on(leased, cooldown=UNREADABLE), Committed)


@pytest.mark.parametrize("field", StoredLedger.__struct_fields__)
@pytest.mark.parametrize("junk", JUNK, ids=JUNK_IDS)
async def test_a_ledger_field_that_cannot_be_read_is_reported_as_such_and_can_be_decided_on(
    leased: Backend, field: str, junk: bytes
) -> None:
    leased.outside.hset(KEYS.ledger(SYMBOL), {field: junk})
    state = await changed_to(leased)
    assert state == SymbolState(ledger=StoredLedger(**{field: UNREADABLE}))
    assert isinstance(await decided_on(leased, **{field: UNREADABLE}), Committed)


async def test_a_ledger_of_a_wrong_type_cannot_be_read(leased: Backend) -> None:
    leased.outside.set(KEYS.ledger(SYMBOL), "0.5")
    assert await changed_to(leased) == SymbolState(ledger=StoredLedger(UNREADABLE))
    assert isinstance(await decided_on(leased, last_known_amt=UNREADABLE), Committed)


@pytest.mark.parametrize("junk", JUNK, ids=JUNK_IDS)
async def test_a_permits_version_that_cannot_be_read_is_replaced_by_the_next_reservation(
    leased: Backend, junk: bytes
) -> None:
    leased.outside.hset(KEYS.open_permits(SYMBOL), {"v": junk})
    assert await changed_to(leased) == SymbolState(permits_version=UNREADABLE)
    assert isinstance(await decided_on(leased, permits_version=UNREADABLE), Committed)
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL))[b"v"] == b"d1-0"


@pytest.mark.parametrize("value", [b"", b"\xff", b"1" * 1000])
async def test_a_hold_counts_whatever_it_holds(leased: Backend, value: bytes) -> None:
    leased.outside.set(KEYS.hold(SYMBOL), value)
    assert await changed_to(leased) == SymbolState(hold=True)


async def test_a_hold_counts_whatever_its_type(leased: Backend) -> None:
    leased.outside.hset(KEYS.hold(SYMBOL), {"a": "b"})
    assert await changed_to(leased) == SymbolState(hold=True)


async def test_a_permit_key_of_a_wrong_type_is_overwritten(leased: Backend) -> None:
    leased.outside.hset(KEYS.permit("plan-1"), {"a": "b"})
    (entry_id,) = await deliver_plans(leased, "plan-1")
    await commit(leased, decision("plan-1", entry_id))
    assert leased.outside.get(KEYS.permit("plan-1")) == DECISION.permit.encode()


async def test_a_decision_outlives_the_loss_of_the_plan_stream(leased: Backend) -> None:
    (entry_id,) = await deliver_plans(leased, "plan-1")
    leased.outside.delete(KEYS.plans)
    (verdict,) = await commit(leased, decision("plan-1", entry_id))
    assert isinstance(verdict, Committed)
    assert leased.outside.kind(KEYS.plans) == "none"
