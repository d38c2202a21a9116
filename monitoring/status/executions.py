"""Undecided orders of our own executor, in `/status`, in `/readyz` and on the page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from channels import LatestValue, OpenExecution
from monitoring.status.document import OpenExecutionShown, OpenExecutionsShown

_MOST_NAMES = 20


def open_executions_shown(
    channel: LatestValue[tuple[OpenExecution, ...]] | None,
) -> OpenExecutionsShown | msgspec.UnsetType:
    """Return the undecided orders; unset without an executor."""
    if channel is None:
        return msgspec.UNSET
    undecided = channel.value or ()
    shown = [
        OpenExecutionShown(
            each.plan_id, each.symbol, each.client_order_id, each.age_sec, each.held, list(each.lacking)
        )
        for each in undecided[:_MOST_NAMES]
    ]
    return OpenExecutionsShown(len(undecided), shown)


def undecided_sentences(
    channel: LatestValue[tuple[OpenExecution, ...]] | None,
) -> list[str] | msgspec.UnsetType:
    """Return a sentence for each undecided order; unset where there is none."""
    if channel is None or not channel.value:
        return msgspec.UNSET
    return [_sentence(each) for each in channel.value[:_MOST_NAMES]]


def open_executions_problems(shown: OpenExecutionsShown | msgspec.UnsetType) -> Sequence[str]:
    """Return what the page says of undecided orders."""
    if isinstance(shown, msgspec.UnsetType) or not shown.count:
        return ()
    oldest = max(shown.executions, key=lambda each: each.age_sec)
    return (f"{shown.count} undecided orders, of {oldest.symbol} since {oldest.age_sec:.0f} s",)


def _sentence(each: OpenExecution) -> str:
    held = f"{each.symbol} is held" if each.held else "no hold of it stands"
    lacking = f"; lacking: {', '.join(each.lacking)}" if each.lacking else ""
    return (
        f"execution unknown: plan {each.plan_id}, order {each.client_order_id}, since {each.age_sec:.0f} s; "
        f"{held}{lacking}"
    )
