from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate_testing.permits import KEY, SYMBOL, denied_permit, governor_permit, p33_permit, signed
from permit_gate import GOVERNOR, P33, Kind, PermitSource, Refusal
from permit_gate.reading import Unusable, Yes, read_permit

_PLAN = "plan-1"


def _read(text: bytes, source: PermitSource = P33, key: bytes | None = None) -> Yes | Unusable:
    return read_permit(source, text, plan_id=_PLAN, symbol=SYMBOL, key_prefix="quantum", signing_key=key)


def _refusal(text: bytes, source: PermitSource = P33, key: bytes | None = None) -> Refusal | None:
    read = _read(text, source, key)
    return read.refusal if isinstance(read, Unusable) else None


def test_the_safe_quantity_is_read_digit_by_digit() -> None:
    text = p33_permit(_PLAN).replace(b": 0.028", b": 0.027999999999999997")
    read = _read(text)
    assert isinstance(read, Yes) and read.terms is not None
    assert read.terms.safe_quantity == Decimal("0.027999999999999997")
    assert (read.terms.kind, read.terms.order_side, read.terms.leg) == (Kind.CLOSE, "SELL", "BOTH")


def test_the_whole_text_of_a_service_that_writes_no_object_means_yes_and_no_other_text_does() -> None:
    plain = PermitSource("P2.6", "{prefix}:permit:p26:{plan_id}", "granted", plain_yes="1")
    read = _read(b"1", plain)
    assert isinstance(read, Yes) and read.permit.source is plain
    for other in (b"", b"0", b"1 ", b"true", b"!"):
        assert _refusal(other, plain) is Refusal.PERMIT_UNREADABLE
    assert _refusal(b"1", GOVERNOR) is Refusal.PERMIT_UNREADABLE


@pytest.mark.parametrize("kind", ["open", "add"])
def test_on_an_open_or_add_the_plans_own_quantity_holds(kind: str) -> None:
    read = _read(p33_permit(_PLAN, kind=kind, safe_close_qty=0, safe_qty=0))
    assert isinstance(read, Yes) and read.terms is not None
    assert read.terms.order_quantity(Decimal("1.5")) == Decimal("1.5")


@pytest.mark.parametrize("kind", ["open", "add"])
def test_a_plan_published_again_with_more_orders_no_more_than_was_decided_on(kind: str) -> None:
    read = _read(p33_permit(_PLAN, kind=kind, safe_close_qty=0, safe_qty=0, plan_qty=0.5))
    assert isinstance(read, Yes) and read.terms is not None
    assert read.terms.order_quantity(Decimal("1.5")) == Decimal("0.5")
    assert read.terms.order_quantity(Decimal("0.2")) == Decimal("0.2")


def test_a_plan_quantity_that_is_no_number_makes_the_permit_unusable() -> None:
    text = p33_permit(_PLAN, kind="open", safe_close_qty=0, safe_qty=0, plan_qty="much")
    assert _refusal(text) is Refusal.PERMIT_UNREADABLE


def test_on_a_close_the_safe_quantity_holds_whatever_the_plan_says() -> None:
    read = _read(p33_permit(_PLAN))
    assert isinstance(read, Yes) and read.terms is not None
    assert read.terms.order_quantity(Decimal("1.5")) == Decimal("0.028")


def test_for_a_stop_loss_update_nothing_is_ordered() -> None:
    read = _read(p33_permit(_PLAN, kind="none", reason="no_quantity_change", safe_close_qty=0, safe_qty=0))
    assert isinstance(read, Yes) and read.terms is not None
    assert read.terms.order_quantity(Decimal("1.5")) == 0


def test_a_deny_is_returned_with_its_reason_and_its_numbers() -> None:
    read = _read(denied_permit(_PLAN, "stale_exchange_state", {"snapshot_age_sec": 12.5}))
    assert read == Unusable(
        Refusal.PERMIT_DENIED, "stale_exchange_state", {"snapshot_age_sec": Decimal("12.5")}
    )


def test_a_deny_of_a_plan_with_an_unreadable_symbol_is_a_deny() -> None:
    text = p33_permit(_PLAN, allow=False, reason="malformed_plan", symbol=None)
    assert _refusal(text) is Refusal.PERMIT_DENIED


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"plan_id": "plan-2"}, Refusal.PERMIT_FOR_ANOTHER_PLAN),
        ({"symbol": "ETHUSDT"}, Refusal.PERMIT_FOR_ANOTHER_SYMBOL),
        ({"symbol": None}, Refusal.PERMIT_UNREADABLE),
        ({"allow": "true"}, Refusal.PERMIT_UNREADABLE),
        ({"allow": 1}, Refusal.PERMIT_UNREADABLE),
        ({"allow": None}, Refusal.PERMIT_UNREADABLE),
        ({"kind": None}, Refusal.PERMIT_UNREADABLE),
        ({"kind": "flip"}, Refusal.PERMIT_UNREADABLE),
        ({"kind": "none"}, Refusal.PERMIT_UNREADABLE),
        ({"kind": "open"}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": 0, "safe_qty": 0}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": -0.028, "safe_qty": -0.028}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": 0.029}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": "0.028"}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": None}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": True, "safe_qty": True}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": float("nan"), "safe_qty": float("nan")}, Refusal.PERMIT_UNREADABLE),
        ({"safe_close_qty": 10**15, "safe_qty": 10**15}, Refusal.PERMIT_UNREADABLE),
        ({"created_at": None}, Refusal.PERMIT_UNREADABLE),
        ({"created_at": "now"}, Refusal.PERMIT_UNREADABLE),
        ({"created_at": -1}, Refusal.PERMIT_UNREADABLE),
    ],
)
def test_a_p33_permit_that_is_not_wholly_right_is_refused(changes: dict[str, Any], refusal: Refusal) -> None:
    assert _refusal(p33_permit(_PLAN)) is None
    assert _refusal(p33_permit(_PLAN, **changes)) is refusal


