"""Detection of other writers of permits, and of the users that may write.

The script that writes a permit of this service also marks its plan as decided, so a permit without that mark
is another writer's. Not detected: permits that were consumed or have expired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from brain.json_text import read_json
from brain.ledger.plan_mark import PlanMark, decode_mark
from commands.check.findings import Finding, failed, ok, skipped, warning
from commands.check.redis_server import not_allowed
from commands.clients.redis_reading import RedisReading, text_of
from permit_gate.signature import SignatureMissingError, SignatureWrongError, verified
from settings import Secret
from store.errors import WrongRightsError

_PERMITS = "permit writers"
_ACCESS = "write access"
_MOST_READ = 2000
_MOST_NAMED = 3
_ONE_ISSUER = "find the other issuer and switch it off: consumers accept its permits"
_OWN_USERS = "give every service a Redis user of its own: deploy/redis/make-users.sh makes those of this one"


class _Issued(msgspec.Struct, frozen=True):
    plan_id: str
    issued_by: str


_PERMIT = msgspec.json.Decoder(_Issued)


class StandingPermit(msgspec.Struct, frozen=True):
    """A permit that is there now. `ttl_ms` is -1 where it never expires; `mark` is its plan's."""

    plan_id: str
    text: bytes
    ttl_ms: int
    mark: bytes | None


def standing_permits(redis: RedisReading) -> Iterator[StandingPermit]:
    """Yield the stored permits, up to 2000. Raises redis.exceptions.RedisError."""
    begins = redis.keys.permit("")
    found = islice(redis.client.scan_iter(match=f"{begins}*", count=1000), _MOST_READ)
    plan_ids = [text_of(key).removeprefix(begins) for key in found]
    pipeline = redis.client.pipeline(transaction=False)
    for plan_id in plan_ids:
        pipeline.get(redis.keys.permit(plan_id))
        pipeline.pttl(redis.keys.permit(plan_id))
        pipeline.get(redis.keys.plan_mark(plan_id))
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for number, plan_id in enumerate(plan_ids):
        text, ttl_ms, mark = answers[3 * number : 3 * number + 3]
        if text is not None:  # not consumed or expired since the scan
            readable = text if isinstance(text, bytes) else b""
            yield StandingPermit(plan_id, readable, ttl_ms, mark if isinstance(mark, bytes) else None)


def permit_findings(redis: RedisReading, signing_key: Secret | None) -> Iterator[Finding]:
    """Yield the findings on the stored permits. Raises redis.exceptions.RedisError."""
    issuers: set[str] = set()
    strange: dict[str, list[str]] = {}
    count = 0
    for permit in standing_permits(redis):
        count += 1
        why = _why_strange(permit, signing_key)
        if why:
            strange.setdefault(why, []).append(permit.plan_id)
        else:
            issuers.add(read_json(_PERMIT, permit.text).issued_by)
    for why, plans in strange.items():
        shown = ", ".join(plan[:40] for plan in plans[:_MOST_NAMED])
        yield failed(_PERMITS, f"{len(plans)} of {count} permits: {why} ({shown})", _ONE_ISSUER)
    if not strange:
        by = f", issued by {', '.join(sorted(issuers))}" if issuers else ""
        yield ok(_PERMITS, f"{count} permits now, each with its decision{by}" if count else "no permit now")


def _why_strange(permit: StandingPermit, signing_key: Secret | None) -> str:
    try:
        issued = read_json(_PERMIT, permit.text)
    except msgspec.DecodeError:
        return "they cannot be read as permits"
    if issued.plan_id != permit.plan_id:
        return "they name another plan than their key"
    mark = None if permit.mark is None else permit.mark.decode(errors="replace")
    if not isinstance(decode_mark(mark), PlanMark):
        return "this service never decided their plan"
    if permit.ttl_ms == -1:
        return "they never expire"
    if signing_key is not None:
        try:
            verified(permit.text, signing_key.reveal().encode())
        except SignatureMissingError:
            return "they are not signed, though P33_PERMIT_SIGNING_KEY is set here"
        except SignatureWrongError:
            return "they are not signed with P33_PERMIT_SIGNING_KEY as it is set here"
    return ""


def access_finding(redis: RedisReading) -> Finding:
    """Return which users may write the ledger by Redis's access rules. Raises redis.exceptions.RedisError."""
    try:
        may = sorted(user for user in map(text_of, redis.client.acl_users()) if _may_write(redis, user))
        clients: list[Mapping[str, str]] = redis.client.client_list()  # type: ignore[assignment]
    except ResponseError as error:
        meaning = redis.meaning(error, "ACL")
        # Redis 6.2 has no ACL DRYRUN.
        if isinstance(meaning, WrongRightsError) and "DRYRUN" not in str(error):
            return not_allowed(_ACCESS, meaning)
        return skipped(_ACCESS, f"this Redis does not show who may write ({error}): ACL DRYRUN came with 7.0")
    if len(may) == 1 and may != ["default"]:
        return ok(_ACCESS, f"of all Redis users only {may[0]} may write ledgers")
    who = "every client that is the user default" if may == ["default"] else f"the users {', '.join(may)}"
    return warning(_ACCESS, f"{who} may write ledgers and permits{_connected(clients, may)}", _OWN_USERS)


def _may_write(redis: RedisReading, user: str) -> bool:
    rules: Mapping[str, Any] = redis.client.acl_getuser(user)  # type: ignore[assignment]
    if "on" not in rules.get("flags", ()):
        return False
    answer: Any = redis.client.acl_dryrun(user, "HSET", redis.keys.ledger("BTCUSDT"), "last_known_amt", "0")
    return text_of(answer) == "OK"


def _connected(clients: list[Mapping[str, str]], users: list[str]) -> str:
    """Return the connections of `users`, counted by client name or host."""
    names: dict[str, int] = {}
    for client in clients:
        if client.get("user", "default") in users:
            host = client.get("addr", "").rpartition(":")[0]
            name = client.get("name") or ("a socket" if host.startswith("/") else host) or "?"
            names[name] = names.get(name, 0) + 1
    detail = ", ".join(f"{count} of {name}" for name, count in sorted(names.items())[:6])
    return f" (connections now: {detail})" if detail else ""
