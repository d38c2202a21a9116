"""A connection that is held for what the server sends by itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import redis.exceptions as redis_errors
import trio
from hiredis import pack_command

from permit_gate.bridge import trio_asyncio
from store.errors import StoreError, StoreUnavailableError

T = TypeVar("T")
Command = tuple[bytes | str | int, ...]

# hiredis's own annotation has only tuples of one.
_pack: Any = pack_command


class HeldConnection:
    """Connection on which the server may send what was not asked for. Raises StoreError.

    One task of asyncio reads for as long as the connection is held, so that a message wakes its reader
    without a crossing of the bridge.
    """

    def __init__(
        self,
        connection: Any,
        failed: Callable[[redis_errors.RedisError, Command], StoreError],
        timeout_sec: float,
    ) -> None:
        """Take `failed`, which returns our own error for one of redis-py in answer to a command."""
        self._connection = connection
        self._failed = failed
        self._timeout_sec = timeout_sec
        self._sent: Command = ("HELLO, AUTH or SELECT",)
        self._received: deque[Any] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._lost: StoreError | None = None
        connection._parser.set_invalidation_push_handler(_as_it_is)
        self._reading = trio_asyncio.current_loop.get().create_task(self._receive())

    async def send(self, *command: bytes | str | int) -> None:
        """Send one command; its answer is read among what else comes."""
        self._sent = command
        packed = _pack(command)
        with trio.move_on_after(self._timeout_sec):
            return await self._across(partial(self._connection.send_packed_command, packed))
        raise StoreUnavailableError(f"nothing could be sent within {self._timeout_sec:g} s")

    async def read(self, timeout_sec: float) -> Any:
        """Return the next answer or push; None where none comes in time."""
        with trio.move_on_after(timeout_sec):
            while not self._received and self._lost is None:
                await self._arrived.park()
        if self._received:
            message = self._received.popleft()
            if isinstance(message, redis_errors.ResponseError):
                raise self._failed(message, self._sent) from message
            return message
        if self._lost is not None:
            raise self._lost
        return None

    async def stop(self) -> None:
        """End the reading. Runs on asyncio."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _receive(self) -> None:
        """Read until the connection is lost. Runs on asyncio."""
        try:
            while True:
                try:
                    message = await self._connection.read_response(disable_decoding=True, push_request=True)
                except redis_errors.ResponseError as error:
                    message = error
                self._received.append(message)
                self._arrived.unpark_all()
        except redis_errors.RedisError as error:
            self._lost = self._failed(error, self._sent)
        except OSError as error:
            self._lost = StoreUnavailableError(str(error))
        finally:
            self._arrived.unpark_all()

    async def _across(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await trio_asyncio.aio_as_trio(call)()  # type: ignore[no-any-return]
        except redis_errors.RedisError as error:
            raise self._failed(error, self._sent) from error
        except OSError as error:
            raise StoreUnavailableError(str(error)) from error


async def _as_it_is(push: Any) -> Any:
    return push
