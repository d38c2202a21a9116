"""Undecided orders of the executor in `/status`, in `/readyz` and on the page."""

from __future__ import annotations

import msgspec

from brain.identifiers import ClientOrderId, FencingToken, PlanId, Symbol
from channels import Channels, Lease, OpenExecution
from monitoring.status.executions import (
    open_executions_problems,
    open_executions_shown,
    undecided_sentences,
)

UNDECIDED = OpenExecution(
    PlanId("plan-1"), Symbol("BTCUSDT"), ClientOrderId("p33-0a"), 34.4, True, ("a list of all orders",)
)


def channels_with(*undecided: OpenExecution, fence: str | None = "1@p:me", executor: bool = True) -> Channels:
    channels = Channels(1, executor=executor)
    channels.lease.send(Lease(None if fence is None else FencingToken(fence), "me"))
    if channels.open_executions is not None:
        channels.open_executions.send(undecided)
    return channels


def test_an_undecided_order_is_named_with_its_age_and_the_evidence_that_is_missing() -> None:
    channels = channels_with(UNDECIDED)
    shown = open_executions_shown(channels)
    assert not isinstance(shown, msgspec.UnsetType)
    assert shown.count == 1 and msgspec.structs.asdict(shown.executions[0]) == {
        "plan_id": "plan-1", "symbol": "BTCUSDT", "client_order_id": "p33-0a", "age_sec": 34.4,
        "held": True, "lacking": ["a list of all orders"],
    }  # fmt: skip
    assert undecided_sentences(channels) == [
        "execution unknown: plan plan-1, order p33-0a, since 34 s; BTCUSDT is held; "
        "lacking: a list of all orders"
    ]
    assert open_executions_problems(shown) == ("1 undecided orders, of BTCUSDT since 34 s",)


def test_nothing_is_shown_without_an_undecided_order() -> None:
    shown = open_executions_shown(channels_with())
    assert not isinstance(shown, msgspec.UnsetType) and shown.count == 0
    assert undecided_sentences(channels_with()) is msgspec.UNSET
    assert open_executions_problems(shown) == ()


def test_a_standby_shows_none_of_what_it_knew() -> None:
    assert undecided_sentences(channels_with(UNDECIDED, fence=None)) is msgspec.UNSET


def test_without_an_executor_there_is_no_member() -> None:
    channels = channels_with(executor=False)
    assert open_executions_shown(channels) is msgspec.UNSET
    assert undecided_sentences(channels) is msgspec.UNSET
    assert open_executions_problems(msgspec.UNSET) == ()
