"""An explanation as text, in sections. All of it is printable: no control characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from brain.decisions.case import Case
from brain.moment import iso_utc
from brain.numbers import plain
from brain.plans.check_results import CheckResult, Outcome
from brain.plans.permit import OpenPermit
from explanation.compared_numbers import in_words, value_text
from explanation.deciding import Explanation
from explanation.governing import Governing
from explanation.printable import printable
from explanation.timeline import Happening
from permit_gate.sources import P33

_OUTCOMES = {Outcome.PASSED: "passed", Outcome.DENIED: "DENIED", Outcome.SKIPPED: "not for it"}
_RULES = {
    "stale_threshold_sec": "P33_STALE_THRESHOLD_SEC",
    "cooldown_sec": "P33_COOLDOWN_SEC",
    "qty_tolerance_pct": "P33_QTY_TOLERANCE_PCT",
    "plan_max_age_sec": "P33_PLAN_MAX_AGE_SEC",
    "decision_ttl_sec": "P33_DECISION_TTL_SEC",
    "permit_ttl_sec": "P33_PERMIT_TTL",
    "execution_grace_sec": "P33_EXECUTION_GRACE_SEC",
}

Row = tuple[str, str]


class CheckRow(msgspec.Struct, frozen=True):
    """A check that was reached: `outcome` is `result` in a word, `compared` the numbers."""

    name: str
    result: Outcome
    outcome: str
    compared: str
    reason: str = ""


class GovernorSection(msgspec.Struct, frozen=True, kw_only=True):
    """The Governor's judgement; `answer` is GRANT or REFUSE, empty where its record cannot be read."""

    answer: str
    granted: bool
    reason: str
    finding: str
    advice: str
    notes: tuple[str, ...]
    facts: tuple[Row, ...]
    checks: tuple[CheckRow, ...]
    not_reached: tuple[str, ...]


class Sections(msgspec.Struct, frozen=True, kw_only=True):
    """The sections of an explanation; some may be empty. All of it is printable.

    `answer` is ALLOW or DENY, or without a decision the plan's progress; `order` is what may be executed,
    such as `SELL 0.028`.
    """

    plan_id: str
    symbol: str
    decided: bool
    allowed: bool
    answer: str
    reason: str
    order: str
    finding: str
    advice: str
    notes: tuple[str, ...]
    when: tuple[Row, ...]
    published: tuple[Row, ...]
    checks: tuple[CheckRow, ...]
    not_reached: tuple[str, ...]
    based_on: tuple[Row, ...]
    permit: tuple[Row, ...]
    chain: tuple[Row, ...] = ()
    timeline: tuple[Happening, ...] = ()
    execution: tuple[Row, ...] = ()
    governor: GovernorSection | None = None


def sections_of(explained: Explanation) -> Sections:
    """Format an explanation."""
    decision = explained.decision
    order = ""
    if decision is not None and decision.allow and decision.quantity:
        order = f"{decision.order_side} {plain(decision.quantity)}"
    return Sections(
        plan_id=printable(explained.plan_id),
        symbol=printable(explained.symbol or ""),
        decided=decision is not None,
        allowed=decision is not None and decision.allow,
        answer=str(explained.state) if decision is None else "ALLOW" if decision.allow else "DENY",
        reason="" if decision is None else decision.reason.value,
        order=order,
        finding=printable(explained.finding),
        advice=printable(explained.advice),
        notes=tuple(map(printable, explained.notes)),
        when=_rows(_times(explained)),
        published=_rows((name, value) for name, value in explained.fields.items() if name != "plan_id"),
        checks=tuple(_reached(explained.checks)),
        not_reached=tuple(check.name for check in explained.checks if check.outcome is Outcome.NOT_REACHED),
        based_on=() if explained.case is None else _rows(_facts(explained.case)),
        permit=_rows(_permit(explained)),
        chain=_rows(_chain(explained)),
        timeline=_timeline(explained),
        execution=_rows(_execution(explained)),
        governor=None if isinstance(explained.governor, msgspec.UnsetType) else _governor(explained.governor),
    )


def _rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple((printable(name), printable(value)) for name, value in rows)


def _times(explained: Explanation) -> Iterator[Row]:
    if explained.published_at:
        yield "published", explained.published_at
    if explained.decided_at:
        after = explained.decided_after_ms
        later = "" if after is None else f", {after} ms later"
        yield "decided", f"{explained.decided_at}{later}, by {explained.issued_by or 'unknown'}"
    for error in explained.dead_letters:
        yield "dead letter", error


def _reached(checks: list[CheckResult]) -> Iterator[CheckRow]:
    for check in checks:
        if check.outcome is Outcome.NOT_REACHED:
            return
        yield CheckRow(
            check.name,
            check.outcome,
            _OUTCOMES[check.outcome],
            printable(in_words(check.compared)),
            check.reason or "",
        )


def _governor(governing: Governing) -> GovernorSection:
    judgement = governing.judgement
    granted = judgement is not None and judgement.granted
    return GovernorSection(
        answer="" if judgement is None else "GRANT" if granted else "REFUSE",
        granted=granted,
        reason="" if judgement is None else printable(judgement.reason),
        finding=printable(governing.finding),
        advice=printable(governing.advice),
        notes=tuple(map(printable, governing.notes)),
        facts=_rows(_judged(governing)),
        checks=tuple(_reached(governing.checks)),
        not_reached=tuple(check.name for check in governing.checks if check.outcome is Outcome.NOT_REACHED),
    )


