"""Undecided orders of our own executor, in `/status`, in `/readyz` and on the page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from channels import Channels, OpenExecution
from monitoring.status.document import OpenExecutionShown, OpenExecutionsShown

_MOST_SENTENCES = 20


def open_executions_shown(channels: Channels) -> OpenExecutionsShown | msgspec.UnsetType:
    """Return all undecided orders; unset without an executor."""
    if channels.open_executions is None:
        return msgspec.UNSET
    undecided = _undecided(channels)
    shown = [
        OpenExecutionShown(
            each.plan_id, each.symbol, each.client_order_id, each.age_sec, each.held, list(each.lacking)
        )
        for each in undecided
    ]
    return OpenExecutionsShown(len(undecided), shown)


def undecided_sentences(channels: Channels) -> list[str] | msgspec.UnsetType:
    """Return a sentence for each undecided order; unset where there is none."""
    sentences = [_sentence(each) for each in _undecided(channels)[:_MOST_SENTENCES]]
    return sentences or msgspec.UNSET


def _undecided(channels: Channels) -> tuple[OpenExecution, ...]:
    """Return the undecided orders; none on a standby, whose knowledge is outdated."""
    lease = channels.lease.value
    if channels.open_executions is None or lease is None or lease.fence is None:
        return ()
    return channels.open_executions.value or ()


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
