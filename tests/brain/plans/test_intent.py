"""The symbol of an intent, in three dialects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import is_symbol
from brain.plans.intent import read_intent_symbol


@pytest.mark.parametrize(
    "fields",
    [
        {b"symbol": b"BTCUSDT", b"side": b"BUY"},
        {b"payload": b'{"symbol": "BTCUSDT", "confidence": 0.7}'},
        {b"data": b'{"symbol": "BTCUSDT"}'},
        {b"symbol": b" BTCUSDT "},
        {b"symbol": b"\xff", b"payload": b"{", b"data": b'{"symbol": "BTCUSDT"}'},
        {b"symbol": b"", b"payload": b'{"symbol": "a symbol"}', b"data": b'{"symbol": "BTCUSDT"}'},
        {b"symbol": b"BTCUSDT", b"payload": b'{"symbol": "ETHUSDT"}'},
    ],
)
def test_the_first_dialect_that_tells_a_symbol_is_believed(fields: dict[bytes, bytes]) -> None:
    assert read_intent_symbol(fields) == "BTCUSDT"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"symbol": b"BTC USDT"},
        {b"symbol": b"X" * 33},
        {b"payload": b"[]"},
        {b"payload": b'"BTCUSDT"'},
        {b"payload": b'{"symbol": 7}'},
        {b"payload": b'{"symbol": null}'},
        {b"data": b'{"symbol": "BTCUSDT", "note": ' + b"[" * 60_000},
        {b"data": b'{"symbol": "\xff"}'},
        {b"data": b'{"symbol": "BTCUSDT", "note": "' + b"x" * 65_536 + b'"}'},
    ],
)
def test_without_a_usable_symbol_there_is_none(fields: dict[bytes, bytes]) -> None:
    assert read_intent_symbol(fields) is None


@given(st.dictionaries(st.sampled_from([b"symbol", b"payload", b"data"]), st.binary()))
def test_no_bytes_make_a_reading_raise(fields: dict[bytes, bytes]) -> None:
    symbol = read_intent_symbol(fields)
    assert symbol is None or is_symbol(symbol)
