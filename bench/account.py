"""Account of the benchmarks: the positions of its symbols in exchange, ledger and plans."""

from __future__ import annotations

import hmac
import http.client
import json
import time
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from bench.redis_socket import BlockingRedis, Command
from simulator.symbols import Symbol, load_symbols

API_KEY = "simulator-api-key"
API_SECRET = "simulator-api-secret"  # noqa: S105 - opens nothing but the simulator

_STEPS_HELD = 10_000
_FLAT_EVERY = 5


class Holding(msgspec.Struct, frozen=True):
    """Symbol with its market step and the account's position (signed contracts)."""

    symbol: str
    step: Decimal
    amount: Decimal

    @property
    def amount_text(self) -> str:
        """Position as text without an exponent."""
        return f"{self.amount:f}"

    @property
    def step_text(self) -> str:
        """Step as text without an exponent."""
        return f"{self.step:f}"


def symbols(count: int | None = None) -> dict[str, Symbol]:
    """Return `count` symbols by name (None: those of the packaged file); beyond those, copies of them."""
    listed = load_symbols()
    count = len(listed) if count is None else count
    found: dict[str, Symbol] = {}
    lap = 0
    while len(found) < count:
        for symbol in list(listed.values())[: count - len(found)]:
            prefix = f"X{lap}" if lap else ""
            name = prefix + symbol.name
            base_asset = prefix + symbol.base_asset
            found[name] = msgspec.structs.replace(symbol, name=name, base_asset=base_asset)
        lap += 1
    return found


def holdings(count: int | None = None) -> list[Holding]:
    """Return `count` positions (None: those of the packaged file): of five, two long, two short, one flat."""
    found: list[Holding] = []
    for number, symbol in enumerate(symbols(count).values()):
        steps = 0 if number % _FLAT_EVERY == _FLAT_EVERY - 1 else (-_STEPS_HELD, _STEPS_HELD)[number % 2]
        found.append(Holding(symbol.name, symbol.step_size, symbol.step_size * steps))
    return found


def ledger_commands(held: Sequence[Holding], key_prefix: str = "quantum") -> list[Command]:
    """Return commands that write ledgers equal to the exchange, as after a day of results."""
    return [
        (
            "HSET", f"{key_prefix}:position:ledger:{holding.symbol}",
            "last_known_amt", holding.amount_text, "ledger_amt", holding.amount_text,
            "version", "1", "source", "apply_result",
        )
        for holding in held
    ]  # fmt: skip


class Exchange:
    """Client of the simulated exchange's controls, over one connection. Raises ConnectionError."""

    def __init__(self, rest_url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(rest_url).netloc, timeout=30)

    def move_to(self, symbol: str, amount: Decimal, cause: str = "trade") -> None:
        """Trade until the account holds `amount`; the private stream reports it."""
        body = json.dumps({"symbol": symbol, "target": f"{amount:f}", "cause": cause})
        self._ask("POST", "/simulator/position", body)

    def listen_key(self) -> str:
        """Return the listen key, one for the account."""
        answer = json.loads(self._ask("POST", "/fapi/v1/listenKey", "", {"X-MBX-APIKEY": API_KEY}))
        return str(answer["listenKey"])

    def weight_since(self, wall_sec: float) -> int:
        """Return the request weight used by all clients since `wall_sec` (epoch)."""
        answer = json.loads(self._ask("GET", f"/simulator/requests?since_ms={int(wall_sec * 1000)}", ""))
        return sum(record["weight"] for record in answer["records"])

    def requests(self, path: str) -> list[dict[str, Any]]:
        """Return the latest requests of one path, oldest first."""
        records: list[dict[str, Any]] = json.loads(self._ask("GET", f"/simulator/requests?path={path}", ""))[
            "records"
        ]
        return records

    def set_faults(self, changes: dict[str, object]) -> None:
        """Change switches of the exchange (`simulator.faults.Faults`)."""
        self._ask("POST", "/simulator/faults", json.dumps(changes))

    def positions_text(self) -> bytes:
        """Return the body of a read of all positions."""
        return self._ask("GET", f"/fapi/v2/positionRisk?{signed_query({})}", "", {"X-MBX-APIKEY": API_KEY})

    def _ask(self, method: str, path: str, body: str, headers: dict[str, str] | None = None) -> bytes:
        try:
            self._http.request(method, path, body, headers or {})
            answer = self._http.getresponse()
        except ConnectionError:
            # The connection was idle for too long. All requests are idempotent.
            self._http.close()
            self._http.request(method, path, body, headers or {})
            answer = self._http.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"{path}: {answer.status} {content.decode(errors='replace')}")
        return content


def signed_query(params: dict[str, str]) -> str:
    """Return the query of a signed request that is sent now."""
    query = urlencode({**params, "timestamp": int(time.time() * 1000), "recvWindow": 5000})
    return f"{query}&signature={hmac.new(API_SECRET.encode(), query.encode(), sha256).hexdigest()}"


class NoSnapshotError(Exception):
    """Symbol of the account has no snapshot in Redis."""


def oldest_snapshot_sec(redis: BlockingRedis, held: Sequence[Holding]) -> float:
    """Return the age of the oldest snapshot in seconds, by this host's clock. Raises NoSnapshotError."""
    stamps = redis.pipeline(
        [("HGET", f"quantum:position:snapshot:{holding.symbol}", "ts_epoch_ms") for holding in held]
    )
    now_sec = time.time()
    missing = [holding.symbol for holding, stamp in zip(held, stamps, strict=True) if stamp is None]
    if missing:
        raise NoSnapshotError(f"no snapshot of {missing[:5]} ({len(missing)} in all)")
    return max(now_sec - int(stamp) / 1000 for stamp in stamps)
