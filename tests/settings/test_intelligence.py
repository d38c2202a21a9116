"""Settings of decision intelligence."""

from __future__ import annotations

import pytest

from settings import load
from tests.settings.refusal import refusal

ON = {"P33_DECISION_INTELLIGENCE": "on"}


def test_the_defaults_are_those_of_the_contract() -> None:
    own = load({}).settings
    assert (own.decision_intelligence, own.intelligence_refresh_sec, own.symbol_breakdown) == ("off", 5, True)


@pytest.mark.parametrize("text", ["off", "on", "ON"])
def test_it_is_off_or_on_and_has_no_shadow(text: str) -> None:
    own = load({"P33_DECISION_INTELLIGENCE": text}).settings
    assert own.decision_intelligence == text.lower()
    expected = "P33_DECISION_INTELLIGENCE='shadow' is not allowed: off or on"
    assert refusal({"P33_DECISION_INTELLIGENCE": "shadow"}) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ENABLE_SYMBOL_BREAKDOWN": "false"}, False),
        ({"ENABLE_SYMBOL_BREAKDOWN": "true"}, True),
        ({"P35_SYMBOL_BREAKDOWN": "0"}, False),
        ({"ENABLE_SYMBOL_BREAKDOWN": "false", "P35_SYMBOL_BREAKDOWN": "true"}, True),
        ({"ENABLE_SYMBOL_BREAKDOWN": "true", "P35_SYMBOL_BREAKDOWN": "no"}, False),
    ],
)
def test_the_former_name_counts_where_the_own_one_is_not_set(environ: dict[str, str], expected: bool) -> None:
    assert load({**ON, **environ}).settings.symbol_breakdown is expected


@pytest.mark.parametrize(
    ("variable", "text"),
    [("P35_REFRESH_SEC", "0.5"), ("P35_REFRESH_SEC", "301"), ("P35_SYMBOL_BREAKDOWN", "perhaps")],
)
def test_a_value_outside_of_what_is_allowed_stops_the_start_where_the_role_is_on(
    variable: str, text: str
) -> None:
    assert refusal({**ON, variable: text}).startswith(f"{variable}={text!r} is not allowed: ")
    (warning,) = load({variable: text}).warnings
    assert warning.endswith("ignored, because P33_DECISION_INTELLIGENCE is off")
