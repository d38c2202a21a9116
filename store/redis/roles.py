"""Parts of the store on a real Redis that are those of the other roles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from store.keys import PlanStream
from store.redis.bridge import RedisBridge
from store.redis.client import RedisLink
from store.redis.consumer_group import RedisConsumerGroup
from store.redis.execution import RedisExecutions
from store.redis.governor import RedisGovernor
from store.redis.history import RedisHistory
from store.redis.intelligence import RedisIntelligence
from store.redis.letters import RedisLetters
from store.redis.operators import RedisOperators
from store.redis.reconcile import RedisReconcile


class MakesGroup(Protocol):
    """Maker of a role's group on a stream, whose blocking reads have a client."""

    def __call__(self, reads: RedisLink, stream: PlanStream, /) -> RedisConsumerGroup: ...


class RedisRoles(
    RedisExecutions,
    RedisGovernor,
    RedisOperators,
    RedisLetters,
    RedisReconcile,
    RedisBridge,
    RedisIntelligence,
    RedisHistory,
):
    """`ServiceStore` less the guard's part. `RedisStore` has the links."""

    def _open_roles(
        self,
        group: MakesGroup,
        readers: Sequence[RedisLink],
        *,
        governor_shadow: bool,
        reconcile_shadow: bool,
        bridge_shadow: bool,
    ) -> None:
        """Open the groups and keys of each role; every role that reads streams has a client for that."""
        executor, governor, bridge, intelligence = readers
        self._open_executions(partial(group, executor), executor)
        self._open_governor(partial(group, governor), shadow=governor_shadow)
        self._open_reconcile(shadow=reconcile_shadow)
        self._open_bridge(partial(group, bridge), shadow=bridge_shadow)
        self._open_intelligence(partial(group, intelligence))
