"""The gate for trio: redis-py's asyncio client through trio-asyncio, one crossing a wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from permit_gate.ask import TIMEOUT_SEC, Answer, Ask, AwaitPush, Conversation, Pause, Send, Step
from permit_gate.connection_options import connection_options
from permit_gate.rules import GateRules
from permit_gate.sources import PermitSource


class TrioPermitGate:
    """Waits for permits and consumes them. Any number of tasks may share a gate; see `open_trio_gate`."""

    def __init__(self, client: Redis, loop: trio_asyncio.BaseTrioEventLoop, rules: GateRules) -> None:
        self._client = client
        self._loop = loop
        self._rules = rules

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
        ask = Ask(plan_id, symbol, sources, self._rules)
        try:
            conversation = ask.conversation(time.monotonic, timeout_sec)
            return await self._loop.run_aio_coroutine(self._converse(conversation))  # type: ignore[no-any-return]
        except (RedisError, OSError) as error:
            return ask.failed(f"{type(error).__name__}: {error}")

    async def _converse(self, conversation: Conversation) -> Answer:
        pool = self._client.connection_pool
        connection: Any = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            reply: Any = None
            while True:
                try:
                    step = conversation.send(reply)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                _heed_cancellation()
                reply = await _carry_out(step, connection)
        except BaseException:
            # In an unknown state, and nobody else's business.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


async def _carry_out(step: Step, connection: Any) -> Any:
    match step:
        case Send(commands):
            await connection.send_packed_command(connection.pack_commands(commands))
            return [await _reply(connection) for _ in commands]
        case AwaitPush(timeout_sec):
            await connection.read_response(disable_decoding=True, timeout=timeout_sec, push_request=True)
        case Pause(duration_sec):
            await asyncio.sleep(duration_sec)
    return None


def _heed_cancellation() -> None:
    """redis-py loses a cancellation that comes while it sets up a connection: it is made good for here."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def open_trio_gate(
    redis_url: str, rules: GateRules | None = None, *, command_timeout_sec: float = 0.5, **options: Any
) -> AsyncIterator[TrioPermitGate]:
    """A gate for the length of a block; on the trio-asyncio loop around it, else on one of its own.

    `options` go to redis-py (TLS, `client_name`). `command_timeout_sec`: how long Redis may take to answer
    one command; so much later than its timeout may a call return.
    """
    retry = Retry(NoBackoff(), 0)
    client = Redis.from_url(redis_url, **connection_options(retry, command_timeout_sec, options))
    async with AsyncExitStack() as stack:
        loop = trio_asyncio.current_loop.get()
        if loop is None:
            loop = await stack.enter_async_context(trio_asyncio.open_loop())
        try:
            yield TrioPermitGate(client, loop, rules or GateRules())
        finally:
            await loop.run_aio_coroutine(client.aclose())
