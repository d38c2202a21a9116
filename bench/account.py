"""The account that everything is measured on: which symbols hold what, in exchange, ledger and plans."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bench.redis_socket import BlockingRedis, Command
from simulator.symbols import load_symbols

API_KEY = "simulator-api-key"
API_SECRET = "simulator-api-secret"  # noqa: S105 - opens nothing but the simulator

_STEPS_HELD = 10_000
_FLAT_EVERY = 5


class Holding(msgspec.Struct, frozen=True):
    """A symbol, its market step, and what the account holds of it (signed contracts)."""

    symbol: str
    step: Decimal
    amount: Decimal

    @property
    def amount_text(self) -> str:
        """What is held, as text without an exponent."""
        return f"{self.amount:f}"

    @property
    def step_text(self) -> str:
        """The step, as text without an exponent."""
        return f"{self.step:f}"


def holdings() -> list[Holding]:
    """Every symbol: of five, two long, two short, one flat."""
    found: list[Holding] = []
    for number, symbol in enumerate(load_symbols().values()):
        steps = 0 if number % _FLAT_EVERY == _FLAT_EVERY - 1 else (-_STEPS_HELD, _STEPS_HELD)[number % 2]
        found.append(Holding(symbol.name, symbol.step_size, symbol.step_size * steps))
    return found


def ledger_commands(held: Sequence[Holding]) -> list[Command]:
    """Ledgers that agree with the exchange, as a day of results leaves them."""
    return [
        (
            "HSET", f"quantum:position:ledger:{holding.symbol}",
            "last_known_amt", holding.amount_text, "ledger_amt", holding.amount_text,
            "version", "1", "source", "apply_result",
        )
        for holding in held
    ]  # fmt: skip


class Exchange:
    """The controls of the simulated exchange, over one connection."""

    def __init__(self, rest_url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(rest_url).netloc, timeout=30)

    def move_to(self, symbol: str, amount: Decimal) -> None:
        """Let somebody trade until the account holds `amount`; told on the private stream."""
        body = json.dumps({"symbol": symbol, "target": f"{amount:f}"})
        self._ask("POST", "/simulator/position", body)

    def listen_key(self) -> str:
        """The private stream's key, the same for everybody on the account."""
        told = self._ask("POST", "/fapi/v1/listenKey", "", {"X-MBX-APIKEY": API_KEY})
        return str(told["listenKey"])

    def weight_since(self, wall_sec: float) -> int:
        """The request weight that everybody has used since `wall_sec` (epoch)."""
        told = self._ask("GET", f"/simulator/requests?since_ms={int(wall_sec * 1000)}", "")
        return sum(record["weight"] for record in told["records"])

    def _ask(
        self, method: str, path: str, body: str, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        try:
            self._http.request(method, path, body, headers or {})
            answer = self._http.getresponse()
        except ConnectionError:
            # It was idle for too long. All that is asked may be asked twice.
            self._http.close()
            self._http.request(method, path, body, headers or {})
            answer = self._http.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(f"{path}: {answer.status} {content.decode(errors='replace')}")
        told: dict[str, Any] = json.loads(content)
        return told


def oldest_snapshot_sec(redis: BlockingRedis, held: Sequence[Holding]) -> float:
    """The age of the oldest snapshot, by this host's clock. Raises KeyError where one is missing."""
    stamps = redis.pipeline(
        [("HGET", f"quantum:position:snapshot:{holding.symbol}", "ts_epoch_ms") for holding in held]
    )
    now_sec = time.time()
    missing = [holding.symbol for holding, stamp in zip(held, stamps, strict=True) if stamp is None]
    if missing:
        raise KeyError(f"no snapshot of {missing[:5]} ({len(missing)} in all)")
    return max(now_sec - int(stamp) / 1000 for stamp in stamps)
