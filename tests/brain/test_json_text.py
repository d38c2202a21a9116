"""JSON of others: every text that cannot be read is unreadable in the same way."""

from __future__ import annotations

import msgspec
import pytest

from brain.decisions.permit_text import NotReplayableError, read_audit
from brain.json_text import read_json
from brain.ledger.result import DeadResult, read_result
from brain.plans.intent import read_intent_symbol
from brain.symbols.allowlist import choose_allowlist

DEEP = [b"[" * 1_000, b"[" * 100_000, b'{"a":' * 20_000, b'{"symbol":' * 5_000]


@pytest.mark.parametrize("text", [*DEEP, b"\xff", b'"\xff"', b"", b"<html>", b"1" * 5_000])
@pytest.mark.parametrize("decoded", [str, int, list[int], dict[str, int]])
def test_text_that_cannot_be_read_raises_one_kind_of_error(text: bytes, decoded: type[object]) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_json(msgspec.json.Decoder(decoded), text)


@pytest.mark.parametrize("text", DEEP)
def test_deeply_nested_json_in_redis_is_unreadable_and_nothing_worse(text: bytes) -> None:
    executed = {b"plan_id": b"p", b"executed": b"True", b"symbol": b"BTCUSDT"}
    assert isinstance(read_result({**executed, b"steps_results": text}), DeadResult)
    assert isinstance(read_result({**executed, b"details": text}), DeadResult)
    assert read_intent_symbol({b"payload": text, b"data": text}) is None
    with pytest.raises(NotReplayableError):
        read_audit(text)
    allowlist = choose_allowlist(
        source="universe",
        env_symbols=(),
        active=text,
        meta={},
        last_ok=text,
        now_sec=0.0,
        max_age_sec=1.0,
        last_ok_max_age_sec=1.0,
    )
    assert not allowlist.symbols
