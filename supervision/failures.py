"""Failures of children, and their texts."""

import traceback

_REASON_LENGTH = 500


class Stalled(Exception):  # noqa: N818 - a state of the child, reported by this name
    """Child made no progress within its stall limit and was cancelled."""


class Returned(Exception):  # noqa: N818
    """Permanent child returned."""


class RestartIntensityExceeded(Exception):  # noqa: N818
    """Supervisor reached its restart limit; the last failure of the child is the cause.

    `supervisor` and `child` are paths in the tree.
    """

    def __init__(self, supervisor: str, child: str, restarts: int, within_sec: float) -> None:
        super().__init__(f"{supervisor}: {child} failed after {restarts} restarts within {within_sec:g} s")
        self.supervisor = supervisor
        self.child = child


def unwrapped(failure: Exception) -> Exception:
    """Return the exception inside groups of one, which each nursery adds."""
    while isinstance(failure, ExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure


def type_name(failure: Exception) -> str:
    """Return the qualified name, without module for built-ins: redis-py and others reuse built-in names."""
    kind = type(failure)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def reason_of(failure: Exception) -> str:
    """Return one line for log or status, with each exception of a group."""
    if isinstance(failure, Stalled | Returned):
        return str(failure)
    if isinstance(failure, ExceptionGroup):
        reason = "; ".join(reason_of(unwrapped(inner)) for inner in failure.exceptions)
    else:
        # Unlike str(), this survives an exception whose own __str__ raises.
        reason = " ".join("".join(traceback.format_exception_only(failure)).split())
    return reason if len(reason) <= _REASON_LENGTH else reason[: _REASON_LENGTH - 1] + "…"
