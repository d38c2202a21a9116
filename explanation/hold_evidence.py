"""Holds of another reconcile engine, by the decisions that P3.3 made under them or without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from brain.moment import iso_utc
from brain.reconciliation.texts import CaseEvent
from explanation.comparison import Pair, Side, Theirs, proven, unknown
from explanation.timeline import Dated

#: Another engine has found a drift and set its hold within so long (ms).
_SET_WITHIN_MS = 5_000
#: A hold outlives its cause by its TTL (ms).
_OUTLIVES_MS = 300_000
_NO_CASE = "no case"
_OWNED = "the executor or an operator held the symbol then"


class Episode(msgspec.Struct, frozen=True):
    """Time in which our shadow held a symbol; `end_ms` is None while it lasts. `outcome`: its last event."""

    symbol: str
    begin_ms: int
    end_ms: int | None
    reason: str
    outcome: str


class HoldSeen(msgspec.Struct, frozen=True):
    """A decision of P3.3: at this time the symbol was held, or was not."""

    symbol: str
    at_ms: int
    held: bool


class HoldOfOthers(msgspec.Struct, frozen=True):
    """Time in which the executor or an operator held a symbol; `end_ms` is None while it lasts."""

    symbol: str
    begin_ms: int
    end_ms: int | None


def episodes_of(events: Iterable[Dated]) -> list[Episode]:
    """Return the episodes that the shadow's events show, oldest first; `events` are oldest first."""
    open_ones: dict[str, Episode] = {}
    over: list[Episode] = []
    for each in events:
        event, symbol = each.fields.get("event", ""), each.fields.get("symbol", "")
        if event == CaseEvent.HOLD_SET and symbol not in open_ones:
            reason = each.fields.get("reason", "")
            open_ones[symbol] = Episode(symbol, each.at_ms, None, reason, event)
        elif symbol in open_ones:
            found = msgspec.structs.replace(open_ones.pop(symbol), outcome=event)
            if event in (CaseEvent.HOLD_CLEARED, CaseEvent.AUTO_REPAIR):
                over.append(msgspec.structs.replace(found, end_ms=each.at_ms))
            else:
                open_ones[symbol] = found
    return sorted([*over, *open_ones.values()], key=lambda each: each.begin_ms)


def compared_holds(
    episodes: Sequence[Episode],
    seen: Sequence[HoldSeen],
    others: Sequence[HoldOfOthers],
    holding_now: Mapping[str, str],
    *,
    now_ms: int,
) -> Iterator[Pair]:
    """Yield our holds beside the other engine's, newest first, then its holds without a case of ours.

    `seen` is oldest first. `holding_now`: reason by symbol of each hold that another engine has now.
    """
    for episode in reversed(episodes):
        yield Pair(
            id=f"{episode.symbol} {iso_utc(episode.begin_ms)}",
            symbol=episode.symbol,
            at=iso_utc(episode.begin_ms),
            ours=Side(True, episode.reason),
            theirs=_theirs(episode, seen, others, holding_now, now_ms),
        )
    yield from _without_case(episodes, seen, others, now_ms)


def _theirs(
    episode: Episode,
    seen: Sequence[HoldSeen],
    others: Sequence[HoldOfOthers],
    holding_now: Mapping[str, str],
    now_ms: int,
) -> Theirs:
    end_ms = episode.end_ms or now_ms
    during = [
        each for each in seen if each.symbol == episode.symbol and episode.begin_ms <= each.at_ms <= end_ms
    ]
    if any(_overlaps(each, episode.symbol, episode.begin_ms, end_ms, now_ms) for each in others):
        return unknown(_OWNED)
    if any(each.held for each in during):
        return proven(True, "held", "P3.3's decisions, which found a hold")
    if episode.end_ms is None and episode.symbol in holding_now:
        return proven(True, holding_now[episode.symbol] or "held", "the hold that stands")
    late = [each for each in during if each.at_ms >= episode.begin_ms + _SET_WITHIN_MS]
    if late:
        number = "a decision" if len(late) == 1 else f"{len(late)} decisions"
        return proven(False, "not held", f"{number} of P3.3 without a hold")
    return unknown("P3.3 decided no plan of the symbol while the hold lasted")


def _without_case(
    episodes: Sequence[Episode], seen: Sequence[HoldSeen], others: Sequence[HoldOfOthers], now_ms: int
) -> Iterator[Pair]:
    last_ms: dict[str, int] = {}
    for each in seen:
        if not each.held:
            continue
        before_ms, last_ms[each.symbol] = last_ms.get(each.symbol), each.at_ms
        if before_ms is not None and each.at_ms - before_ms < _OUTLIVES_MS:
            continue
        begin_ms = each.at_ms - _OUTLIVES_MS
        if any(_in_episode(each, episode, now_ms) for episode in episodes):
            continue
        if any(_overlaps(other, each.symbol, begin_ms, each.at_ms, now_ms) for other in others):
            continue
        yield Pair(
            id=f"{each.symbol} {iso_utc(each.at_ms)}",
            symbol=each.symbol,
            at=iso_utc(each.at_ms),
            ours=Side(False, _NO_CASE),
            theirs=proven(True, "held", "P3.3's decisions, which found a hold"),
        )


def _in_episode(seen: HoldSeen, episode: Episode, now_ms: int) -> bool:
    end_ms = (episode.end_ms or now_ms) + _OUTLIVES_MS
    return seen.symbol == episode.symbol and episode.begin_ms - _SET_WITHIN_MS <= seen.at_ms <= end_ms


def _overlaps(other: HoldOfOthers, symbol: str, begin_ms: int, end_ms: int, now_ms: int) -> bool:
    return other.symbol == symbol and other.begin_ms <= end_ms and (other.end_ms or now_ms) >= begin_ms
