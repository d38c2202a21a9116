"""The REST interface over HTTP/1.1 on loopback, with latency and transport faults.

hypercorn speaks HTTP over sockets of our own, because ``hypercorn.trio.serve`` opens its own listeners and a
reset or a truncated body is the socket's doing. Hence ``TCPServer``, its per-connection class.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import wrap_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from simulator.control_routes import control_routes
from simulator.exchange import SimulatedExchange
from simulator.faults import FaultDice, RestFault
from simulator.faulty_sockets import FaultyListener, FaultySocket
from simulator.parameters import unsigned
from simulator.request_log import RequestRecord
from simulator.rest_api import RestApi, RestRequest
from simulator.rest_failures import TRANSPORT_FAULTS, RestResponse, gzip_bomb
from simulator.stream_server import StreamServer

_NOT_JSON = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_NO_EFFECT = RestResponse(status=502, body=b'{"code":-1001,"msg":"Internal error; unable to process."}')
_KEEP_ALIVE_SEC = 75.0
_PADDING_PIECE = 100_000


async def _padded(response: RestResponse) -> AsyncIterator[bytes]:
    yield response.body
    for _ in range(0, response.padding, _PADDING_PIECE):
        yield b" " * _PADDING_PIECE


class FuturesRest:
    """ASGI application of one ``RestApi``: waits, records, answers and injects the faults."""

    def __init__(self, exchange: SimulatedExchange, listener: FaultyListener) -> None:
        self._exchange = exchange
        self._listener = listener
        self._api = RestApi(exchange)
        self._dice = FaultDice(exchange.faults, Random(f"{exchange.seed}:rest"))  # noqa: S311 - reproducible

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope, receive)
        query = scope["query_string"].decode("latin-1")
        request = RestRequest(
            method=asked.method,
            path=scope["path"],
            query=query,
            body=(await asked.body()).decode("latin-1"),
            api_key=asked.headers.get("x-mbx-apikey"),
        )
        record = RequestRecord(self._exchange.host_ms(), request.method, request.path, unsigned(query))
        if (carrier := self._socket_of(scope)) is not None:
            record.on_socket_ms = carrier.arrived_ms
        self._exchange.requests.arrived(record)
        fault = self._dice.rest_fault(request.method, request.path)
        before_ms, after_ms = self._dice.rest_latency_ms()
        await trio.sleep(before_ms / 1000)
        if fault == "gzip_bomb":  # made in a thread the first time: seconds of work
            await trio.to_thread.run_sync(gzip_bomb, self._exchange.faults.huge_body_mb)
        if fault in TRANSPORT_FAULTS and fault != "late" and self._exchange.faults.fail_before_effect:
            response = _NO_EFFECT
        else:
            response = self._api.answer(request, fault)
        record.weight = response.weight
        await trio.sleep(max(after_ms / 1000, self._exchange.sec_until_shown()))
        await self._send(response, fault, record, scope, receive, send)

    async def _send(
        self,
        response: RestResponse,
        fault: RestFault | None,
        record: RequestRecord,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        body = response.body
        if fault in ("hang", "late"):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if fault in ("reset", "truncated"):
            socket = self._socket_of(scope)
            if socket is None:
                return  # the client has gone: nothing is left to break
            if fault == "reset":
                await socket.reset()
                return
            socket.cut_body_after(len(body) // 2)
        if fault == "not_json":
            body = _NOT_JSON
        record.status = response.status
        media_type = "text/html" if fault == "not_json" else "application/json"
        answer: Response = (
            StreamingResponse(_padded(response), response.status, response.headers, media_type)
            if response.padding
            else Response(body, response.status, response.headers, media_type)
        )
        await answer(scope, receive, send)

    def _socket_of(self, scope: Scope) -> FaultySocket | None:
        peer = tuple(scope["client"])
        return next((socket for socket in self._listener.open_sockets if socket.peer == peer), None)


async def serve_rest(
    exchange: SimulatedExchange,
    streams: StreamServer,
    listener: FaultyListener,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer REST and control requests on that listener until cancelled."""
    app = Starlette(
        routes=[
            Mount("/simulator", routes=control_routes(exchange, streams)),
            Mount("/", app=FuturesRest(exchange, listener)),
        ]
    )
    config = Config()
    config.errorlog = None  # Its logger would be the whole process's.
    config.keep_alive_timeout = _KEEP_ALIVE_SEC
    config.h11_max_incomplete_size = 64 * 1024
    # Both sides mean ASGI; their annotations of it differ.
    wrapped: AppWrapper = wrap_app(app, config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]
    context = WorkerContext(None)

    async def serve_connection(connection: FaultySocket) -> None:
        # TCPServer is annotated for TLS and uses what a plain socket stream has.
        await TCPServer(wrapped, config, context, ConnectionState({}), connection)  # type: ignore[arg-type]

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve_connection, [listener])
        task_status.started()
