"""Every reason in words, for a person who asks why: what was found, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from brain.plans.permit import Reason


class ReasonText(NamedTuple):
    """`finding`: one sentence. `advice`: where to look, or what has to change; empty where nothing has to."""

    finding: str
    advice: str = ""


REASON_TEXTS: Final[Mapping[Reason, ReasonText]] = {
    Reason.SANITY_CHECKS_PASSED: ReasonText(
        "Every check passed: the plan may close up to the safe quantity of the position."
    ),
    Reason.OPEN_PERMIT_GRANTED: ReasonText(
        "Every check passed: the plan may open or add to the position, with its own quantity."
    ),
    Reason.RECONCILE_CLOSE_BYPASS: ReasonText(
        "The plan removes a drift while P3.4 holds the symbol, and keeps within the guardrails for that."
    ),
    Reason.NO_QUANTITY_CHANGE: ReasonText(
        "The plan only moves a stop loss: it is allowed, and nothing may be executed for it."
    ),
    Reason.MALFORMED_PLAN: ReasonText(
        "The plan could not be understood: a field is missing, unreadable, or contradicts another.",
        "The publisher has to mend the plan and publish it under a new plan id.",
    ),
    Reason.PLAN_EXPIRED: ReasonText(
        "The plan was too old when it could be answered: nobody waited for its permit any more.",
        "If plans that are new expire, look for a standstill of the service or of Redis (restarts, lag); "
        "if their timestamp is old, somebody publishes old plans again.",
    ),
    Reason.PLAN_ALREADY_SETTLED: ReasonText(
        "A result for this plan came before its decision: somebody executed or gave it up without a permit.",
        "Find out who published that result in apply.result; an executor must not act before the permit.",
    ),
    Reason.EVALUATION_FAILED: ReasonText(
        "Deciding this plan failed three times in a row, so it was given up, that it may not stop the rest.",
        "This is a fault of the service: its log has the error, and apply.plan.dead the plan.",
    ),
    Reason.RECOVERING: ReasonText(
        "Redis restarted or failed over, and what it acknowledged last may be lost: no plan from before that "
        "is allowed, and for one permit lifetime nothing is opened or added.",
        "It ends by itself; new plans that close positions are not affected.",
    ),
    Reason.STATE_CONTENDED: ReasonText(
        "What the decision rests on (hold, ledger, cooldown, open permits) changed each time before the "
        "decision could be written.",
        "Look for somebody who writes the symbol's ledger, hold or cooldown key many times a second.",
    ),
    Reason.SYMBOL_NOT_ON_EXCHANGE: ReasonText(
        "The exchange does not trade this symbol, and there is no position in it to get out of.",
        "Check the symbol's spelling and its status in exchangeInfo.",
    ),
    Reason.SYMBOL_NOT_IN_ALLOWLIST: ReasonText(
        "The symbol is not on the allowlist, and the plan does not close an existing position.",
        "The Universe Service has to list it (cfg:universe:active), or P33_ALLOWLIST where that counts.",
    ),
    Reason.RECONCILE_HOLD_ACTIVE: ReasonText(
        "P3.4, the Reconcile Engine, holds this symbol: it has found the ledger and the exchange apart.",
        "The hold ends when P3.4 is done or its 300 s have passed; reconcile.events says what diverged.",
    ),
    Reason.NO_EXCHANGE_SNAPSHOT: ReasonText(
        "Nothing is known of the position on the exchange, and it could not be read in time either.",
        "Look at /readyz and /status: stream, request weight, bans; and at P33_ONDEMAND_SNAPSHOT.",
    ),
    Reason.STALE_EXCHANGE_STATE: ReasonText(
        "What is known of the position is too old, or no longer to be trusted, to act on.",
        "Look at /status: the stream, its proofs and the audits; REST reads may be banned or out of weight.",
    ),
    Reason.NO_POSITION: ReasonText("The plan closes or protects a position, and there is none."),
    Reason.REDUCE_ONLY_SIDE_MISMATCH: ReasonText(
        "The order may only reduce the position, and its side would not.",
        "The publisher took the position to be on the other side: SELL reduces a LONG, BUY a SHORT.",
    ),
    Reason.WOULD_FLIP_POSITION: ReasonText(
        "The order is against the position and larger than it: what is left over would open the other side.",
        "Close the position first, or publish a quantity that the position covers.",
    ),
    Reason.RECONCILE_REQUIRED_SIDE_MISMATCH: ReasonText(
        "The exchange and our own ledger do not agree on which side the position is.",
        "reconcile.events shows what moved the exchange; P3.4 repairs it, or an operator corrects "
        "last_known_amt of the ledger by hand.",
    ),
    Reason.RECONCILE_REQUIRED_QTY_MISMATCH: ReasonText(
        "The exchange and our own ledger differ in the amount by more than is tolerated, or there is no "
        "ledger to go by.",
        "reconcile.events shows what moved the exchange; P3.4 repairs it, or an operator corrects "
        "last_known_amt of the ledger by hand.",
    ),
    Reason.COOLDOWN_IN_FLIGHT: ReasonText(
        "The symbol's last execution is less than one cooldown ago, or its cooldown key cannot be read.",
        "Wait for the rest of the cooldown (P33_COOLDOWN_SEC). If the key cannot be read, waiting does not "
        "help: delete it, or set it to epoch milliseconds.",
    ),
    Reason.IN_FLIGHT_PERMIT: ReasonText(
        "Permits that were granted before, and are not settled yet, already cover this.",
        "They end with their results, with executed=False, or by themselves after their lifetime and grace.",
    ),
    Reason.BELOW_MIN_QTY: ReasonText(
        "Rounded down to the exchange's step size, less is left than the smallest order that it takes."
    ),
    Reason.UNKNOWN_ACTION: ReasonText(
        "The plan closes something, but neither its action nor a quantity says how much.",
        "The publisher has to use a known action (FULL…, …75, …50) or give a quantity.",
    ),
    Reason.POSITION_SIDE_REQUIRED: ReasonText(
        "The account is in hedge mode, and the plan does not say whether it means the LONG or the SHORT leg.",
        "The publisher has to set positionSide.",
    ),
    Reason.GUARDRAIL_VIOLATION: ReasonText(
        "The plan claims to be a RECONCILE_CLOSE and is not within the guardrails for one.",
        "It needs a hold, reduceOnly, a market order, reason=reconcile_drift, and no more than the position.",
    ),
}
