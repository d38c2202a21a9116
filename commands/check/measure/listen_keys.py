"""Listen keys and the private stream: pings, a key that does not exist, and a key that is deleted."""

from __future__ import annotations

import secrets
import string

import trio

from commands.check.measure.access import ExchangeAccess
from commands.check.measure.pace import Pace
from commands.check.measure.private_socket import PrivateSocket, private_socket
from commands.check.measure.rows import Certainty, Documents, Row, certain, compared, measured
from exchange import endpoints, wire
from exchange.endpoints import Endpoint
from exchange.errors import ExchangeRejected, HandshakeRefused

DELETE_LISTEN_KEY = Endpoint("listenKey", "DELETE", "/fapi/v1/listenKey", 1, signed=False)

_EXPIRED = "listenKeyExpired"
_NO_SUCH_KEY = -1125
_KEY_LENGTH = 64
_ACCEPTED = Documents(Certainty.MEASURED, "2026-10-03, demo: accepted, and the socket stays silent")


async def measure_pings(access: ExchangeAccess, pace: Pace) -> list[Row]:
    """Ping on `/private` with the account's key, and see whether PUT names that key."""
    key = await access.own_listen_key()
    async with private_socket(access, key) as socket:
        pings = await socket.ping_round(pace.pings, pace)
        ended = f"; then {socket.ended}" if socket.ended else ""
    lost = f"{pings.lost} lost" if pings.lost else "none lost"
    named = await _put(access, key)
    return [
        measured(
            f"{pings.sent} pings on `/private`, one each {pace.ping_every_sec:g} s",
            f"{pings}, {lost}{ended}",
            Documents(Certainty.UNKNOWN, "10 incoming messages a second; an answer is nowhere promised"),
        ),
        compared(
            f"`{endpoints.KEEP_LISTEN_KEY.key}` of a live key",
            named,
            certain("answers the key"),
            agrees=named == _SAME_KEY,
        ),
    ]


async def measure_unknown_key(access: ExchangeAccess, pace: Pace) -> list[Row]:
    """Connect with a listen key that the exchange never issued."""
    asked = "handshake on `/private` with a made-up listen key"
    letters = string.ascii_letters + string.digits
    made_up = "".join(secrets.choice(letters) for _ in range(_KEY_LENGTH))
    begun_sec = trio.current_time()
    try:
        async with private_socket(access, made_up) as socket:
            pings = await socket.ping_round(pace.unknown_key_pings, pace)
            heard = _heard(socket, trio.current_time() - begun_sec)
            is_silent = not socket.events and socket.ended is None
    except HandshakeRefused as refused:
        return [compared(asked, f"refused: {refused}", _ACCEPTED, agrees=False)]
    return [
        compared(asked, f"accepted; {heard}", _ACCEPTED, agrees=is_silent),
        measured("pings on that socket", str(pings)),
    ]


async def measure_deletion(access: ExchangeAccess, pace: Pace) -> list[Row]:
    """Delete the account's listen key while a socket with it is open; afterwards make a new one."""
    key = await access.own_listen_key()
    async with private_socket(access, key) as socket:
        await socket.proven(pace)
        await access.send(DELETE_LISTEN_KEY)
        deleted_sec = trio.current_time()
        # Without a condition that can be fulfilled: whether the socket is closed shows at the end only.
        await socket.until(lambda _events: False, pace.after_delete_sec)
        expired = [event for event in socket.events if event.kind == _EXPIRED]
        pinged = None if socket.ended else await socket.ping(pace.pong_within_sec)
        ended = socket.ended
    put = await _put(access, key)
    again = "the same key" if await access.own_listen_key() == key else "another key"
    delay_ms = f" after {(expired[0].received_sec - deleted_sec) * 1000:.0f} ms" if expired else ""
    answered = "pings answered" if pinged is not None else "no answer to a ping"
    return [
        compared(
            "DELETE of the listen key with a socket open",
            f"`{_EXPIRED}`{delay_ms}" if expired else f"silence for {pace.after_delete_sec:g} s",
            certain(f"the open sockets get `{_EXPIRED}`"),
            agrees=bool(expired),
        ),
        compared(
            "that socket afterwards",
            ended or f"open {pace.after_delete_sec:g} s later, {answered}",
            Documents(Certainty.MEASURED, "stays open, mute"),
            agrees=ended is None,
        ),
        compared(
            f"`{endpoints.KEEP_LISTEN_KEY.key}` afterwards",
            put,
            certain(f"400, {_NO_SUCH_KEY}"),
            agrees=put.startswith(f"Binance error {_NO_SUCH_KEY}"),
        ),
        compared(
            f"`{endpoints.CREATE_LISTEN_KEY.key}` afterwards",
            again,
            certain("a new key"),
            agrees=again == "another key",
        ),
    ]


_SAME_KEY = "names the key"


async def _put(access: ExchangeAccess, key: str) -> str:
    """Extend the account's key, and say in words what is answered: never the key itself."""
    try:
        body = wire.Body(await access.read(endpoints.KEEP_LISTEN_KEY)).read(wire.LISTEN_KEY)
    except ExchangeRejected as refused:
        return str(refused)
    if not body.listen_key:
        return "names no key"
    return _SAME_KEY if body.listen_key == key else "names another key"


def _heard(socket: PrivateSocket, seconds: float) -> str:
    kinds = sorted({event.kind for event in socket.events})
    heard = f"{len(socket.events)} events ({', '.join(kinds)})" if kinds else "silent"
    return f"{heard} for {seconds:.1f} s{f', then {socket.ended}' if socket.ended else ''}"
