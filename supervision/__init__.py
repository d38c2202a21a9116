"""Keeps a tree of actors running, in the manner of OTP, on trio.

`specs` says what to keep running and `tree` runs it: `branch` is one supervisor at work, `child` one actor.
`heartbeat` is all that an actor sees of this, `events` is what the world is told. Nothing here knows what the
actors do.
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
