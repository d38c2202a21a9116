"""Plans of every contender, with their correct answers.

Each is decided by one of the last checks, so that a decision runs to its end: closes of available quantity,
closes of less than a step, opens, opens while another is open. Few are allowed per symbol, as in production,
where an open permit ends with its result.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from bench.account import Holding
from bench.redis_socket import BlockingRedis, Command, pack

PLANS = "quantum:stream:apply.plan"
PERMIT_PREFIX = "quantum:permit:p33:"
#: Permits of the Governor have their plan id behind it, those of P3.3 `p33:` before that.
BOTH_PERMITS_PREFIX = "quantum:permit:"
GROUP = "p33"

#: Most allowed plans of a symbol; until then every fourth is one.
_ALLOWED_EVERY = 4
_MOST_ALLOWED = 8
_RIGHT = frozenset({"sanity_checks_passed", "open_permit_granted", "below_min_qty", "in_flight_permit"})
_READ_AT_ONCE = 1000

_BURST = """
local templates = cmsgpack.unpack(ARGV[2])
local most = tonumber(ARGV[4])
for number = 0, tonumber(ARGV[3]) - 1 do
  local round = math.floor(number / #templates)
  local pair = templates[number % #templates + 1]
  local allowed = round % 4 == 0 and round / 4 < most
  redis.call('XADD', KEYS[1], '*', 'plan_id', ARGV[1] .. number, unpack(pair[allowed and 1 or 2]))
end
"""


class WrongAnswersError(Exception):
    """Contender left plans unanswered, or gave a wrong answer."""


def fields(holding: Holding, *, allowed: bool, now_sec: float) -> list[str]:
    """Return a symbol's plan, flat names and values without its id; `allowed` if nothing else is open."""
    if holding.amount == 0:
        return [
            "symbol", holding.symbol, "decision", "EXECUTE", "action", "ENTRY_PROPOSED", "side", "BUY",
            "type", "MARKET", "qty", holding.step_text, "reduceOnly", "false", "source", "intent_bridge",
            "price", "101.25", "leverage", "10", "stop_loss", "98.1", "take_profit", "107.5",
            "confidence", "0.731", "regime", "trend", "timestamp", f"{now_sec:.3f}",
        ]  # fmt: skip
    quantity = holding.step if allowed else holding.step / 2
    return [
        "symbol", holding.symbol, "decision", "EXECUTE", "action", "PARTIAL_75", "side", "CLOSE",
        "close_qty", f"{quantity:f}", "reduceOnly", "true", "source", "harvest_brain",
        "kill_score", "0.4412", "k_regime_flip", "0.214", "k_sigma_spike", "0.530",
        "reason_codes", "kill_score_close_ok", "eval_type", "EXIT",
        "steps", json.dumps([{"step": "PARTIAL_75", "type": "market_reduce_only", "side": "close"}]),
        "timestamp", f"{now_sec:.0f}",
    ]  # fmt: skip


def series(name: str, held: Sequence[Holding], count: int, stream: str = PLANS) -> list[tuple[str, bytes]]:
    """Return ids, and packed commands that publish `count` plans over all symbols in turn."""
    now_sec = time.time()
    packed: list[tuple[str, bytes]] = []
    for number in range(count):
        plan_id = f"{name}{number}"
        lap, place = divmod(number, len(held))
        allowed = lap % _ALLOWED_EVERY == 0 and lap // _ALLOWED_EVERY < _MOST_ALLOWED
        plan = fields(held[place], allowed=allowed, now_sec=now_sec)
        packed.append((plan_id, pack(("XADD", stream, "*", "plan_id", plan_id, *plan))))
    return packed


def publish_burst(
    redis: BlockingRedis, name: str, held: Sequence[Holding], count: int, stream: str = PLANS
) -> None:
    """Publish the plans of `series(name, held, count)` at one moment, by a script."""
    now_sec = time.time()
    templates = [
        (fields(holding, allowed=True, now_sec=now_sec), fields(holding, allowed=False, now_sec=now_sec))
        for holding in held
    ]
    redis.command("EVAL", _BURST, 1, stream, name, msgspec.msgpack.encode(templates), count, _MOST_ALLOWED)


def all_answered(redis: BlockingRedis, stream: str = PLANS) -> bool:
    """Return True if every entry was delivered and acknowledged, by every group."""
    groups, entries = redis.pipeline([("XINFO", "GROUPS", stream), ("XINFO", "STREAM", stream)])
    last_id = entries[b"last-generated-id"]
    return all(group[b"last-delivered-id"] == last_id and group[b"pending"] == 0 for group in groups)


def check_answers(redis: BlockingRedis, plan_ids: Sequence[str], permits: str = PERMIT_PREFIX) -> None:
    """Raise WrongAnswersError unless every plan has a correct answer."""
    reasons: Counter[str] = Counter()
    for first in range(0, len(plan_ids), _READ_AT_ONCE):
        keys: Command = tuple(permits + name for name in plan_ids[first : first + _READ_AT_ONCE])
        for text in redis.command("MGET", *keys):
            reasons["unanswered" if text is None else json.loads(text)["reason"]] += 1
    if not reasons.keys() <= _RIGHT:
        raise WrongAnswersError(f"of {len(plan_ids)} plans: {dict(reasons)}")
