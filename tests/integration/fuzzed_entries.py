"""Hostile entries and keys, drawn from one seed; each knows whether an honest service may act on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.integration.pipeline import PLANS, RESULTS, entry, executed, full_close
from tests.integration.surroundings import SYMBOLS

INTENTS = "quantum:stream:trade.intent"
#: What others write about these is never touched; about the others it is all nonsense.
HONEST, SPOILT = SYMBOLS[:4], SYMBOLS[4:]

_MEGABYTE = b"9" * 1_000_000
_NO_NUMBERS: tuple[bytes, ...] = (
    b"NaN", b"nan", b"sNaN", b"Infinity", b"-Infinity", b"inf", b"1e999", b"1E+999999999999", b"-1e999",
    b"-0.01", b"-1", b"9" * 400, b"1e-999999999999x", b"0x10", b"1_000", "١٢".encode(), b"--1", b"1,5",
    b"+", b"1e", b".", b"1 2", b"true", b"[]", b"\xff1", b"1\x00", b"all", b"1.2.3", b"-" + b"9" * 4000,
)  # fmt: skip
_NO_TEXT: tuple[bytes, ...] = (
    b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x28\x8c\x28", b"\x00", b"a\x00b", b"\x80" * 300,
)  # fmt: skip
_NO_JSON: tuple[bytes, ...] = (
    b"[" * 20_000, b"[" * 2_000 + b"]" * 2_000, b'{"a":' * 5_000, b"{", b"[[[null", b"NaN", b'"text"', b"-",
    b"[1,2", b'{"order_id": NaN}', b'{"order_id": 1e999, "filled_qty": 1, "side": "BUY"}', b"\xff\xfe",
    b'"\\ud800"', b'[{"order_id": 5, "side": "BUY", "executed_qty": -1}]',
    b'[{"order_id": {}, "executed_qty": "1"}]',
    b'[{"order_id": 5, "side": "BUY", "executed_qty": "1e999"}]', b"[null]", b"[[]]", b'{"symbol": 5}',
)  # fmt: skip
_NO_SYMBOLS: tuple[bytes, ...] = (
    b"", b"*", b"BTC:USDT", b"BTC USDT", b"{BTCUSDT}", b"B" * 33, b"BTC\nUSDT", b"[a-z]", b"BTCUSDT?",
    b"\r\n", *_NO_TEXT,
)  # fmt: skip
#: Ids that meet keys of this service and of others, or that no key should hold.
_COLLIDING_IDS: tuple[bytes, ...] = (
    b"lease", b"p33:lease", b"p33:x", b"p26:x", b"quantum:p33:lease", b"../lease", b"*", b"{x}", b":",
    b"a:b:c", b"last_result_id", b"open:BTCUSDT", b"x" * 256,
)  # fmt: skip
_DEAD_IDS: tuple[bytes, ...] = (b"", b"x" * 257, b"two\nlines", b"p33:", b"p26:y", _MEGABYTE, *_NO_TEXT)
_NAMES = (
    "plan_id", "symbol", "decision", "action", "side", "type", "qty", "close_qty", "reduceOnly",
    "positionSide", "source", "price", "kill_score", "reason", "steps", "timestamp", "eval_type",
    "leverage", "executed", "details", "steps_results", "filled_qty", "order_id", "order_status", "payload",
    "data",
)  # fmt: skip

Write = Callable[[Any], object]
Fields = Mapping[Any, Any]


class FuzzedEntries:
    """A seeded source of writes to a redis-py pipeline, and what is known of them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - the same entries for the same seed
        self._megabytes_left = 8
        self._unknown_symbols_left = 20
        #: Plans that may be allowed, and plans that must be answered, whatever the answer.
        self.honest: set[str] = set()
        self.answerable: set[str] = set()
        self._number = 0

    def write(self) -> Write:
        """Return the next one: an entry of a stream, or a key."""
        self._number += 1
        drawn = self._random.random()
        if drawn < 0.6:
            return self._entry(PLANS, self._plan())
        if drawn < 0.85:
            return self._entry(RESULTS, self._result())
        if drawn < 0.95:
            return self._entry(INTENTS, self._intent())
        return self.spoilt_key()

    @staticmethod
    def _entry(stream: str, fields: Fields) -> Write:
        return lambda pipe: pipe.xadd(stream, fields)

    def _hostile(self) -> bytes:
        random = self._random
        if self._megabytes_left and random.random() < 0.002:
            self._megabytes_left -= 1
            return _MEGABYTE
        match random.randrange(5):
            case 0:
                return random.choice(_NO_NUMBERS)
            case 1:
                return random.choice(_NO_TEXT)
            case 2:
                return random.choice(_NO_JSON)
            case 3:
                return random.choice((*_COLLIDING_IDS, *_NO_SYMBOLS, b"", b"x" * 5_000))
        return random.randbytes(random.randrange(64))

    def _plan(self) -> Fields:
        random, plan_id = self._random, f"fuzz-{self._number}"
        drawn = random.random()
        if drawn < 0.1:
            names = random.sample(_NAMES, random.randrange(1, 12))
            fields: dict[Any, Any] = {name: self._hostile() for name in names}
            return fields | ({self._hostile(): self._hostile()} if drawn < 0.03 else {})
        symbol = random.choice(HONEST)
        honest = entry(symbol, "20") if random.random() < 0.6 else full_close(symbol)
        if drawn < 0.15:
            return honest | {"plan_id": random.choice(_DEAD_IDS)}
        if drawn < 0.2:
            return self._poisoned(honest) | {"plan_id": random.choice(_COLLIDING_IDS)}
        self.answerable.add(plan_id)
        if drawn < 0.25:
            self.honest.add(plan_id)
            return honest | {"plan_id": plan_id}
        if drawn < 0.4:
            return entry(random.choice(SPOILT), "20") | {"plan_id": plan_id}
        return self._poisoned(honest) | {"plan_id": plan_id}

    def _poisoned(self, honest: dict[str, str]) -> dict[str, Any]:
        """Build a plan that must be denied for one of its fields."""
        random = self._random
        match random.randrange(8):
            case 0:
                return honest | {random.choice(("qty", "close_qty")): random.choice(_NO_NUMBERS)}
            case 1:
                name = random.choice(("price", "leverage", "stop_loss", "take_profit", "timestamp"))
                return honest | {name: random.choice(_NO_NUMBERS)}
            case 2:
                return honest | {"symbol": random.choice(_NO_SYMBOLS)}
            case 3:
                name = random.choice(("side", "reduceOnly", "positionSide", "eval_type"))
                return honest | {name: random.choice((*_NO_TEXT, *_NO_NUMBERS))}
            case 4:
                return honest | {"action": random.choice(_NO_TEXT), "reduceOnly": "false"}
            case 5:
                return honest | {self._name(): b"x" * random.randrange(4_097, 20_000)}
            case 6:
                return honest | {f"k_{number}": b"y" * 1_000 for number in range(20)}
        return {name: value for name, value in honest.items() if name != "decision"}

    def _name(self) -> str:
        return self._random.choice(("source", "reason_codes", "steps", "whatever"))

    def _result(self) -> Fields:
        """Return one that moves no ledger of an honest symbol, whatever else it does."""
        random = self._random
        drawn = random.random()
        if drawn < 0.2:
            return {name: self._hostile() for name in random.sample(_NAMES, random.randrange(1, 12))}
        plan_id, order_id = f"fuzz-{random.randrange(1, self._number + 1)}", f"order-{self._number}"
        if drawn < 0.3:
            symbol = random.choice(SPOILT)
            if self._unknown_symbols_left and random.random() < 0.1:
                self._unknown_symbols_left -= 1
                symbol = f"NEVER{self._number}"
            filled = random.choice(("1", "1e15", "0.000000000001", "1e-30"))
            return executed(plan_id, symbol, order_id, "BUY", filled)
        if drawn < 0.35:
            return executed(plan_id, random.choice(SPOILT), order_id, "BUY", "1") | {"executed": "False"}
        shown: dict[str, Any] = executed(plan_id, random.choice(HONEST), order_id, "BUY", "1")
        match random.randrange(7):
            case 0:
                return shown | {"filled_qty": random.choice(_NO_NUMBERS)}
            case 1:
                return shown | {"order_id": random.choice((b"", b"0", b"1.0", b"x" * 65, *_NO_TEXT))}
            case 2:
                return shown | {"symbol": random.choice(_NO_SYMBOLS)}
            case 3:
                return shown | {"executed": random.choice((b"", b"yes", b"2", *_NO_TEXT))}
            case 4:
                return shown | {"plan_id": random.choice((b"", b"x" * 257, *_NO_TEXT))}
            case 5:
                return shown | {"side": random.choice((b"SIDEWAYS", *_NO_TEXT))}
        return shown | {random.choice(("details", "steps_results")): random.choice(_NO_JSON)}

    def _intent(self) -> Fields:
        random = self._random
        match random.randrange(4):
            case 0:
                return {"symbol": self._hostile()}
            case 1:
                return {random.choice(("payload", "data")): self._hostile()}
            case 2:
                return {"payload": json.dumps({"symbol": random.choice((5, None, [], "X" * 500, "A:B"))})}
        return {self._hostile(): self._hostile()}

    def spoilt_key(self, symbol: str | None = None) -> Write:
        """Replace a key that another service may write by nonsense of any type.

        With a `symbol`, its ledger.
        """
        random = self._random
        symbol_keys = ("position:ledger", "position:ledger", "reconcile:hold", "cooldown:last_exec_ts")
        kind = "position:ledger" if symbol else random.choice((*symbol_keys, "cfg:universe"))
        name = symbol or random.choice(SPOILT)
        if kind == "cfg:universe":
            name = random.choice(("active", "meta", "last_ok"))
        key, value = f"quantum:{kind}:{name}", self._hostile() or b"x"
        is_ledger, form = kind == "position:ledger", random.randrange(6)
        amount = random.choice((*_NO_NUMBERS, *_NO_TEXT, b"5", b"-1e3", b"0.1"))

        def replace(pipe: Any) -> None:
            # A ledger of these symbols is never missing, or the service would adopt it again.
            pipe.execute_command("MULTI")
            pipe.delete(key)
            match form:
                case 0 | 1 if is_ledger:
                    pipe.hset(
                        key, mapping={"last_known_amt": amount, "version": value, "last_order_id": value}
                    )
                case 0 | 1:
                    pipe.set(key, value)
                case 2:
                    pipe.rpush(key, value)
                case 3:
                    pipe.sadd(key, value)
                case 4:
                    pipe.zadd(key, {value: 1})
                case _:
                    pipe.hset(key, mapping={b"asof_epoch": value, value: value, b"last_known_amt": amount})
            pipe.execute_command("EXEC")

        return replace
