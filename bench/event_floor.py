"""Floor of a pushed position: a blocking WebSocket, one JSON decode, one HSET, no checks.

`python -m bench.event_floor REDIS_URL WS_URL LISTEN_KEY [CONTROL_SOCKET]` prints a line once connected.
It runs until SIGTERM. With the path CONTROL_SOCKET it writes nothing, and sends each event's moment there.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Request, TextMessage

from bench.redis_socket import BlockingRedis, Command


def serve(redis_url: str, ws_url: str, listen_key: str, control_path: str | None = None) -> None:
    """Write the positions of the private stream, or send their moments, until the process is stopped."""
    redis = BlockingRedis(redis_url, timeout_sec=None)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    host = urlsplit(ws_url).netloc
    name, _, port = host.partition(":")
    stream = socket.create_connection((name, int(port)))
    websocket = WSConnection(ConnectionType.CLIENT)
    stream.sendall(websocket.send(Request(host=host, target=f"/private/ws?listenKey={listen_key}")))
    text = ""
    while received := stream.recv(1 << 16):
        websocket.receive_data(received)
        for event in websocket.events():
            match event:
                case AcceptConnection():
                    print("connected", flush=True)
                case Ping():
                    stream.sendall(websocket.send(event.response()))
                case TextMessage(data=data) | BytesMessage(data=data):
                    text += data if isinstance(data, str) else data.decode()
                    if event.message_finished:
                        writes = _writes(json.loads(text))
                        text = ""
                        if writes and control_path is not None:
                            control.sendto(b'{"at_sec":%f}' % time.perf_counter(), control_path)
                        elif writes:
                            redis.pipeline(writes)


def _writes(event: dict[str, object]) -> list[Command]:
    account = event.get("a")
    rows = account.get("P", ()) if isinstance(account, dict) else ()
    return [
        (
            "HSET", f"quantum:position:snapshot:{row['s']}", "position_amt", row["pa"],
            "entry_price", row["ep"], "ts_epoch_ms", str(event["E"]), "source", "simulator",
        )
        for row in rows
    ]  # fmt: skip


if __name__ == "__main__":
    serve(*sys.argv[1:5])
