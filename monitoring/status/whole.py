"""`/status` before its long lists are cut: what fires is computed from all of it."""

from __future__ import annotations

import msgspec

from monitoring.status.document import StatusDocument

_MOST_CASES = 50
_MOST_MISMATCHES = 100
_MOST_PLANS = 20


class WholeStatus(msgspec.Struct, frozen=True):
    """The document with every case, mismatch and plan of unknown outcome.

    `faults`: the reasons why plans cannot be decided here, but for those that a standby in order has.
    """

    document: StatusDocument
    faults: list[str]


def cut(document: StatusDocument) -> StatusDocument:
    """Return the document as it is shown: long lists end after their first members."""
    unknown, own, roles = document.unknown_executions, document.open_executions, document.roles
    if not isinstance(own, msgspec.UnsetType):
        own = msgspec.structs.replace(own, executions=own.executions[:_MOST_PLANS])
    if not isinstance(roles, msgspec.UnsetType) and not isinstance(roles.reconcile, msgspec.UnsetType):
        cases = roles.reconcile.cases[:_MOST_CASES]
        roles = msgspec.structs.replace(
            roles, reconcile=msgspec.structs.replace(roles.reconcile, cases=cases)
        )
    mismatches = document.ledgers.mismatches[:_MOST_MISMATCHES]
    return msgspec.structs.replace(
        document,
        ledgers=msgspec.structs.replace(document.ledgers, mismatches=mismatches),
        unknown_executions=msgspec.structs.replace(unknown, executions=unknown.executions[:_MOST_PLANS]),
        open_executions=own,
        roles=roles,
    )
