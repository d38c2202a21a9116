from __future__ import annotations

import pytest

from store.errors import StoreRefusedError
from store.records import Adoption
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import SYMBOL

TTL_MS = 86_400_000
ADOPTION = Adoption(
    SYMBOL,
    ("last_known_amt", "-0.5", "ledger_amt", "-0.5", "version", "1", "source", "adopted"),
    ("event", "LEDGER_ADOPTED", "symbol", SYMBOL, "ledger_amt", "-0.5"),
)


async def test_a_missing_ledger_is_created_with_its_event(leased: Backend) -> None:
    assert await leased.store.adopt_ledgers(leased.fence, [ADOPTION], TTL_MS) == [SYMBOL]
    assert leased.outside.hgetall(KEYS.ledger(SYMBOL)) == {
        b"last_known_amt": b"-0.5", b"ledger_amt": b"-0.5", b"version": b"1", b"source": b"adopted",
    }  # fmt: skip
    assert TTL_MS - 5_000 < leased.outside.pttl(KEYS.ledger(SYMBOL)) <= TTL_MS
    ((_, event),) = leased.outside.xrange(KEYS.events)
    assert event == {b"event": b"LEDGER_ADOPTED", b"symbol": SYMBOL.encode(), b"ledger_amt": b"-0.5"}


async def test_a_flat_ledger_is_created_without_an_event(leased: Backend) -> None:
    flat = Adoption(SYMBOL, ("last_known_amt", "0"), ())
    assert await leased.store.adopt_ledgers(leased.fence, [flat], TTL_MS) == [SYMBOL]
    assert leased.outside.kind(KEYS.events) == "none"


async def test_only_missing_ledgers_are_created(leased: Backend) -> None:
    leased.outside.hset(KEYS.ledger("A"), {"last_known_amt": ""})
    leased.outside.hset(
        KEYS.ledger("B"), {"last_order_id": "7", "last_order_time_epoch": "9", "long_amt": "3"}
    )
    leased.outside.set(KEYS.ledger("C"), "of a wrong type")
    adoptions = [Adoption(symbol, ("last_known_amt", "1"), ("of", symbol)) for symbol in "ABCD"]
    assert await leased.store.adopt_ledgers(leased.fence, adoptions, TTL_MS) == ["B", "D"]
    assert leased.outside.hgetall(KEYS.ledger("A")) == {b"last_known_amt": b""}
    assert leased.outside.get(KEYS.ledger("C")) == b"of a wrong type"
    assert [fields for _, fields in leased.outside.xrange(KEYS.events)] == [{b"of": b"B"}, {b"of": b"D"}]
    assert await leased.store.adopt_ledgers(leased.fence, adoptions, TTL_MS) == []


async def test_an_adopted_ledger_has_nothing_left_of_an_older_one(leased: Backend) -> None:
    leased.outside.hset(KEYS.ledger(SYMBOL), {"last_order_time_epoch": "9", "long_amt": "3", "version": "4"})
    await leased.store.adopt_ledgers(leased.fence, [ADOPTION], TTL_MS)
    assert set(leased.outside.hgetall(KEYS.ledger(SYMBOL))) == {
        b"last_known_amt", b"ledger_amt", b"version", b"source",
    }  # fmt: skip


async def test_hundreds_of_ledgers_are_created_at_once(leased: Backend) -> None:
    symbols = [f"S{n}USDT" for n in range(569)]
    adoptions = [Adoption(symbol, ("last_known_amt", "0"), ()) for symbol in symbols]
    assert await leased.store.adopt_ledgers(leased.fence, adoptions, TTL_MS) == symbols
    assert await leased.store.ledger_amounts(symbols) == dict.fromkeys(symbols, "0")


async def test_events_of_a_wrong_type_leave_nothing_half_adopted(leased: Backend) -> None:
    leased.outside.set(KEYS.events, "x")
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError):
        await leased.store.adopt_ledgers(leased.fence, [ADOPTION], TTL_MS)
    with pytest.raises(StoreRefusedError):
        await leased.store.emit_event(leased.fence, ("event", "LEDGER_DIVERGED"))
    assert everything(leased.outside) == before


