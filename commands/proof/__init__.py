"""`proof`: eight points that show that a running deployment does its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from redis.exceptions import RedisError

import settings
from commands.check.findings import Finding, Verdict, failed, ok, skipped
from commands.check.findings_report import FindingsReport
from commands.clients.daemon import DaemonHttp, daemon_url
from commands.clients.redis_reading import RedisReading, reading
from commands.proof.answers import DECISIONS, PERMITS, decisions_replay, permits_readable
from commands.proof.deployment import METRICS, SERVICE, metrics, service
from commands.proof.probe import GATE, probe
from commands.proof.stored_state import (
    LEDGER,
    SNAPSHOTS,
    ledger_agrees,
    see_snapshots,
    snapshots_fresh,
)

_SUMMARY = "8 summary"
POINTS = (SERVICE, METRICS, SNAPSHOTS, LEDGER, PERMITS, DECISIONS, GATE, _SUMMARY)


def proof(environ: Mapping[str, str], *, url: str | None, as_json: bool, publish: bool) -> int:
    """Tell each point; the exit code is 1 when one failed. Raises SettingsError.

    Without `publish` nothing is published, and point 7 is left out.
    """
    own = settings.load(environ).settings
    report = FindingsReport(as_json=as_json)
    with DaemonHttp(daemon_url(environ, url)) as daemon, reading(environ) as redis:
        with report.busy(f"asking {daemon.url}"):
            alive, status = service(daemon)
        report.add(alive)
        report.add(metrics(daemon, status))
        told = None if status is None else status.snapshots.stale_threshold_sec
        threshold_sec = own.stale_threshold_sec if told is None else told

        def asked(name: str, look: Callable[[], Finding]) -> None:
            with report.busy(name[2:]):
                report.add(_asked(redis, name, look))

        asked(SNAPSHOTS, lambda: snapshots_fresh(see_snapshots(redis), threshold_sec=threshold_sec))
        asked(LEDGER, lambda: ledger_agrees(redis, tolerance_pct=own.qty_tolerance_pct))
        asked(PERMITS, lambda: permits_readable(redis, own.permit_signing_key, status))
        asked(DECISIONS, lambda: decisions_replay(redis))
        if publish:
            asked(GATE, lambda: probe(redis, own, status, instance=_lease_holder(redis)))
        else:
            report.add(skipped(GATE, "left out: --no-probe"))
    report.close(_summary(report))
    return report.exit_code


def _lease_holder(redis: RedisReading) -> str | None:
    stored: bytes | None = redis.client.get(redis.keys.lease)  # type: ignore[assignment]
    return None if stored is None else stored.decode(errors="backslashreplace").partition(":")[2]


def _asked(redis: RedisReading, name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except RedisError as error:
        fix = "position-state-brain check tells what is wrong with Redis"
        return failed(name, f"Redis at {redis.address}: {error}", fix)


def _summary(report: FindingsReport) -> Finding:
    counts = report.counts
    points = len(report.findings)
    told = f"{counts[Verdict.OK]} of {points} points proven"
    for verdict in (Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED):
        if counts[verdict]:
            told += f", {counts[verdict]} {verdict}"
    if counts[Verdict.FAILED]:
        return failed(_SUMMARY, told, "mend the failed points from the top: later ones rest on earlier ones")
    return ok(_SUMMARY, told)
