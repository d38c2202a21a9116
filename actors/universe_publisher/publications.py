"""Writes of the universe publisher: each next state of its keys, from what stands there and a judgement."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from brain.symbols.publication import Change, Judgement, Stored, last_good
from brain.symbols.universe import Universe, UniverseRules
from brain.symbols.universe_text import (
    StoredList,
    age_of_another,
    ends_text,
    list_text,
    read_list,
    read_volumes,
)
from channels import UniverseState
from store.universe_records import PublishedUniverse, UniverseWrite

BOOTSTRAPPED: Final = "bootstrapped_from_last_ok"


class PublisherRules(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the publisher, beside those that choose the symbols. `instance`: who publishes.

    `listing_sec`: the planner reads the listing as often, or more often where others ask for it.
    `take_over`: go on beside another publisher.
    """

    mode: Literal["shadow", "on"]
    refresh_sec: float
    listing_sec: float
    volume_sec: float
    active_ttl_sec: int
    active_key: str
    instance: str
    universe: UniverseRules
    take_over: bool = False


class NextState(NamedTuple):
    """Next write, and the state that is shown once it is done."""

    state: UniverseState
    write: UniverseWrite


class Publications:
    """Maker of writes by the publisher's settings."""

    def __init__(self, rules: PublisherRules) -> None:
        self._rules = rules
        self._active_ttl_ms = rules.active_ttl_sec * 1000

    def bootstrap(self, found: PublishedUniverse) -> NextState | None:
        """Put the last good list in the place of a missing active one; None where that is not needed."""
        restored = self._restored(found, BOOTSTRAPPED)
        if restored is None:
            return None
        changes = [] if stored(found).stale else [(Change.STALE, "")]
        write = UniverseWrite(
            active=(found.last_ok or b"").decode(),
            active_ttl_ms=self._active_ttl_ms,
            meta=self._meta(restored, last_ok_epoch=restored.asof_epoch),
            events=self._events(changes, restored.asof_epoch),
        )
        return NextState(restored, write)

    def next(
        self,
        judgement: Judgement,
        found: PublishedUniverse,
        asof: int,
        volumes: str,
        audit: tuple[str, ...] = (),
    ) -> NextState:
        """Return what follows from a judgement; `volumes` is their text, empty where it stands already.

        `audit`: the fields of its audit entry, none where it is not recorded.
        """
        universe, last_ok_epoch = judgement.universe, asof
        if universe is None:
            restored = self._restored(found, judgement.error)
            state = restored or _previous(found, judgement.error)
            last_ok_epoch = _asof(read_list(found.last_ok))
            active = "" if restored is None else (found.last_ok or b"").decode()
            last_ok = closing = ""
        else:
            state = UniverseState(count=len(universe.symbols), asof_epoch=asof, stale=False, error="")
            active = last_ok = self._list_text(universe, asof)
            closing = ends_text(judgement.ends)
        write = UniverseWrite(
            active=active,
            active_ttl_ms=self._active_ttl_ms if active or self._is_ours(found.active) else 0,
            last_ok=last_ok,
            closing=closing,
            volumes=volumes,
            volumes_ttl_ms=round(2000 * self._rules.volume_sec),
            meta=self._meta(state, last_ok_epoch=last_ok_epoch, shrunk_by=judgement.shrunk_by),
            events=self._events(judgement.changes, asof),
            audit=audit,
        )
        return NextState(state, write)

    def _list_text(self, universe: Universe, asof: int) -> str:
        rules = self._rules
        return list_text(universe, rules.universe, asof_epoch=asof, published_by=rules.instance)

    def _is_ours(self, text: bytes | None) -> bool:
        """Return False for a list of the other exchange, which nothing must keep alive."""
        listed = read_list(text)
        return listed is None or listed.mode in ("", self._rules.universe.mode)

    def _restored(self, found: PublishedUniverse, error: str) -> UniverseState | None:
        """Return the state in which the last good list is the active one; None where that is not needed."""
        last = last_good(stored(found), self._rules.universe)
        if found.active is not None or last is None:
            return None
        return UniverseState(
            count=len(last.symbols), asof_epoch=int(last.asof_epoch), stale=True, error=error
        )

    def _meta(self, state: UniverseState, *, last_ok_epoch: int, shrunk_by: int = 0) -> tuple[str, ...]:
        fields = {
            "asof_epoch": state.asof_epoch,
            "last_ok_epoch": last_ok_epoch,
            "count": state.count,
            "stale": int(state.stale),
            "error": state.error,
            "shrunk_by": shrunk_by,
            "published_by": self._rules.instance,
        }
        return tuple(str(text) for field in fields.items() for text in field)

    def _events(self, changes: Iterable[tuple[Change, str]], asof: int) -> tuple[tuple[str, ...], ...]:
        shadow = ("shadow", "true") if self._rules.mode == "shadow" else ()
        return tuple(
            ("event", change.value, "symbol", symbol, "asof_epoch", str(asof), *shadow)
            for change, symbol in changes
        )


def another_publisher(
    lists: Iterable[bytes | None], key: str, *, now_sec: float, refresh_sec: float
) -> str | None:
    """Describe another publisher of these lists (`key`) that still works; None where there is none."""
    ages = (age_of_another(text, now_sec=now_sec, refresh_sec=refresh_sec) for text in lists)
    known = [age for age in ages if age is not None]
    if not known:
        return None
    return f"another universe publisher works on {key}: its list is {max(min(known), 0):.0f} s old"


def stored(found: PublishedUniverse) -> Stored:
    """Return the publication that Redis holds, as it is judged by."""
    meta = found.meta or {}
    error = meta.get(b"error", b"").decode(errors="replace")
    return Stored(found.last_ok, found.active, found.closing, meta.get(b"stale") == b"1", error)


def stored_volumes(found: PublishedUniverse, rules: UniverseRules) -> dict[str, Decimal] | None:
    """Return the volumes that Redis holds, by which the last good list was made; else None."""
    last = last_good(stored(found), rules)
    return None if last is None or last.ranked_by != "volume" else read_volumes(found.volumes)


def _previous(found: PublishedUniverse, error: str) -> UniverseState:
    """Return the state in which the previous list, if any, stays."""
    active = read_list(found.active)
    count = 0 if active is None else len(active.symbols)
    return UniverseState(count=count, asof_epoch=_asof(active), stale=True, error=error)


def _asof(listed: StoredList | None) -> int:
    return 0 if listed is None else int(listed.asof_epoch)
