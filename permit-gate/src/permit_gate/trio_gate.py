"""The gate for trio: the one for asyncio through trio-asyncio, one crossing a wait.

Install `permit-gate[trio]` for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio_asyncio

from permit_gate.ask import TIMEOUT_SEC, Answer
from permit_gate.asyncio_gate import AsyncioPermitGate
from permit_gate.rules import GateRules
from permit_gate.sources import PermitSource


class TrioPermitGate:
    """Waits for permits and consumes them. Any number of tasks may share a gate; see `open_trio_gate`."""

    def __init__(self, gate: AsyncioPermitGate, loop: trio_asyncio.BaseTrioEventLoop) -> None:
        self._gate = gate
        self._loop = loop

    async def acquire(
        self,
        plan_id: str,
        symbol: str,
        sources: Sequence[PermitSource],
        *,
        timeout_sec: float = TIMEOUT_SEC,
    ) -> Answer:
        """Wait for the permits of all `sources` for up to `timeout_sec`, and consume all of them or none.

        One that says no, or cannot be used, ends the wait at once. Raises ValueError for no or repeated
        sources; whatever Redis does is an answer. A call that is cancelled may have consumed the permits.
        """
        waiting = self._gate.acquire(plan_id, symbol, sources, timeout_sec=timeout_sec)
        return await self._loop.run_aio_coroutine(waiting)  # type: ignore[no-any-return]


@asynccontextmanager
async def open_trio_gate(
    redis_url: str, rules: GateRules | None = None, *, command_timeout_sec: float = 0.5, **options: Any
) -> AsyncIterator[TrioPermitGate]:
    """A gate for the length of a block; on the trio-asyncio loop around it, else on one of its own.

    `options` go to redis-py (TLS, `client_name`). `command_timeout_sec`: how long Redis may take to answer
    one command; so much later than its timeout may a call return.
    """
    async with AsyncExitStack() as stack:
        loop = trio_asyncio.current_loop.get()
        if loop is None:
            loop = await stack.enter_async_context(trio_asyncio.open_loop())
        gate = AsyncioPermitGate(redis_url, rules, command_timeout_sec=command_timeout_sec, **options)
        try:
            yield TrioPermitGate(gate, loop)
        finally:
            await loop.run_aio_coroutine(gate.aclose())
