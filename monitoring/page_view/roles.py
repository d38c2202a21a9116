"""Roles on the page."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitoring.status.document import RolesShown
from page.content import Role, Tone


def page_roles(shown: RolesShown | msgspec.UnsetType) -> Iterator[Role]:
    """Yield the roles that are switched on."""
    if isinstance(shown, msgspec.UnsetType):
        return
    universe = shown.universe
    if not isinstance(universe, msgspec.UnsetType):
        tone = Tone.ASIDE if universe.stale is None else Tone.WATCH if universe.stale else Tone.GOOD
        yield Role("universe", universe.mode, tone, universe.doing)
    executor = shown.executor
    if not isinstance(executor, msgspec.UnsetType):
        tone = Tone.ASIDE if executor.open_orders is None else Tone.GOOD
        if executor.waits_for is not None:
            tone = Tone.WATCH
        yield Role("executor", executor.mode, tone, executor.doing)
