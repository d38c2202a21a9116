"""Plans that this process has allowed, for as long as their marks live."""

from __future__ import annotations

from brain.identifiers import EntryId, PlanId

#: More than are allowed within the life of a plan's mark, but in a flood.
_MOST_ALLOWED = 20_000


class AllowedPlans:
    """Entries under which plans were allowed: the same plan under another entry is a repetition."""

    def __init__(self, mark_ttl_ms: float) -> None:
        self._mark_ttl_ms = mark_ttl_ms
        #: By plan: the entry under which it was allowed, and until when its mark lives (Redis's clock, ms).
        self._allowed: dict[PlanId, tuple[EntryId, float]] = {}

    def __len__(self) -> int:
        return len(self._allowed)

    def add(self, plan_id: PlanId, entry_id: EntryId, now_ms: int) -> None:
        """Record a plan that was allowed at `now_ms` (Redis's clock). The oldest of 20,000 is dropped."""
        self._allowed[plan_id] = entry_id, now_ms + self._mark_ttl_ms
        if len(self._allowed) > _MOST_ALLOWED:
            del self._allowed[next(iter(self._allowed))]

    def has_other(self, plan_id: PlanId, entry_id: EntryId, now_ms: int) -> bool:
        """Return True if the plan was allowed under another entry, and its mark lives at `now_ms`."""
        known = self._allowed.get(plan_id)
        return known is not None and known[0] != entry_id and now_ms < known[1]
