"""Reads of the reconcile engine: ledgers that differ, views of symbols, what was booked of orders."""

from __future__ import annotations

import pytest

from brain.identifiers import PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.operator_records import Hold
from store.reconcile_records import (
    Agreement,
    BookedGrowth,
    ComparedLedgers,
    ExpectedLedger,
    ReconcileView,
)
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend
from tests.store.reconciled import (
    DRIFTED,
    ENGINE,
    LEDGER,
    SIG,
    VERSION,
    write_hold,
    write_ledger,
)

OTHER = Symbol("SOLUSDT")
NOTHING = ReconcileView(StoredLedger(), None, {}, None, None, "")


async def differs(backend: Backend, amount: str, long: str | None = None, short: str | None = None) -> bool:
    found = await backend.store.differing_ledgers([ExpectedLedger(DRIFTED, amount, long, short)])
    assert found in (ComparedLedgers([], []), ComparedLedgers([DRIFTED], []))
    return found.differing == [DRIFTED]


async def in_flight(backend: Backend) -> bool:
    expected = [ExpectedLedger(symbol, "0", None, None) for symbol in (OTHER, DRIFTED)]
    found = await backend.store.differing_ledgers(expected)
    assert found in (ComparedLedgers([], []), ComparedLedgers([], [DRIFTED]))
    return found.in_flight == [DRIFTED]


async def view(backend: Backend, symbol: Symbol = DRIFTED) -> ReconcileView:
    return (await backend.store.reconcile_views([symbol]))[symbol]


async def test_a_ledger_with_the_expected_amount_does_not_differ(leased: Backend) -> None:
    write_ledger(leased.outside)
    assert not await differs(leased, "0.5")
    assert await differs(leased, "0.7")
    assert await differs(leased, "-0.5")


async def test_a_text_of_equal_value_differs(leased: Backend) -> None:
    for text in ("0.50", "5e-1", "", " 0.5", "\ufeff0.5"):
        write_ledger(leased.outside, last_known_amt=text)
        assert await differs(leased, "0.5")


async def test_legs_count_where_they_are_expected(leased: Backend) -> None:
    write_ledger(leased.outside, last_known_amt="2", long_amt="5", short_amt="-3")
    assert not await differs(leased, "2")
    assert not await differs(leased, "2", "5", "-3")
    assert await differs(leased, "2", "4", "-2")
    assert await differs(leased, "2", "5", "-2")
    write_ledger(leased.outside, last_known_amt="3")
    assert await differs(leased, "2", "5", "-3")


async def test_a_missing_ledger_and_missing_legs_stand_for_zero(leased: Backend) -> None:
    assert not await differs(leased, "0")
    assert not await differs(leased, "0", "0", "0")
    assert await differs(leased, "1")
    assert await differs(leased, "0", "1", "-1")
    leased.outside.hset(KEYS.ledger(DRIFTED), {"last_known_amt": "0"})
    assert not await differs(leased, "0", "0", "0")
    leased.outside.hset(KEYS.ledger(DRIFTED), {"last_known_amt": "5"})
    assert await differs(leased, "5", "5", "0")


async def test_a_hash_without_an_amount_is_a_missing_ledger(leased: Backend) -> None:
    leased.outside.hset(KEYS.ledger(DRIFTED), {"long_amt": "5", "version": "3"})
    assert not await differs(leased, "0", "0", "0")
    assert await differs(leased, "5", "5", "0")


@pytest.mark.parametrize("amount", ["0", "1"])
async def test_a_ledger_of_a_wrong_type_differs_whatever_is_expected(leased: Backend, amount: str) -> None:
    leased.outside.set(KEYS.ledger(DRIFTED), amount)
    assert await differs(leased, amount)


async def test_an_order_may_be_in_flight_until_its_permit_expires(leased: Backend) -> None:
    assert not await in_flight(leased)
    soon = await leased.store.redis_now_ms() + 500
    leased.outside.hset(KEYS.open_permits(DRIFTED), {"v": "d1", "p:x": f"BOTH|open|BUY|1|{soon}"})
    assert await in_flight(leased)
    await leased.pass_ms(600)
    assert not await in_flight(leased)
    leased.outside.hset(KEYS.open_permits(DRIFTED), {"p:y": f"BOTH|open|BUY|1|{soon + 500_000}"})
    assert await in_flight(leased)
    leased.outside.hdel(KEYS.open_permits(DRIFTED), "p:y")
    assert not await in_flight(leased)


@pytest.mark.parametrize("stored", [b"", b"a lot", b"BOTH|open|BUY|1|", b"1|12345678901234567", b"|5|\n"])
async def test_a_permit_that_cannot_be_read_may_be_of_an_order_in_flight(
    leased: Backend, stored: bytes
) -> None:
    leased.outside.hset(KEYS.open_permits(DRIFTED), {"v": "d1", "p:x": stored})
    assert await in_flight(leased)
    leased.outside.delete(KEYS.open_permits(DRIFTED))
    leased.outside.set(KEYS.open_permits(DRIFTED), stored)
    assert await in_flight(leased)


