"""Points 1 and 2: the service and its metrics, over HTTP."""

from __future__ import annotations

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from brain.json_text import read_json
from commands.check.findings import Finding, failed, ok, skipped
from commands.check.openable import allowlist_finding
from commands.clients.daemon import DaemonHttp, NoDaemonError
from commands.status.document import STATUS, Status
from monitoring.metrics.catalogue import CATALOGUE
from monitoring.status.document import Readiness
from page.words import duration

SERVICE, METRICS = "1 service", "2 metrics"
#: Metrics of docs/contract.md that are views of live state.
_LIVE = (
    "p33_snapshot_age_sec", "p33_last_snapshot_ts", "p33_position_amt", "p33_channel_depth", "p33_build_info",
)  # fmt: skip
_HOW_IT_IS = "position-state-brain status, and the log: journalctl -u quantum-position-state-brain -n 50"
_READINESS = msgspec.json.Decoder(Readiness)


def service(daemon: DaemonHttp) -> tuple[Finding, Status | None]:
    """Check that the daemon is alive, is ready and may open symbols; return its status, too, if any."""
    try:
        daemon.get("/healthz")
        readiness = read_json(_READINESS, daemon.get("/readyz", also=(503,)).content)
        status = read_json(STATUS, daemon.get("/status").content)
    except NoDaemonError as error:
        return failed(SERVICE, str(error), f"start it, or name its address with --url; {_HOW_IT_IS}"), None
    except msgspec.DecodeError as error:
        return failed(SERVICE, f"what answers at {daemon.url} is not this service: {error}", "--url"), None
    who = f"{status.build_tag}, instance {status.instance}, up {duration(status.uptime_sec)}"
    if not readiness.ready:
        return failed(SERVICE, f"{who}: not ready: {'; '.join(readiness.reasons)}", _HOW_IT_IS), status
    if status.allowlist is None:
        return ok(SERVICE, f"{who}, ready"), status
    return allowlist_finding(SERVICE, status.allowlist, begin=f"{who}, ready; "), status


def metrics(daemon: DaemonHttp, status: Status | None) -> Finding:
    """Check that `/metrics` has every metric of the contract, and is the same build's."""
    if status is None:
        return skipped(METRICS, "no daemon answers")
    try:
        families = {
            family.name: family for family in text_string_to_metric_families(daemon.get("/metrics").text)
        }
    except NoDaemonError as error:
        return failed(METRICS, str(error), _HOW_IT_IS)
    except ValueError as error:
        return failed(METRICS, f"not in Prometheus's text format: {error}", "this is a fault of the service")
    wanted = [*(declared.name.removesuffix("_total") for declared in CATALOGUE), *_LIVE]
    missing = [name for name in wanted if name not in families]
    if missing:
        return failed(
            METRICS, f"missing: {', '.join(missing)}", "another build than this one runs: upgrade it"
        )
    tags = {sample.labels.get("tag") for sample in families["p33_build_info"].samples}
    if tags != {status.build_tag}:
        detail = ", ".join(str(tag) for tag in tags)
        return failed(METRICS, f"build {detail}, and /status says {status.build_tag}", _HOW_IT_IS)
    samples = sum(len(family.samples) for family in families.values())
    return ok(METRICS, f"{len(families)} metrics, {samples} samples, all of the contract's among them")
