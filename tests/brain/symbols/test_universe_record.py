"""Records of the universe's judgements: the same input gives the same outcome, and other settings another."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.symbols.publication import Change, Listing, Outcome, ShrunkReads, Stored
from brain.symbols.record import (
    UniverseInput,
    UnreadableUniverseError,
    audit_fields,
    judge_input,
    judge_universe_again,
)
from brain.symbols.universe_text import list_text
from tests.brain.test_courses_of_listings import contracts_drawn
from tests.brain.test_publication import names
from tests.brain.test_universe import NOW_MS, RULES, contract


def recorded(given_input: UniverseInput) -> dict[str, str]:
    judgement = judge_input(given_input)
    flat = audit_fields(judgement, given_input, decided_ms=NOW_MS, issued_by="me", shadow=False)
    return dict(zip(flat[::2], flat[1::2], strict=True))


@st.composite
def inputs_drawn(draw: st.DrawFn) -> UniverseInput:
    contracts = draw(contracts_drawn())
    volumes = draw(
        st.none() | st.fixed_dictionaries({each.symbol: st.decimals(0, 9, places=2) for each in contracts})
    )
    texts = st.none() | st.binary(max_size=9) | st.just(b'{"asof_epoch":1,"symbols":["AUSDT","BUSDT"]}')
    stored = Stored(draw(texts), draw(texts), draw(texts), draw(st.booleans()), draw(st.text(max_size=9)))
    row = ShrunkReads(draw(st.integers(0, 3)), frozenset(names(draw(st.integers(0, 4)))))
    listing = draw(st.none() | st.just(Listing(tuple(contracts), NOW_MS, volumes, frozenset({"X"}))))
    return UniverseInput(listing, stored, RULES, row, draw(st.booleans()), "" if listing else "timed out")


@given(inputs_drawn())
def test_each_input_is_judged_identically_from_its_record(given_input: UniverseInput) -> None:
    again = judge_universe_again(recorded(given_input)["record"])
    assert again.identical and again.same_answer and again.differences() == []
    assert again.judged == judge_input(given_input)


def test_another_setting_gives_another_list_with_its_symbols_named() -> None:
    listing = Listing((contract("AUSDT"), contract("BUSDC")), NOW_MS)
    fields = recorded(UniverseInput(listing, Stored(), RULES))
    assert (fields["outcome"], fields["count"], fields["error"]) == (Outcome.PUBLISHED, "2", "")
    again = judge_universe_again(fields["record"], {"quotes": ("USDT",)})
    assert not again.same_answer
    assert ("gone, new", ["BUSDC"], []) in again.differences()


def test_the_row_of_reads_that_shrank_is_part_of_the_input() -> None:
    last = list_text(
        judge_input(UniverseInput(_listing(10), Stored(), RULES)).universe,  # type: ignore[arg-type]
        RULES,
        asof_epoch=1,
        published_by="me",
    ).encode()
    row = ShrunkReads(2, frozenset(names(5)))
    fields = recorded(UniverseInput(_listing(5), Stored(last, last), RULES, row))
    assert fields["outcome"] == Outcome.PUBLISHED and fields["shrunk_by"] == "5"
    again = judge_universe_again(fields["record"])
    assert again.identical and again.recorded.shrunk_by == 5
    narrower = judge_universe_again(fields["record"], {"max_shrink_pct": Decimal(90)})
    assert narrower.same_answer and not narrower.identical


def _listing(count: int) -> Listing:
    return Listing(tuple(contract(each) for each in names(count)), NOW_MS)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b"\xff", b'{"judgement":1}'])
def test_bytes_that_are_no_record_are_named(text: bytes) -> None:
    with pytest.raises(UnreadableUniverseError, match="not an audit record of the universe"):
        judge_universe_again(text)


def test_a_record_with_a_damaged_judgement_is_named() -> None:
    fields = recorded(UniverseInput(None, Stored(), RULES, failed="x"))
    record: dict[str, Any] = msgspec.json.decode(fields["record"])
    record["judgement"] = {"outcome": "made up"}
    with pytest.raises(UnreadableUniverseError, match="not a judgement"):
        judge_universe_again(msgspec.json.encode(record))


def test_a_read_that_failed_is_judged_again() -> None:
    fields = recorded(UniverseInput(None, Stored(), RULES, failed="timed out"))
    again = judge_universe_again(fields["record"])
    assert again.identical and again.judged.outcome is Outcome.FETCH_FAILED
    assert again.judged.error == "fetch_failed: timed out"
    assert again.judged.changes == ((Change.STALE, ""),)
