"""`check`: read-only checks of all that the service needs, a line each, with a fix for what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import trio
from redis.exceptions import RedisError

from brain.symbols.allowlist import Allowlist
from commands.check.exchange_access import exchange_findings
from commands.check.findings import Finding, Verdict, failed, skipped
from commands.check.findings_report import FindingsReport
from commands.check.held_symbols import HELD_SYMBOLS, held_symbol_findings
from commands.check.ledger_writers import (
    LEDGER_WRITERS,
    LedgersSeen,
    changed_without_us,
    ledger_findings,
    see_ledgers,
)
from commands.check.openable import ALLOWLIST, read_allowlist, stored_allowlist
from commands.check.own_settings import load, settings_findings
from commands.check.permit_writers import access_finding, permit_findings
from commands.check.redis_server import not_allowed, reach, remembered_ban, server_findings
from commands.check.redis_streams import stream_findings
from commands.check.roles import role_findings
from commands.clients.redis_reading import RedisReading, reading
from settings import Loaded, Settings
from store.errors import WrongRightsError

_BETWEEN_LOOKS_SEC = 0.25


def check(environ: Mapping[str, str], *, as_json: bool, watch_sec: float) -> int:
    """Print the findings; return 1 when a check failed. Warnings do not count.

    The ledgers are read repeatedly for `watch_sec`, or for as long as the other checks take.
    """
    report = FindingsReport(as_json=as_json)
    loaded = load(environ)
    if isinstance(loaded, Finding):
        report.add(loaded, skipped("everything else", "needs valid settings"))
    else:
        report.add(*settings_findings(loaded))
        with reading(environ) as redis:
            _check(loaded, redis, report, watch_sec)
    report.close()
    return report.exit_code


def _check(loaded: Loaded, redis: RedisReading, report: FindingsReport, watch_sec: float) -> None:
    own = loaded.settings
    with report.busy(f"asking Redis at {redis.address}"):
        reached = reach(redis)
    report.add(reached)
    there = reached.verdict is Verdict.OK
    first: LedgersSeen | None = None
    begun_sec = time.monotonic()
    banned_until_ms = None
    allowlist: Allowlist | None = None
    if there:
        report.add(*_asked(redis, "redis", lambda: server_findings(redis)))
        report.add(*_asked(redis, "streams", lambda: stream_findings(redis, instance=own.instance)))
        report.add(*_asked(redis, "roles", lambda: role_findings(redis, own)))
        report.add(*_asked(redis, HELD_SYMBOLS, lambda: held_symbol_findings(redis)))
        allowlist = _allowlist(report, redis, own)
        first = _first_look(report, redis)
        begun_sec = time.monotonic()
        banned_until_ms = remembered_ban(redis)

    async def ask_binance() -> None:
        async for finding in exchange_findings(own, allowlist, banned_until_ms=banned_until_ms):
            report.add(finding)

    with report.busy(f"asking Binance at {own.binance_rest_url}"):
        trio.run(ask_binance)
    if first is None:
        if not there:
            report.add(skipped("streams, writers", "Redis cannot be asked"))
        return

    def watched() -> Iterator[Finding]:
        last, changes = first, dict[str, str]()
        while True:
            seen = see_ledgers(redis)
            changes |= changed_without_us(last, seen)
            last = seen
            passed_sec = time.monotonic() - begun_sec
            if passed_sec >= watch_sec:
                break
            time.sleep(min(_BETWEEN_LOOKS_SEC, watch_sec - passed_sec))
        yield from ledger_findings(redis, last, changes, passed_sec)

    with report.busy("watching the ledgers", max(watch_sec - (time.monotonic() - begun_sec), 0.0)):
        found = _asked(redis, LEDGER_WRITERS, watched)
    report.add(*found)
    report.add(*_asked(redis, "permit writers", lambda: permit_findings(redis, own.permit_signing_key)))
    report.add(*_asked(redis, "write access", lambda: iter([access_finding(redis)])))


def _allowlist(report: FindingsReport, redis: RedisReading, own: Settings) -> Allowlist | None:
    try:
        allowlist = read_allowlist(redis, own)
    except RedisError as error:
        report.add(_unanswered(redis, ALLOWLIST, error))
        return None
    report.add(stored_allowlist(allowlist))
    return allowlist


def _first_look(report: FindingsReport, redis: RedisReading) -> LedgersSeen | None:
    try:
        return see_ledgers(redis)
    except RedisError as error:
        report.add(_unanswered(redis, LEDGER_WRITERS, error))
        return None


def _asked(redis: RedisReading, name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Return the findings of a check; where Redis stops answering, add that as the last finding."""
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except RedisError as error:
        findings.append(_unanswered(redis, name, error))
    return findings


def _unanswered(redis: RedisReading, name: str, error: RedisError) -> Finding:
    meaning = redis.meaning(error, "")
    if isinstance(meaning, WrongRightsError):
        return not_allowed(name, meaning)
    return failed(name, f"Redis: {meaning}", "look at Redis's log")
