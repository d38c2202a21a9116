"""Point 7: a plan's whole way, from its publication to the answer at a consumer's gate.

The probe can only be denied. Its `timestamp` is of the year 2000, and the second thing that is asked of any
plan, before anything that could allow it, is whether its timestamp is older than P33_DECISION_TTL_SEC, which
is 30 days at most. Should that ever fail, its symbol is on no exchange, so there is no position to close; and
the gate that waits here would consume the permit (where its Redis user may), so that nobody else could use
it. Executors that read the same stream find a deny, and do nothing.

It leaves what every denied plan leaves: its entry, an audit record, the mark that it was decided, and for one
permit lifetime the permit that says no. No reservation, no ledger, no order.
"""

from __future__ import annotations

import time
from secrets import token_hex
from typing import Any

from redis.exceptions import ResponseError

from commands.check.findings import Finding, failed, ok, skipped
from commands.clients.redis_reading import RedisReading
from commands.status.document import Status
from permit_gate import P33, GateRules, Granted, PermitGate, Refusal
from settings import Settings

GATE = "7 gate"
#: 2000-01-01 00:00:00 UTC.
_LONG_PAST = "946684800"
_SYMBOL = "P33PROBE"
_WAIT_SEC = 3.0
#: What the Apply Layer waits.
_IN_TIME_SEC = 1.2
_REASON = "plan_expired"


def probe(redis: RedisReading, settings: Settings, status: Status | None, *, instance: str | None) -> Finding:
    """Publish it and wait for the answer. `instance` is who holds the lease in this Redis.

    Nothing is published unless the daemon that was asked is ready and is the one that this Redis belongs to.
    Raises redis.exceptions.RedisError.
    """
    if status is None or not status.ready:
        return skipped(GATE, "nothing was published: no daemon is there to answer it")
    if instance != status.lease.holder:
        return failed(
            GATE,
            f"nothing was published: {redis.address} names {instance or 'nobody'} as holder, the daemon "
            f"{status.lease.holder or 'nobody'}",
            "REDIS_* and P33_KEY_PREFIX must be the daemon's: . /etc/quantum/position-state-brain.env",
        )
    plan_id = f"proof-{token_hex(8)}"
    begun_sec = time.monotonic()
    if not _publish(redis, plan_id):
        return failed(
            GATE, f"{redis.keys.plans} is not there", "the service makes it when it starts: look at its log"
        )
    key = settings.permit_signing_key
    rules = GateRules(
        consumer="proof",
        prefix=redis.keys.prefix,
        signing_key=None if key is None else key.reveal(),
        max_age_sec=float(settings.permit_ttl_sec),
    )
    with PermitGate(settings.redis.url(), rules) as gate:
        answer = gate.acquire(plan_id, _SYMBOL, [P33], timeout_sec=_WAIT_SEC)
    took_sec = time.monotonic() - begun_sec
    if isinstance(answer, Granted):
        return failed(
            GATE,
            f"the probe {plan_id} was ALLOWED; its permit was consumed here, nobody can use it",
            "stop the service: it allows what is long expired",
        )
    if answer.reason is Refusal.PERMIT_DENIED and answer.because == _REASON:
        told = f"{plan_id} denied ({_REASON}) after {took_sec * 1000:.1f} ms"
        if took_sec > _IN_TIME_SEC:
            return failed(
                GATE,
                f"{told}: nobody waits longer than {_IN_TIME_SEC:g} s",
                "look for load on this host or in Redis (redis-cli --latency, SLOWLOG GET)",
            )
        return ok(GATE, f"{told}, as it had to be; it expires by itself")
    return failed(
        GATE,
        f"{plan_id}: {answer} after {took_sec:.1f} s, and {_REASON} is the only right answer",
        f"position-state-brain explain {plan_id}",
    )


def probe_fields(plan_id: str) -> dict[str, str]:
    """The probe as it is published: a plan that is well-formed, and expired since the year 2000."""
    return {
        "plan_id": plan_id,
        "symbol": _SYMBOL,
        "decision": "EXECUTE",
        "action": "FULL_CLOSE_PROPOSED",
        "side": "CLOSE",
        "qty": "0",
        "reduceOnly": "true",
        "source": "position-state-brain proof",
        "timestamp": _LONG_PAST,
    }


def _publish(redis: RedisReading, plan_id: str) -> bool:
    """Whether there is a stream to publish it on; none is made."""
    fields: Any = probe_fields(plan_id)
    try:
        return redis.client.xadd(redis.keys.plans, fields, nomkstream=True) is not None
    except ResponseError as error:
        if "WRONGTYPE" in str(error):
            return False
        raise
