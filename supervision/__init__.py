"""Supervision tree of actors on Trio, in the manner of OTP.

`specs` declares the tree and `tree` runs it: `branch` is a running supervisor, `child` a running actor. An
actor sees its `heartbeat` only; `events` go to log and status. Nothing here depends on what actors do.
Restarts: a failed child waits for its back-off (`backoff`) and starts again, up to the limit of its
supervisor (`intensity`). Beyond it the supervisor fails itself, up to the root, where the process ends.
"""

from supervision.backoff import Backoff
from supervision.events import (
    ChildCrashed,
    ChildStalled,
    ChildStarted,
    ChildStopped,
    Escalated,
    NodeStatus,
    SupervisionEvent,
)
from supervision.failures import RestartIntensityExceeded, Returned, Stalled
from supervision.heartbeat import Heartbeat
from supervision.intensity import Intensity
from supervision.specs import ChildSpec, SupervisorSpec
from supervision.tree import Tree

__all__ = [
    "Backoff",
    "ChildCrashed",
    "ChildSpec",
    "ChildStalled",
    "ChildStarted",
    "ChildStopped",
    "Escalated",
    "Heartbeat",
    "Intensity",
    "NodeStatus",
    "RestartIntensityExceeded",
    "Returned",
    "Stalled",
    "SupervisionEvent",
    "SupervisorSpec",
    "Tree",
]