@pytest.mark.parametrize("member", ["plan_id", "symbol", "allow", "kind", "safe_close_qty", "created_at"])
def test_a_p33_permit_without_a_member_that_matters_is_unreadable(member: str) -> None:
    assert _refusal(p33_permit(_PLAN, leave_out=(member,))) is Refusal.PERMIT_UNREADABLE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        b"[]",
        b'"granted"',
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"granted":true,"granted":true}',
        b'{"granted":NaN}',
        b'{"granted":true,"n":1e99999999999999999999}',
        b'{"granted":true,"x":"' + b"x" * 70_000 + b'"}',
    ],
)
def test_a_permit_that_is_no_readable_json_object_is_unreadable(text: bytes) -> None:
    assert _refusal(text, GOVERNOR) is Refusal.PERMIT_UNREADABLE


def test_a_permit_whose_members_contradict_each_other_is_unreadable() -> None:
    text = denied_permit(_PLAN, "no_position")
    assert _refusal(text[:-1] + b',"allow":true}') is Refusal.PERMIT_UNREADABLE


def test_a_governor_permit_need_not_name_plan_and_symbol_but_must_not_name_others() -> None:
    assert _refusal(b'{"granted":true}', GOVERNOR) is None
    assert _refusal(governor_permit(symbol="ETHUSDT"), GOVERNOR) is Refusal.PERMIT_FOR_ANOTHER_SYMBOL
    assert _refusal(governor_permit(plan_id="x"), GOVERNOR) is Refusal.PERMIT_FOR_ANOTHER_PLAN
    assert _refusal(governor_permit(granted=False, reason="limit"), GOVERNOR) is Refusal.PERMIT_DENIED


def test_the_signature_is_checked_before_anything_else() -> None:
    garbage = b"\xff not JSON at all"
    assert _refusal(garbage, key=KEY) is Refusal.SIGNATURE_MISSING
    assert _refusal(signed(garbage + b"}"), key=KEY) is Refusal.PERMIT_UNREADABLE
    assert _refusal(signed(denied_permit(_PLAN, "x"), b"another"), key=KEY) is Refusal.SIGNATURE_WRONG


def test_a_signed_permit_passes_with_its_key_and_an_unsigned_one_does_not() -> None:
    assert _refusal(signed(p33_permit(_PLAN)), key=KEY) is None
    assert _refusal(p33_permit(_PLAN), key=KEY) is Refusal.SIGNATURE_MISSING


def test_without_a_key_a_signature_is_one_more_member() -> None:
    assert _refusal(signed(p33_permit(_PLAN))) is None


def test_the_governor_signs_nothing() -> None:
    assert _refusal(governor_permit(), GOVERNOR, key=KEY) is None


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["plan_id", "symbol", "allow", "kind", "safe_close_qty", "safe_qty", "created_at"]
                    ),
                    inner,
                    max_size=7,
                )
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_all_bytes_get_an_answer_and_only_a_true_allow_is_a_yes(text: bytes) -> None:
    read = _read(text)
    if isinstance(read, Yes):
        assert json.loads(text)["allow"] is True


@pytest.mark.parametrize("prefix", ["other", "", None, 7, ["quantum"]])
def test_a_signed_permit_of_another_key_prefix_is_refused(prefix: object) -> None:
    read = _read(signed(p33_permit(_PLAN, key_prefix=prefix)), key=KEY)
    assert isinstance(read, Unusable) and read.refusal is Refusal.SIGNATURE_WRONG


def test_a_signed_permit_that_names_no_key_prefix_is_refused() -> None:
    read = _read(signed(p33_permit(_PLAN, leave_out=("key_prefix",))), key=KEY)
    assert isinstance(read, Unusable) and read.refusal is Refusal.SIGNATURE_WRONG
    assert read.because == "the permit was signed for no key prefix, not for quantum"


def test_permits_that_are_not_signed_need_not_name_a_key_prefix() -> None:
    assert _refusal(p33_permit(_PLAN, leave_out=("key_prefix",))) is None
