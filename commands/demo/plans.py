"""Plans as their publishers write them, in both dialects of `apply.plan`."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from zlib import crc32

from commands.demo.exchange_client import TradedSymbol

Fields = dict[str, str]

_USUAL_KILL_SCORE, _KILL_SCORE_SPREAD = 0.3, 0.08
#: Of what is proposed: below the one from which on a Governor scales the quantity.
_HIGHEST_KILL_SCORE = 0.58

#: One for each symbol, in the texts that are seen.
_LEVERAGES = ("5", "10", "10.0")


def entry(symbol: TradedSymbol, side: str, quantity: Decimal | None, rng: Random, now_sec: float) -> Fields:
    """Build a plan in the intent bridge's dialect: a trade that AI Engine proposes."""
    away = Decimal("0.98") if side == "BUY" else Decimal("1.02")
    return {
        "plan_id": f"{rng.getrandbits(64):016x}",
        "symbol": symbol.name,
        "decision": "EXECUTE",
        "action": rng.choice(("ENTRY_PROPOSED", "")),
        "side": side,
        "type": "MARKET",
        "qty": "" if quantity is None else f"{quantity:f}",
        "reduceOnly": rng.choice(("false", "False", "0")),
        "source": "intent_bridge",
        "price": f"{symbol.price:f}",
        "leverage": _LEVERAGES[crc32(symbol.name.encode()) % len(_LEVERAGES)],
        "stop_loss": f"{symbol.price * away:f}",
        "take_profit": f"{symbol.price / away:f}"[:12],
        "confidence": f"{rng.uniform(0.5, 1):.3f}",
        "kill_score": f"{_kill_score(rng):.4f}",
        "regime": rng.choice(("trend", "range", "unknown")),
        "timestamp": f"{now_sec:.3f}",
    }


def _kill_score(rng: Random) -> float:
    usual = rng.gauss(_USUAL_KILL_SCORE, _KILL_SCORE_SPREAD)
    return min(max(usual, 0.0), _HIGHEST_KILL_SCORE)


def harvest_exit(symbol: TradedSymbol, action: str, rng: Random, now_sec: float) -> Fields:
    """Build a plan in the harvest path's dialect (Exit Brain, Harvest). Most of their exits say CLOSE."""
    return {
        "plan_id": f"{rng.getrandbits(128):032x}",
        "symbol": symbol.name,
        "decision": "EXECUTE",
        "action": action,
        "side": "CLOSE",
        "close_qty": rng.choice(("0", "0.0", "")),
        "reduceOnly": rng.choice(("true", "True", "1")),
        "source": rng.choice(("", "harvest_brain")),
        "kill_score": f"{rng.uniform(0, 1):.4f}",
        "k_regime_flip": f"{rng.uniform(0, 1):.3f}",
        "k_sigma_spike": f"{rng.uniform(0, 1):.3f}",
        "reason_codes": rng.choice(("kill_score_close_ok", "harvest_target", "regime_flip")),
        "steps": json.dumps([{"step": action, "type": "market_reduce_only", "side": "close"}]),
        "eval_type": rng.choice(("EXIT", "")),
        "timestamp": f"{now_sec:.0f}",
    }


def reconcile_close(
    symbol: TradedSymbol, side: str, quantity: Decimal, rng: Random, now_sec: float
) -> Fields:
    """Build the reconcile engine's plan to remove a drift while it holds the symbol."""
    return {
        "plan_id": f"reconcile-{rng.getrandbits(64):016x}",
        "symbol": symbol.name,
        "decision": "RECONCILE_CLOSE",
        "side": side,
        "type": "MARKET",
        "qty": f"{quantity:f}",
        "reduceOnly": "true",
        "source": "reconcile_engine",
        "reason": "reconcile_drift",
        "timestamp": f"{now_sec:.3f}",
    }
