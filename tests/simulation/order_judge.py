"""The judge of the executor's steps, as its store sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from store.execution_records import BeginReply, OrderBegin, OrderProgress, PlanRefusal


class OrderJudge(Protocol):
    """Receiver of the executor's effects, which it brings about. Raises AssertionError."""

    def begin(self, writer: str, begin: OrderBegin, effect: Callable[[], BeginReply]) -> BeginReply: ...

    def progress(self, writer: str, progress: OrderProgress, effect: Callable[[], bool]) -> bool: ...

    def refuse(self, writer: str, refusal: PlanRefusal, effect: Callable[[], bool]) -> bool: ...
