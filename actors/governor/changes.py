"""Ends of grants, and steps towards them, written together."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from actors.governor.state import GovernedState
from brain.governor import inputs
from brain.governor.grants import Grant, grant_text
from brain.governor.settling import GrantEffect
from brain.identifiers import EntryId, FencingToken
from brain.numbers import EXACT, ZERO, plain
from store.governor_protocol import GovernorStore
from store.governor_records import GovernedSymbol, GrantChange

#: Changes in one write.
MOST_CHANGES = 64
_NONE = EntryId("")


class GrantChanges:
    """Collects effects on grants. Each is applied to the state at once, for those that come behind it.

    Used under the state's lock, from `begin` to the end of `write`.
    """

    def __init__(self, store: GovernorStore, state: GovernedState) -> None:
        self._store = store
        self._state = state
        self._changes: list[GrantChange] = []
        self._before = ""

    def begin(self) -> None:
        """Forget what was not written."""
        self._changes.clear()
        self._before = self._state.account.version

    @property
    def full(self) -> bool:
        """True when no more fit into one write."""
        return len(self._changes) >= MOST_CHANGES

    def add(
        self,
        grant: Grant,
        effect: GrantEffect,
        *,
        entry_id: EntryId = _NONE,
        events: Sequence[Sequence[str]] = (),
    ) -> None:
        """Add an effect. `entry_id`: the result that is acknowledged with it, empty for none.

        Sums of another day than today are left as they are.
        """
        state, symbol = self._state, grant.symbol
        stored, text = state.symbols[symbol], state.text_of(grant.plan_id)
        becomes = "" if effect.becomes is None else grant_text(effect.becomes)
        today = effect.date == state.date
        opened = _changed(stored.opened, effect.opened) if today else None
        reduced = _changed(stored.reduced, effect.reduced) if today else None
        self._changes.append(
            GrantChange(
                entry_id=entry_id,
                plan_id=grant.plan_id,
                symbol=symbol,
                reservation=text,
                becomes=becomes,
                uncount=effect.uncount,
                date=effect.date,
                opened=opened,
                reduced=reduced,
                last_exec_sec=effect.last_exec,
                only_if_unconsumed=effect.only_if_unconsumed,
                events=events,
            )
        )
        state.symbols[symbol] = _after(stored, grant, effect, opened, reduced)
        if effect.becomes is None:
            state.ended(grant.plan_id)
        else:
            state.granted(effect.becomes, becomes)

    async def write(self, fence: FencingToken, now_ms: int) -> int | None:
        """Write what was added; return how many are dealt with, None where Redis holds another state.

        Where that is fewer than were added, the rest rests on a grant that goes on, and was not written.
        """
        if not self._changes:
            return 0
        after = self._state.next_version(fence, now_ms)
        written: Sequence[bool] | None = None
        try:
            written = await self._store.change_grants(fence, (self._before, after), self._changes)
        finally:
            if written is None or not all(written):
                # A grant whose permit another executor has consumed goes on.
                self._state.drop()
            else:
                self._state.versioned(after)
            self._changes.clear()
        return None if written is None else len(written)


def _changed(text: bytes | None, change: Decimal) -> str | None:
    """Return a sum with a change, never below 0; None where nothing changes."""
    if not change:
        return None
    return plain(max(EXACT.add(inputs.read_sum(text) or ZERO, change), ZERO))


def _after(
    stored: GovernedSymbol, grant: Grant, effect: GrantEffect, opened: str | None, reduced: str | None
) -> GovernedSymbol:
    window = stored.window
    if effect.uncount:
        window = window.without(grant.granted_ms)
    last_exec = stored.last_exec
    if effect.last_exec is not None:
        last_exec = effect.last_exec.encode() or None
    return stored._replace(
        window=window,
        opened=stored.opened if opened is None else opened.encode(),
        reduced=stored.reduced if reduced is None else reduced.encode(),
        last_exec=last_exec,
    )
