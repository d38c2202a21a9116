"""docs/contract.md against the pure code: which plans are of which kind, and how state is stored as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Flag
from functools import partial
from typing import Any

from brain.identifiers import PlanId
from brain.ledger.booking import decode_open_permit, encode_open_permit
from brain.ledger.order_memory import decode_memory, encode_memory
from brain.ledger.plan_mark import decode_mark, encode_mark
from brain.ledger.unknown_outcomes import decode_unknown, encode_unknown
from brain.plans import kinds
from brain.plans.kinds import Row
from brain.plans.permit import Kind
from tests.docs.documents import codes, section, tables

CONTRACT = "docs/contract.md"
_EXAMPLE = re.compile(r"^- \*(.+?)\*.*?: `(.+?)`", flags=re.M)


def in_words(members: Flag) -> str:
    """A cell of the kind table as the contract shows it."""
    words: dict[Flag, str] = {
        kinds.Action.CLOSING: "closing",
        kinds.Action.ENTRY: "`ENTRY_PROPOSED`",
        kinds.Action.ABSENT: "none",
        kinds.Action.UPDATE_SL: "`UPDATE_SL`",
        kinds.Quantity.NONE: "not given",
        kinds.Towards.CLOSE: "`CLOSE`",
        kinds.Towards.NO_SIDE: "none",
    }
    column = type(members)
    if list(members) == list(column) and len(column) > 1:
        return "any"
    return ", ".join(words.get(member) or str(member.name).lower() for member in members)


def kind_row(row: Row) -> list[str]:
    cells = (row.action, row.reduce_only, row.quantity, row.towards, row.position)
    answer = row.outcome.value if isinstance(row.outcome, Kind) else f"`{row.outcome.value}`"
    return [*map(in_words, cells), answer]


def test_the_actions_that_close_take_the_share_of_the_contract() -> None:
    for names, asks_for, quantity in tables(section(CONTRACT, "Plans"))[1]:
        share = re.match(r"\d+", quantity)
        for name in codes(names):
            assert kinds.percent_of(name) == (int(share[0]) if share else None), name
            assert bool(share) == (asks_for == "close"), name


def test_the_kind_table_is_the_one_that_decides() -> None:
    assert tables(section(CONTRACT, "Plans"))[2] == [kind_row(row) for row in kinds.TABLE]


#: By the words in front of an example: the functions that read and write such a value.
STORED: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "plan mark": (decode_mark, encode_mark),
    "open permit": (partial(decode_open_permit, PlanId("p")), encode_open_permit),
    "order memory": (decode_memory, encode_memory),
    "unknown outcome": (partial(decode_unknown, PlanId("p")), encode_unknown),
}


def test_values_of_the_services_own_keys_are_stored_as_the_contract_shows() -> None:
    examples = _EXAMPLE.findall(section(CONTRACT, "State of its own"))
    shown = ["plan mark", "plan mark", "open permit", "order memory", "unknown outcome"]
    assert [what for what, _ in examples] == shown
    for what, text in examples:
        decode, encode = STORED[what]
        assert encode(decode(text)) == text, what