async def test_a_symbol_that_the_executor_holds_may_have_an_order_in_flight(leased: Backend) -> None:
    for owner, flies in (("exec:p33-1", True), (SIG, False), ("operator:ann", False), ("", False)):
        write_hold(leased.outside, DRIFTED, owner)
        assert await in_flight(leased) == flies


async def test_more_symbols_than_one_script_takes_are_all_compared(leased: Backend) -> None:
    symbols = [Symbol(f"S{n}USDT") for n in range(450)]
    for symbol in symbols[::3]:
        leased.outside.hset(KEYS.ledger(symbol), {"last_known_amt": "1"})
    for symbol in symbols[::2]:
        write_hold(leased.outside, symbol, SIG)
    expected = [ExpectedLedger(symbol, "1", None, None) for symbol in symbols]
    found = await leased.store.differing_ledgers(expected)
    assert found.differing == [symbol for n, symbol in enumerate(symbols) if n % 3]
    assert await leased.store.own_holds(symbols) == symbols[::2]
    views = await leased.store.reconcile_views(symbols)
    assert list(views) == symbols
    assert [each.ledger.last_known_amt for each in views.values()] == [
        None if n % 3 else "1" for n in range(450)
    ]
    await leased.store.note_agreements(leased.fence, [Agreement(symbol, 5, "1") for symbol in symbols])
    views = await leased.store.reconcile_views(symbols)
    assert [each.agreed for each in views.values()] == [Agreement(symbol, 5, "1") for symbol in symbols]


async def test_nothing_asked_is_nothing_found(leased: Backend) -> None:
    store = leased.store
    assert await store.differing_ledgers([]) == ComparedLedgers([], [])
    assert await store.own_holds([]) == []
    assert await store.reconcile_views([]) == {}
    assert await store.booked_growth(DRIFTED, [], []) == BookedGrowth({}, {})
    await store.note_agreements(leased.fence, [])


async def test_a_symbol_of_which_nothing_is_stored_has_an_empty_view(leased: Backend) -> None:
    assert await view(leased) == NOTHING


async def test_a_view_has_all_that_is_stored_of_a_symbol(leased: Backend) -> None:
    out = leased.outside
    write_ledger(out)
    write_hold(out, DRIFTED, SIG, ttl_ms=None)
    permit = "BOTH|close|SELL|1|1760000000000"
    out.hset(KEYS.open_permits(DRIFTED), {"v": "d1-0", "p:plan-9": permit, "p:plan-8": b"\xff"})
    out.hset(ENGINE.state(DRIFTED), {"status": "HOLD", "agreed_ms": "1760000000000", "agreed_version": "2"})
    assert await view(leased) == ReconcileView(
        ledger=LEDGER,
        version=VERSION,
        permits={PlanId("plan-9"): permit, PlanId("plan-8"): UNREADABLE},
        hold=Hold(b"1", b"drift", SIG.encode(), None),
        agreed=Agreement(DRIFTED, 1_760_000_000_000, "2"),
        status="HOLD",
    )


@pytest.mark.parametrize(
    ("seen_ts", "written_ms", "others_sec"),
    [
        ("1760000000", "1760000000250", None),
        ("1760000003", "1760000000250", 1_760_000_003),
        ("1760000000", None, 1_760_000_000),
        ("1760000000", "soon", 1_760_000_000),
        (None, "1760000000250", None),
        (None, None, None),
        ("now", None, None),
        ("-5", None, None),
        ("9" * 40, None, None),
    ],
)
async def test_a_view_knows_the_state_of_another_engine(
    leased: Backend, seen_ts: str | None, written_ms: str | None, others_sec: int | None
) -> None:
    times = {"status": "OK", "last_seen_ts": seen_ts, "written_ms": written_ms}
    stored: dict[str | bytes, str | bytes] = {name: text for name, text in times.items() if text is not None}
    leased.outside.hset(ENGINE.state(DRIFTED), stored)
    assert (await view(leased)).others_sec == others_sec


async def test_a_hold_in_a_view_has_the_rest_of_its_life(leased: Backend) -> None:
    write_hold(leased.outside, DRIFTED, SIG, ttl_ms=60_000)
    hold = (await view(leased)).hold
    assert hold is not None
    assert hold.ttl_ms is not None
    assert 55_000 < hold.ttl_ms <= 60_000


