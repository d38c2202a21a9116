"""Gate for threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import redis
import redis.retry
import redis.sentinel
from redis.exceptions import RedisError, ResponseError

from permit_gate.ask import TIMEOUT_SEC, Answer, Ask, AwaitPush, Conversation, Pause, Send, Step
from permit_gate.connections import GET_CONNECTION_ARGUMENTS, READS_PUSHES, PooledGate
from permit_gate.sources import PermitSource


class PermitGate(PooledGate):
    """Gate that waits for permits and consumes them, blocking its thread, shared by any number of threads.

    Each waiting thread has a connection of its own out of the gate's pool; `options` go to redis-py (TLS,
    `client_name`). `command_timeout_sec` bounds the answer to one command; a call may return that much later
    than its own timeout. Context manager; `close` at the end.
    """

    library = redis

    def acquire(
        self,
        plan_id: str,
        symbol: str,
        sources: Sequence[PermitSource],
        *,
        timeout_sec: float = TIMEOUT_SEC,
    ) -> Answer:
        """Wait for the permits of all `sources` for up to `timeout_sec`, and consume all of them or none.

        A permit that denies, or cannot be used, ends the wait at once. Raises ValueError for no or repeated
        sources; an error of Redis is a `Refused`.
        """
        ask = Ask(plan_id, symbol, sources, self._rules)
        moves = self._moves()
        try:
            answer = self._converse(ask.conversation(time.monotonic, timeout_sec, pushes=READS_PUSHES))
        except (RedisError, OSError) as error:
            self._failed(moves)
            return ask.failed(f"{type(error).__name__}: {error}")
        self._note(answer, sources)
        return answer

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools:
            pool.disconnect()

    def __enter__(self) -> PermitGate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _converse(self, conversation: Conversation) -> Answer:
        connection: Any = self._pool.get_connection(*GET_CONNECTION_ARGUMENTS)
        try:
            if self._idle.taken(connection):
                connection.disconnect()
                connection.connect()  # by itself it reconnects without asking Sentinels
            reply: Any = None
            while True:
                try:
                    step = conversation.send(reply)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                reply = _carry_out(step, connection)
        except BaseException:
            # In an unknown state, or of a server that refuses: reconnected when it is used again.
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _carry_out(step: Step, connection: Any) -> Any:
    if isinstance(step, Send):
        connection.send_packed_command(connection.pack_commands(step.commands))
        return [_reply(connection) for _ in step.commands]
    if isinstance(step, AwaitPush) and connection.can_read(step.timeout_sec):
        connection.read_response(disable_decoding=True, push_request=True)
    if isinstance(step, Pause):
        time.sleep(step.duration_sec)
    return None