def _judged(governing: Governing) -> Iterator[Row]:
    shadow = ", in its shadow: it permits nothing" if governing.shadow else ""
    yield "judged", f"{governing.judged_at}, by {governing.issued_by or 'unknown'}{shadow}"
    judgement = governing.judgement
    if judgement is not None:
        yield "kind", f"{judgement.kind} ({judgement.eval_type})"
        yield "kill score", "none" if governing.kill_score is None else repr(governing.kill_score)
        if judgement.z is not None:
            cutoff = "none" if judgement.cutoff is None else repr(judgement.cutoff)
            yield "z, cut-off", f"{judgement.z!r}, {cutoff}"
        if judgement.stats is not None:
            stats = judgement.stats
            yield "statistics", f"{stats.n} kill scores, mean {stats.mean:.6g}, variance {stats.var:.6g}"
        if judgement.qty_scale < 1:
            yield "qty_scale", f"{judgement.qty_scale:.6g}"
        if judgement.disarms:
            yield "auto-disarm", judgement.disarms
        yield "trading", governing.trading_state or "unknown"
    if governing.permit_now is not msgspec.UNSET:
        yield "permit now", _spaced(governing.permit_now or "gone: consumed or expired, or there was none")
    if governing.grant_now is not msgspec.UNSET:
        yield "live grant", governing.grant_now or "none"


def _spaced(permit: str) -> str:
    """Return JSON with a space between its members, for lines to break at; other text as it is."""
    try:
        return msgspec.json.format(permit, indent=0)
    except msgspec.DecodeError:
        return permit


def _facts(case: Case) -> Iterator[Row]:
    snapshot = case.snapshot
    if snapshot is None:
        yield "exchange", "no snapshot"
    else:
        for row in snapshot.legs:
            entered = f" at {plain(row.entry_price)}" if row.amount and row.entry_price is not None else ""
            yield "exchange", f"{row.leg} {plain(row.amount)}{entered}"
        limits = "" if snapshot.trusted else ", not trusted: disputed, or from before the stream was lost"
        yield "as of", f"{iso_utc(snapshot.ts_epoch_ms)}, {value_text(snapshot.age_sec)} s old{limits}"
    ledger = case.ledger
    if ledger.last_known_amt is None:
        yield "ledger", "missing"
    else:
        fields = msgspec.structs.asdict(ledger).items()
        yield "ledger", ", ".join(f"{name} {value}" for name, value in fields if value is not None)
    yield "hold", "on" if case.hold else "none"
    yield "cooldown key", "none" if case.cooldown_text is None else case.cooldown_text or "empty"
    yield "open permits", "; ".join(map(_open_permit, case.open_permits)) or "none"
    rules = case.symbol_rules
    if rules is None:
        yield "exchangeInfo", "does not know the symbol"
    else:
        trading = "trading" if rules.trading else "not trading"
        yield (
            "exchangeInfo",
            f"{trading}, market step {plain(rules.market_step)}, minimum {plain(rules.market_min)}, "
            f"maximum {plain(rules.market_max)}",
        )
    yield "allowlist", "has the symbol" if case.in_allowlist else "does not have the symbol"
    yield "position mode", {True: "hedge", False: "one-way", None: "unknown"}[case.hedge_mode]
    if case.redis_changed_ms:
        yield "Redis changed", iso_utc(case.redis_changed_ms)
    if case.evicted_ms:
        yield "Redis evicted keys", iso_utc(case.evicted_ms)
    settings = msgspec.structs.asdict(case.rules).items()
    yield "settings", " ".join(f"{_RULES.get(name, name)}={value_text(value)}" for name, value in settings)


def _open_permit(permit: OpenPermit) -> str:
    return (
        f"plan {permit.plan_id}: {permit.kind} {permit.order_side} {plain(permit.remaining)} on {permit.leg}"
    )


def _permit(explained: Explanation) -> Iterator[Row]:
    if bytes(explained.permit) != b"null":
        # The same members with a space between them, for lines to break at.
        yield "as issued", msgspec.json.format(bytes(explained.permit), indent=0).decode()
    now = explained.permit_now
    signed = {None: "", True: ", signed", False: ", not signed"}[now.signed]
    yield "now", f"{now.state}{signed}"
    if explained.reservation is not None:
        until = iso_utc(explained.reservation.expires_ms)
        yield "in flight", f"still counts for {plain(explained.reservation.remaining)}, until {until} at most"
        if explained.unknown_since is not None:
            yield (
                "outcome",
                f"unknown since {explained.unknown_since}: the order may have been filled; ends by a later "
                f"result, by the exchange's events of the order, or at {until} at latest",
            )


def _chain(explained: Explanation) -> Iterator[Row]:
    if not isinstance(explained.chain, msgspec.UnsetType):
        for part in explained.chain:
            yield part.name, part.text


def _timeline(explained: Explanation) -> tuple[Happening, ...]:
    execution = explained.execution
    if isinstance(execution, msgspec.UnsetType):
        return ()
    return tuple(msgspec.structs.replace(each, what=printable(each.what)) for each in execution.timeline)


def _execution(explained: Explanation) -> Iterator[Row]:
    execution = explained.execution
    if isinstance(execution, msgspec.UnsetType):
        return
    for issuer, text in execution.permits.items():
        if issuer != P33.name:  # which the section above has
            yield f"{issuer}'s permit", text
    if execution.record:
        shown = (f"{name} {value}" for name, value in execution.record.items() if value)
        yield "record now", ", ".join(shown)
    if execution.held:
        yield "hold", "the symbol is held for this order"