@pytest.mark.parametrize(
    ("stored", "agreed"),
    [
        ({"agreed_ms": "5", "agreed_version": ""}, Agreement(DRIFTED, 5, "")),
        ({"agreed_ms": "5", "agreed_version": "3", "agreed_amts": "2"}, Agreement(DRIFTED, 5, "3", "2")),
        (
            {"agreed_ms": "5", "agreed_version": "3", "agreed_amts": "2", "agreed_began": "5:1"},
            Agreement(DRIFTED, 5, "3", "2", "1"),
        ),
        # Another release has noted a later one, without the amounts at its moment.
        (
            {"agreed_ms": "5", "agreed_version": "3", "agreed_amts": "2", "agreed_began": "4:1"},
            Agreement(DRIFTED, 5, "3", "2"),
        ),
        ({"agreed_ms": "5"}, None),
        ({"agreed_version": "3"}, None),
        ({"agreed_ms": "-5", "agreed_version": "3"}, None),
        ({"agreed_ms": "soon", "agreed_version": "3"}, None),
        ({"agreed_ms": "5", "agreed_version": b"\xff"}, None),
    ],
)
async def test_an_agreement_that_cannot_be_read_is_none(
    leased: Backend, stored: dict[str | bytes, str | bytes], agreed: Agreement | None
) -> None:
    leased.outside.hset(ENGINE.state(DRIFTED), stored)
    assert (await view(leased)).agreed == agreed


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        (KEYS.ledger(DRIFTED), "hash"), (KEYS.order_memory(DRIFTED), "hash"),
        (KEYS.order_times(DRIFTED), "zset"), (KEYS.open_permits(DRIFTED), "hash"),
        (ENGINE.state(DRIFTED), "hash"),
    ],
)  # fmt: skip
async def test_a_key_of_a_wrong_type_is_named_in_the_view_of_its_symbol_alone(
    leased: Backend, key: str, wanted: str
) -> None:
    leased.outside.set(key, "1")
    views = await leased.store.reconcile_views([DRIFTED, OTHER])
    assert views[DRIFTED].unreadable == f"WRONGTYPE {key} is a string, not a {wanted}"
    assert views[OTHER] == NOTHING
    unread = StoredLedger(UNREADABLE) if key == KEYS.ledger(DRIFTED) else StoredLedger()
    assert views[DRIFTED] == NOTHING._replace(ledger=unread, unreadable=views[DRIFTED].unreadable)


async def test_open_permits_with_a_field_of_another_are_unreadable(leased: Backend) -> None:
    leased.outside.hset(KEYS.open_permits(DRIFTED), {"v": "d1-0", "junk": "1"})
    found = await view(leased)
    assert found.unreadable == f"open permits of {DRIFTED}: a field is no plan id"
    assert found.permits == {}


@pytest.mark.parametrize(
    ("stored", "adopted_ms"),
    [("BOTH:5", 5), ("LONG:1760000000000,SHORT:7", 1_760_000_000_000), ("", 0), ("soon", 0), (b"\xff", 0)],
)
async def test_a_view_has_the_time_until_which_an_adopted_ledger_contains_every_trade(
    leased: Backend, stored: str, adopted_ms: int
) -> None:
    write_ledger(leased.outside)
    assert (await view(leased)).adopted_ms == 0
    leased.outside.hset(KEYS.ledger(DRIFTED), {"adopted_exchange_ms": stored, "adopted_at_ms": stored[-1:]})
    found = await view(leased)
    assert (found.adopted_ms, found.version) == (adopted_ms, VERSION)
    assert found.adopted_at_ms == {"5": 5, "7": 7}.get(str(stored)[-1:], 0)


async def test_own_holds_are_those_of_the_engine_alone(leased: Backend) -> None:
    write_hold(leased.outside, DRIFTED, SIG)
    write_hold(leased.outside, OTHER, "operator:ann", ttl_ms=None)
    asked = [DRIFTED, OTHER, Symbol("ETHUSDT")]
    assert await leased.store.own_holds(asked) == [DRIFTED]
    write_hold(leased.outside, DRIFTED, SIG, ttl_ms=30)
    await leased.pass_ms(35)
    assert await leased.store.own_holds(asked) == []


async def test_an_agreement_is_noted_and_leaves_the_rest_of_the_state(leased: Backend) -> None:
    leased.outside.hset(ENGINE.state(DRIFTED), {"status": "OK"})
    leased.outside.set(ENGINE.state(OTHER), "of a wrong type")
    noted = [Agreement(OTHER, 4, "1", "0"), Agreement(DRIFTED, 1_760_000_000_000, "3", "2|5|-3", "0|1|-1")]
    await leased.store.note_agreements(leased.fence, noted)
    assert leased.outside.hgetall(ENGINE.state(DRIFTED)) == {
        b"status": b"OK", b"agreed_ms": b"1760000000000", b"agreed_version": b"3",
        b"agreed_amts": b"2|5|-3", b"agreed_began": b"1760000000000:0|1|-1",
    }  # fmt: skip
    assert 86_000_000 < leased.outside.pttl(ENGINE.state(DRIFTED)) <= 86_400_000
    assert leased.outside.get(ENGINE.state(OTHER)) == b"of a wrong type"
