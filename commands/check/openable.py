"""Check of the allowlist: the symbols that may be opened, by the universe service or by the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.exceptions import NoPermissionError

from brain.symbols.allowlist import Allowlist, AllowlistSource, choose_allowlist
from commands.check.findings import Finding, failed, ok, warning
from commands.clients.redis_reading import RedisReading
from commands.status import document
from page.words import duration
from settings import Settings

ALLOWLIST = "allowlist"
NOTHING_OPENS = "no plan may open anything"
_PUBLISH = (
    "publish <prefix>:cfg:universe:active and meta (docs/integration.md, The universe), which a running "
    "service reads every P33_ALLOWLIST_REFRESH_S, or set P33_ALLOWLIST"
)
_REPAIR = "repair the universe service: it publishes too rarely, or what cannot be used"
_CORRECT = "correct the universe: position-state-brain check names symbols that the exchange does not trade"
_STANDS_IN = "start the universe service; if P33_ALLOWLIST is to count alone, P33_ALLOWLIST_SOURCE=env"


def read_allowlist(redis: RedisReading, own: Settings) -> Allowlist:
    """Return the list that a service with these settings uses. Raises redis.exceptions.RedisError."""
    pipeline = redis.client.pipeline(transaction=False)
    pipeline.get(redis.keys.universe_active)
    pipeline.hgetall(redis.keys.universe_meta)
    pipeline.get(redis.keys.universe_last_ok)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, NoPermissionError):
            raise answer
    active, meta, last_ok = answers
    return choose_allowlist(
        source=own.allowlist_source,
        env_symbols=own.allowlist,
        active=active if isinstance(active, bytes) else None,
        meta=meta if isinstance(meta, Mapping) else None,
        last_ok=last_ok if isinstance(last_ok, bytes) else None,
        now_sec=redis.now_ms() / 1000,
        max_age_sec=own.universe_max_age_sec,
        last_ok_max_age_sec=own.universe_last_ok_max_age_sec,
        mode=own.usable_universe_mode,
    )


def stored_allowlist(allowlist: Allowlist) -> Finding:
    """Judge the list as it stands in Redis and in the settings."""
    shown = document.Allowlist(
        source=allowlist.source.value,
        stale=allowlist.stale,
        count=len(allowlist.symbols),
        age_sec=allowlist.age_sec,
        notes=list(allowlist.notes),
    )
    return allowlist_finding(ALLOWLIST, shown)


def allowlist_finding(name: str, shown: document.Allowlist, *, begin: str = "") -> Finding:
    """Judge a list, in a finding of that name whose detail begins so."""
    notes = "; ".join(shown.notes)
    if not shown.count:
        why = f"no universe ({notes}), and P33_ALLOWLIST is empty" if notes else "P33_ALLOWLIST is empty"
        return failed(name, f"{begin}{NOTHING_OPENS}: {why}", _PUBLISH)
    if shown.trading == 0:
        why = f"the exchange trades none of the symbols of {shown.source}"
        return failed(name, f"{begin}{NOTHING_OPENS}: {why}", _CORRECT)
    age = "" if shown.age_sec is None else f", {duration(shown.age_sec)} old"
    symbols = "1 symbol" if shown.count == 1 else f"{shown.count} symbols"
    detail = f"{begin}{symbols} may be opened ({shown.source}{age})"
    if shown.source == AllowlistSource.ENV and shown.stale:
        return warning(name, f"{detail}: no universe: {notes}", _STANDS_IN)
    if shown.stale or notes:
        return warning(name, f"{detail}: {'the universe is stale: ' if shown.stale else ''}{notes}", _REPAIR)
    if shown.trading is not None and shown.trading < shown.count:
        return warning(name, f"{detail}; the exchange trades {shown.trading} of them", _CORRECT)
    return ok(name, detail)
