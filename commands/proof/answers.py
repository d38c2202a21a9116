"""Points 5 and 6: the stored permits, and the latest decisions."""

from __future__ import annotations

import msgspec

from brain.decisions.permit_text import NotReplayableError
from brain.decisions.replaying import decide_again
from brain.json_text import read_json
from commands.check.findings import Finding, Verdict, failed, ok, warning
from commands.check.permit_writers import permit_findings, standing_permits
from commands.clients.redis_reading import RedisReading
from commands.replay.records import from_stream
from commands.status.document import Status
from page.words import duration
from permit_gate import P33, Refusal
from permit_gate.reading import Unusable, read_permit
from settings import Secret
from store.records import id_order

PERMITS, DECISIONS = "5 permits", "6 decisions"
_MOST_DECISIONS = 500


def permits_readable(redis: RedisReading, signing_key: Secret | None, status: Status | None) -> Finding:
    """Check that each permit is this service's, and reads as a consumer reads it.

    Raises redis.exceptions.RedisError.
    """
    for finding in permit_findings(redis, signing_key):
        if finding.verdict is Verdict.FAILED:
            return failed(PERMITS, finding.detail, finding.fix)
    key = None if signing_key is None else signing_key.reveal().encode()
    allowed = denied = 0
    for standing in standing_permits(redis):
        symbol = _symbol(standing.text)
        read = read_permit(
            P33,
            standing.text,
            plan_id=standing.plan_id,
            symbol=symbol,
            key_prefix=redis.keys.prefix,
            signing_key=key,
        )
        if isinstance(read, Unusable) and read.refusal is not Refusal.PERMIT_DENIED:
            return failed(
                PERMITS,
                f"that of plan {standing.plan_id[:40]} cannot be used: {read.refusal}, {read.because}",
                "consumers would refuse it too: this is a fault of the service, or another writer's permit",
            )
        allowed, denied = allowed + (not isinstance(read, Unusable)), denied + isinstance(read, Unusable)
    detail = f"{allowed + denied} stand now ({allowed} allow, {denied} deny), each as a consumer reads it"
    if status is not None:
        detail += f"; since the start {status.gates.allow} allowed, {status.gates.deny} denied"
    return ok(PERMITS, detail)


def decisions_replay(redis: RedisReading) -> Finding:
    """Check that the latest records give the same decisions again. Raises redis.exceptions.RedisError."""
    count, unanswered = 0, 0
    newest_ms = None
    for entry in from_stream(redis, redis.keys.audit, last=_MOST_DECISIONS):
        newest_ms = newest_ms or id_order(entry.id)[0]
        count += 1
        try:
            replayed = decide_again(entry.record)
        except NotReplayableError as error:
            if error.reason is None:
                return failed(
                    DECISIONS, f"audit record {entry.id} cannot be read: {error}", "another build wrote it"
                )
            unanswered += 1
            continue
        if not replayed.identical:
            return failed(
                DECISIONS,
                f"plan {replayed.audit.plan_id[:40]} comes out differently now",
                f"position-state-brain replay --last {_MOST_DECISIONS} shows what differs",
            )
    if newest_ms is None:
        return warning(
            DECISIONS,
            f"no decision yet in {redis.keys.audit}",
            "do plans arrive? redis-cli XINFO STREAM <prefix>:stream:apply.plan",
        )
    age = duration((redis.now_ms() - newest_ms) / 1000)
    return ok(DECISIONS, f"the last {count} in the audit come out the same again, the newest {age} ago")


def _symbol(text: bytes) -> str:
    try:
        return read_json(_NAMED, text).symbol
    except msgspec.DecodeError:
        return ""


class _Named(msgspec.Struct, frozen=True):
    symbol: str = ""


_NAMED = msgspec.json.Decoder(_Named)
