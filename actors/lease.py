"""Waiting for what must be there before an actor can work, said in a way that operators can read."""

from __future__ import annotations

from typing import TypeVar

from actors.redis_trouble import RedisTrouble
from channels import LatestValue, Lease
from supervision import Heartbeat

T = TypeVar("T")


async def lease_fence(lease: LatestValue[Lease], heartbeat: Heartbeat, trouble: RedisTrouble) -> str:
    """The fencing token of our lease, once it is ours. Until then `trouble` is no trouble of this actor."""
    while lease.value is None or lease.value.fence is None:
        trouble.over()
        holder = f", held by {lease.value.holder}" if lease.value else ""
        with heartbeat.waiting_for(f"the lease{holder}"):
            await lease.changed()
    return lease.value.fence


async def present(channel: LatestValue[T], what: str, heartbeat: Heartbeat) -> T:
    """The channel's value, once there is one."""
    if channel.value is None:
        with heartbeat.waiting_for(what):
            return await channel.get()
    return channel.value
