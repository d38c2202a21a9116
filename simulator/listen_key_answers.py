"""``/fapi/v1/listenKey``. Source: USDⓈ-M Futures, "User Data Streams"."""

from __future__ import annotations

import msgspec

from simulator import errors
from simulator.exchange import SimulatedExchange
from simulator.parameters import Parameters


def create_listen_key(exchange: SimulatedExchange, _: Parameters) -> bytes:
    exchange.expire_listen_key()
    key = exchange.listen_keys.create_or_extend(exchange.host_ms())
    return msgspec.json.encode({"listenKey": key})


def extend_listen_key(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    _expect_live(exchange, parameters)
    return msgspec.json.encode({"listenKey": exchange.listen_keys.extend(exchange.host_ms())})


def close_listen_key(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    _expect_live(exchange, parameters)
    exchange.delete_listen_key()
    return b"{}"


def _expect_live(exchange: SimulatedExchange, parameters: Parameters) -> None:
    """Raise ``ApiError`` -1125 unless the request names no listen key, or the live one."""
    exchange.expire_listen_key()
    named = parameters.get("listenKey")
    if named and not exchange.listen_keys.is_live(named):
        raise errors.unknown_listen_key()
