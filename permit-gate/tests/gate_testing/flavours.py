"""The three flavours behind one face, so that every test can be run with each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from queue import Queue
from typing import Any, Protocol, Union

import trio

from gate_testing.permits import SYMBOL
from permit_gate import GOVERNOR, P33, GateRules, Granted, PermitGate, Refused
from permit_gate.asyncio_gate import AsyncioPermitGate
from permit_gate.trio_gate import open_trio_gate

Answer = Union[Granted, Refused]
#: On a machine that is busy with other tests Redis takes longer than an executor would wait for it.
PATIENT: dict[str, Any] = {"command_timeout_sec": 10.0}


class Acquire(Protocol):
    """`acquire` of any flavour; the sources are Governor and P33 unless given."""

    def __call__(self, plan_id: str, symbol: str = ..., **options: Any) -> Awaitable[Answer]: ...


class OpenGate(Protocol):
    """Opens a gate of one flavour for the length of a block."""

    def __call__(
        self, url: str, rules: GateRules | None = ..., **options: Any
    ) -> AbstractAsyncContextManager[Acquire]: ...


@asynccontextmanager
async def blocking_gate(url: str, rules: GateRules | None = None, **options: Any) -> AsyncIterator[Acquire]:
    """`PermitGate`, each call in a thread."""
    with PermitGate(url, rules, **PATIENT, **options) as gate:

        async def acquire(plan_id: str, symbol: str = SYMBOL, **options: Any) -> Answer:
            call = partial(gate.acquire, plan_id, symbol, options.pop("sources", (GOVERNOR, P33)), **options)
            return await trio.to_thread.run_sync(call)

        yield acquire


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    # Made in its thread: here trio-asyncio would not let one be made.
    made: Queue[asyncio.AbstractEventLoop] = Queue()

    def run() -> None:
        loop = asyncio.new_event_loop()
        made.put(loop)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    loop = made.get()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@asynccontextmanager
async def asyncio_gate(url: str, rules: GateRules | None = None, **options: Any) -> AsyncIterator[Acquire]:
    """`AsyncioPermitGate` on an event loop in a thread."""
    with _event_loop() as loop:

        async def on_loop(work: Any) -> Any:
            return await trio.to_thread.run_sync(asyncio.run_coroutine_threadsafe(work, loop).result)

        gate = AsyncioPermitGate(url, rules, **PATIENT, **options)

        async def acquire(plan_id: str, symbol: str = SYMBOL, **options: Any) -> Answer:
            sources = options.pop("sources", (GOVERNOR, P33))
            answer: Answer = await on_loop(gate.acquire(plan_id, symbol, sources, **options))
            return answer

        try:
            yield acquire
        finally:
            with trio.CancelScope(shield=True):
                await on_loop(gate.aclose())


@asynccontextmanager
async def trio_gate(url: str, rules: GateRules | None = None, **options: Any) -> AsyncIterator[Acquire]:
    """`open_trio_gate`."""
    async with open_trio_gate(url, rules, **PATIENT, **options) as gate:

        async def acquire(plan_id: str, symbol: str = SYMBOL, **options: Any) -> Answer:
            return await gate.acquire(plan_id, symbol, options.pop("sources", (GOVERNOR, P33)), **options)

        yield acquire


FLAVOURS = {"blocking": blocking_gate, "asyncio": asyncio_gate, "trio": trio_gate}
