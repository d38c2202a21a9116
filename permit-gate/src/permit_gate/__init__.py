"""Gate for executors: waits for the permits of a plan and consumes all of them, or none.

    gate = PermitGate("redis://localhost:6379/0", GateRules(consumer="apply-layer"))
    answer = gate.acquire(plan_id, symbol, [GOVERNOR, P33])
    if isinstance(answer, Granted):
        quantity = answer.terms.order_quantity(plan_quantity)
    else:
        log.warning("%s: %s", plan_id, answer)  # permit_timeout (missing: Governor)

`PermitGate` blocks its thread; `permit_gate.asyncio_gate.AsyncioPermitGate` is the same for asyncio and
`permit_gate.trio_gate.open_trio_gate` for trio. None raises for errors of Redis or of a permit: the answer is
`Granted`, or `Refused` with its reason.
"""

from permit_gate.answers import Granted, Kind, Permit, Refusal, Refused, Terms
from permit_gate.ask import Ask
from permit_gate.blocking_gate import PermitGate
from permit_gate.rules import GateRules
from permit_gate.signature import sign
from permit_gate.sources import GOVERNOR, P33, PermitSource

__all__ = [
    "GOVERNOR",
    "P33",
    "Ask",
    "GateRules",
    "Granted",
    "Kind",
    "Permit",
    "PermitGate",
    "PermitSource",
    "Refusal",
    "Refused",
    "Terms",
    "sign",
]
