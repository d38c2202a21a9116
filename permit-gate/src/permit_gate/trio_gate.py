"""Gate for Trio: the one for asyncio through trio-asyncio, with one crossing of the bridge a wait.

Install `permit-gate[trio]` for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from permit_gate.ask import TIMEOUT_SEC, Answer
from permit_gate.asyncio_gate import AsyncioPermitGate
from permit_gate.bridge import trio_asyncio
from permit_gate.rules import GateRules
from permit_gate.sources import PermitSource


class TrioPermitGate:
    """Gate that waits for permits and consumes them, shared by any number of tasks; see `open_trio_gate`."""

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

        A permit that denies, or cannot be used, ends the wait at once. Raises ValueError for no or repeated
        sources; an error of Redis is a `Refused`. A call that is cancelled may have consumed the permits.
        """
        waiting = self._gate.acquire(plan_id, symbol, sources, timeout_sec=timeout_sec)
        return await self._loop.run_aio_coroutine(waiting)  # type: ignore[no-any-return]


@asynccontextmanager
async def open_trio_gate(
    redis_url: str, rules: GateRules | None = None, *, command_timeout_sec: float = 0.5, **options: Any
) -> AsyncIterator[TrioPermitGate]:
    """Open a gate within the block, on the trio-asyncio loop around it, else on one of its own.

    `options` go to redis-py (TLS, `client_name`). `command_timeout_sec` bounds the answer to one command; a
    call may return that much later than its own timeout.
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