async def test_an_event_is_appended(leased: Backend) -> None:
    await leased.store.emit_event(leased.fence, ("event", "LEDGER_DIVERGED", "evidence", "Ⓢ\x00"))
    ((_, event),) = leased.outside.xrange(KEYS.events)
    assert event == {b"event": b"LEDGER_DIVERGED", b"evidence": "Ⓢ\x00".encode()}


async def test_amounts_are_reported_as_stored_for_those_that_exist(backend: Backend) -> None:
    backend.outside.hset(KEYS.ledger("A"), {"last_known_amt": "0.50"})
    backend.outside.hset(KEYS.ledger("B"), {"version": "1"})
    backend.outside.hset(KEYS.ledger("C"), {"last_known_amt": b"\xff"})
    backend.outside.set(KEYS.ledger("D"), "1")
    backend.outside.hset(KEYS.ledger("F"), {"last_known_amt": ""})
    assert await backend.store.ledger_amounts(["A", "B", "C", "D", "E", "F"]) == {
        "A": "0.50", "C": UNREADABLE, "D": UNREADABLE, "F": "",
    }  # fmt: skip
    assert await backend.store.ledger_amounts([]) == {}


@pytest.mark.parametrize(
    ("amount", "side"),
    [
        ("0.5", "LONG"), ("-0.5", "SHORT"), ("0", "FLAT"), ("-0.0", "FLAT"), ("+5", "LONG"), ("5.", "LONG"),
        ("1e-05", "LONG"), ("-1E3", "SHORT"), ("00.5", "LONG"),
    ],
)  # fmt: skip
async def test_a_correction_by_hand_reaches_the_fields_that_others_read(
    leased: Backend, amount: str, side: str
) -> None:
    leased.outside.hset(
        KEYS.ledger(SYMBOL), {"last_known_amt": amount, "ledger_amt": "9", "ledger_side": "LONG"}
    )
    await leased.store.renew_ledgers(leased.fence, [SYMBOL], TTL_MS)
    assert leased.outside.hgetall(KEYS.ledger(SYMBOL)) == {
        b"last_known_amt": amount.encode(), b"ledger_amt": amount.encode(),
        b"ledger_side": side.encode(), b"last_known_side": side.encode(),
    }  # fmt: skip
    assert TTL_MS - 5_000 < leased.outside.pttl(KEYS.ledger(SYMBOL)) <= TTL_MS


@pytest.mark.parametrize(
    "junk", [b"", b"nan", b"inf", b"0x10", b" 5", b"5 ", b"5+3", b"5e", b"1,5", b"\xff", b"5\n", b"1" * 65]
)
async def test_a_ledger_that_cannot_be_read_lives_on_as_it_is(leased: Backend, junk: bytes) -> None:
    stored: dict[str | bytes, str | bytes] = {
        b"last_known_amt": junk,
        b"ledger_amt": b"9",
        b"ledger_side": b"LONG",
    }
    leased.outside.hset(KEYS.ledger(SYMBOL), stored)
    leased.outside.pexpire(KEYS.ledger(SYMBOL), 10_000)
    await leased.store.renew_ledgers(leased.fence, [SYMBOL], TTL_MS)
    assert leased.outside.hgetall(KEYS.ledger(SYMBOL)) == stored
    assert leased.outside.pttl(KEYS.ledger(SYMBOL)) > 10_000


async def test_renewing_creates_nothing_and_leaves_other_types_alone(leased: Backend) -> None:
    leased.outside.set(KEYS.ledger("A"), "x", ttl_ms=10_000)
    leased.outside.hset(KEYS.ledger("B"), {"version": "1"})
    before = everything(leased.outside)
    await leased.store.renew_ledgers(leased.fence, ["A", "B", "C"], TTL_MS)
    assert everything(leased.outside) == before
    assert leased.outside.pttl(KEYS.ledger("A")) <= 10_000
    assert leased.outside.pttl(KEYS.ledger("B")) == -1


async def test_a_ledger_in_line_is_only_prolonged(leased: Backend) -> None:
    leased.outside.hset(KEYS.ledger(SYMBOL), {"last_known_amt": "0.5", "ledger_amt": "0.5"})
    await leased.store.renew_ledgers(leased.fence, [SYMBOL], TTL_MS)
    assert set(leased.outside.hgetall(KEYS.ledger(SYMBOL))) == {b"last_known_amt", b"ledger_amt"}
