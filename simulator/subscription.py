"""Parser of a WebSocket URL: the streams that a client subscribes to.

Source: USDⓈ-M Futures, "Important WebSocket Change Notice": ``/private/ws?listenKey=…&events=A/B``
(also ``/private/ws/<listen key>``), ``/market/ws/<stream>/<stream>``, and ``/<face>/stream?…`` whose frames
name their stream.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

Face = Literal["private", "market", "public"]
FACES: tuple[Face, ...] = ("private", "market", "public")


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """``streams`` are stream names, on the private face listen keys. No ``event_types`` means all of them."""

    face: Face
    combined: bool
    streams: list[str]
    event_types: frozenset[str] = frozenset()


#: The subscription of a path that is no stream's: it receives nothing.
NOWHERE = Subscription(face="public", combined=False, streams=[])


def parse_subscription(url: str) -> Subscription | None:
    """Return the target of a request path with its query; nothing when there is no such path.

    A path without a face carries public data only, of which there is none here.
    """
    split = urlsplit(url)
    face, _, rest = split.path.lstrip("/").partition("/")
    mode, _, names = rest.partition("/")
    if face not in FACES or mode not in ("ws", "stream"):
        return None
    query = parse_qs(split.query)
    streams = [unquote(names), *query.get("listenKey" if face == "private" else "streams", [])]
    return Subscription(
        face=face,
        combined=mode == "stream",
        streams=[name for joined in streams for name in joined.split("/") if name],
        event_types=frozenset(name for joined in query.get("events", []) for name in joined.split("/")),
    )
