"""The headline of the operator page: the state of the service in one line, with reasons or warnings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitoring.ledger_comparison import IN_FLIGHT_SEC
from monitoring.status.bridge import bridge_problems
from monitoring.status.document import StatusDocument
from monitoring.status.executions import open_executions_problems
from monitoring.status.governor import governor_problems
from monitoring.status.intelligence import intelligence_problems
from monitoring.status.reconcile import reconcile_problems, with_a_case
from page.content import Actor, Holdings, HoldsAndCooldowns, Overall, Weight
from page.tone import Tone
from page.words import duration
from supervision import NodeStatus

_RECENTLY_SEC = 300.0
_NEARLY = 0.8
_TONES = {"running": Tone.GOOD, "waiting": Tone.WATCH, "backing_off": Tone.BAD, "stopped": Tone.BAD}


class Observed(msgspec.Struct, frozen=True):
    """The inputs of the headline."""

    status: StatusDocument
    tree: Actor
    holdings: Holdings
    holds_and_cooldowns: HoldsAndCooldowns
    weight: Weight


def overall(observed: Observed) -> Overall:
    """Return `Ready`, `Ready, 2 warnings`, `Not ready` or `Standby`, with the reasons."""
    status = observed.status
    if not status.ready:
        lease = status.lease
        standby = lease.holder is not None and not lease.held and lease.namesake is None
        if len(status.reasons) == 1 and standby:
            return Overall(Tone.ASIDE, "Standby", tuple(status.reasons))
        return Overall(Tone.BAD, "Not ready", tuple(status.reasons))
    warnings = tuple(_warnings(observed))
    if not warnings:
        return Overall(Tone.GOOD, "Ready", ())
    number = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    return Overall(Tone.WATCH, f"Ready, {number}", warnings)


def actor(node: NodeStatus) -> Actor:
    """Return a supervisor or actor as the page shows it."""
    return Actor(
        name=node.name,
        state=node.state.replace("_", " "),
        tone=_TONES.get(node.state, Tone.WATCH),
        waiting_for=node.waiting_for,
        restarts=node.restarts,
        last_reason=node.last_reason,
        since_sec=node.since_sec,
        children=tuple(map(actor, node.children)),
    )


def _warnings(observed: Observed) -> Iterator[str]:
    status, weight = observed.status, observed.weight
    if status.exchange.trouble is not None:
        yield status.exchange.trouble
    if not status.stream.trusted:
        why = f": {status.stream.last_loss}" if status.stream.last_loss else ""
        yield f"the private stream is not trusted{why}"
    yield from status.clocks.troubles
    if status.append_only is False:
        yield "Redis keeps no append-only file: after a crash of Redis a plan could be allowed twice"
    eviction = status.eviction
    if eviction is not None and eviction.may_evict:
        yield (
            f"Redis may evict keys of this service (maxmemory-policy {eviction.policy}): it has evicted "
            f"{eviction.evicted_keys} keys so far"
        )
    if status.snapshots.stale:
        yield f"{status.snapshots.stale} of {status.snapshots.count} snapshots are stale or not trusted"
    if uncovered := status.snapshots.uncovered.count:
        names = _some([each.symbol for each in status.snapshots.uncovered.symbols], uncovered)
        number = "a symbol" if uncovered == 1 else f"{uncovered} symbols"
        yield f"the private stream does not cover {number}: {names}"
    unreadable = status.exchange.unreadable
    if unreadable.count:
        names = _some([each.symbol for each in unreadable.symbols], unreadable.count)
        number = "a symbol" if unreadable.count == 1 else f"{unreadable.count} symbols"
        yield f"{number} cannot be read, plans are denied for {names}"
    if weight.own_used > weight.own_budget * _NEARLY:
        yield f"{weight.own_used} of {weight.own_budget} request weight is used"
    allowlist = status.allowlist
    if allowlist is not None and (allowlist.stale or allowlist.count == 0):
        yield "the allowlist is empty" if allowlist.count == 0 else "the allowlist is stale"
    roles = status.roles
    reconcile = msgspec.UNSET if isinstance(roles, msgspec.UnsetType) else roles.reconcile
    cases = with_a_case(reconcile)
    apart = [
        row.symbol
        for row in observed.holdings.rows
        if row.apart_sec is not None and row.apart_sec >= IN_FLIGHT_SEC and row.symbol not in cases
    ]
    if apart:
        yield f"ledger and exchange differ for {_some(apart, len(apart))}"
    if unknown := status.unknown_executions.count:
        names = _some([each.symbol for each in status.unknown_executions.executions], unknown)
        yield f"unknown executions: {unknown} ({names})"
    yield from open_executions_problems(status.open_executions)
    if not isinstance(roles, msgspec.UnsetType):
        yield from governor_problems(roles.governor)
        yield from intelligence_problems(roles.p35)
        yield from bridge_problems(roles.intent_bridge)
    yield from reconcile_problems(reconcile)
    for waiting in status.ledgers.waiting_results:
        yield f"a result of {waiting.symbol} is not booked: {waiting.why}"
    yield from _restarts(observed.tree)
    yield from observed.holds_and_cooldowns.problems[:3]
    if observed.holds_and_cooldowns.unread is not None:
        yield f"holds and cooldowns could not be read: {observed.holds_and_cooldowns.unread}"


def _some(symbols: list[str], count: int) -> str:
    """Join the first three of `count` symbols, and the number of the others."""
    more = f" and {count - 3} more" if count > 3 else ""
    return f"{', '.join(symbols[:3])}{more}"


def _restarts(tree: Actor) -> Iterator[str]:
    if tree.state == "backing off":
        yield f"{tree.name} has failed and is about to be started again: {tree.last_reason}"
    elif tree.restarts and tree.last_reason and (tree.since_sec or 0.0) < _RECENTLY_SEC:
        yield f"{tree.name} was restarted {duration(tree.since_sec)} ago: {tree.last_reason}"
    for child in tree.children:
        yield from _restarts(child)
