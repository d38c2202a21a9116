"""Gate for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import redis.asyncio
import redis.asyncio.retry
import redis.asyncio.sentinel
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from permit_gate.ask import TIMEOUT_SEC, Answer, Ask, AwaitPush, Conversation, Pause, Send, Step
from permit_gate.connections import GET_CONNECTION_ARGUMENTS, READS_PUSHES, PooledGate
from permit_gate.sources import PermitSource


class AsyncioPermitGate(PooledGate):
    """Gate that waits for permits and consumes them, shared by any number of tasks of one event loop.

    Each waiting task has a connection of its own out of the gate's pool; `options` go to redis-py (TLS,
    `client_name`). `command_timeout_sec` bounds the answer to one command; a call may return that much later
    than its own timeout. Async context manager; `aclose` at the end.
    """

    library = redis.asyncio

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
        ask = Ask(plan_id, symbol, sources, self._rules)
        moves = self._moves()
        try:
            answer = await self._converse(ask.conversation(time.monotonic, timeout_sec, pushes=READS_PUSHES))
        except (RedisError, OSError) as error:
            self._failed(moves)
            return ask.failed(f"{type(error).__name__}: {error}")
        self._note(answer, sources)
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        for pool in self._pools:
            await pool.disconnect()

    async def __aenter__(self) -> AsyncioPermitGate:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _converse(self, conversation: Conversation) -> Answer:
        connection: Any = await self._pool.get_connection(*GET_CONNECTION_ARGUMENTS)
        may_be_dead = not self._idle.is_new(connection)
        try:
            if self._idle.taken(connection):
                await connection.disconnect(nowait=True)
                await connection.connect()  # by itself it reconnects without asking Sentinels
            reply: Any = None
            while True:
                try:
                    step = conversation.send(reply)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                _raise_lost_cancellation()
                try:
                    reply = await _carry_out(step, connection)
                except RedisConnectionError:
                    if not may_be_dead:
                        raise
                    # It was closed while idle, which redis-py 4.6 does not notice: read on a new one.
                    await connection.disconnect(nowait=True)
                    await connection.connect()
                    reply = await _carry_out(step, connection)
                may_be_dead = False
        except BaseException:
            # In an unknown state, or of a server that refuses: reconnected when it is used again.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


async def _carry_out(step: Step, connection: Any) -> Any:
    if isinstance(step, Send):
        await connection.send_packed_command(connection.pack_commands(step.commands))
        return [await _reply(connection) for _ in step.commands]
    if isinstance(step, AwaitPush):
        await connection.read_response(disable_decoding=True, timeout=step.timeout_sec, push_request=True)
    if isinstance(step, Pause):
        await asyncio.sleep(step.duration_sec)
    return None


def _raise_lost_cancellation() -> None:
    """Raise the CancelledError that redis-py swallowed while it set up a connection.

    Before Python 3.11 a task cannot detect that it was cancelled: such a call returns its answer.
    """
    task: Any = asyncio.current_task()
    if getattr(task, "cancelling", int)():
        raise asyncio.CancelledError
