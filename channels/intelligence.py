"""Windows over results, for those who show them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ResultWindow(msgspec.Struct, frozen=True):
    """Results of the last minutes: `decisions` by `EXECUTE`, `BLOCKED`, `SKIP`, `ERROR` and `UNKNOWN`.

    `causes` are the most frequent reasons less `none`, `gates` those of `<gate>:<reason>`.
    """

    name: str
    decisions: Mapping[str, int]
    causes: tuple[tuple[str, int], ...]
    gates: tuple[tuple[str, int], ...]


class IntelligenceNow(msgspec.Struct, frozen=True, kw_only=True):
    """Windows as they were written last, shortest first; `unknown`: decisions of 5 min not understood.

    `as_of_ms` is Redis's clock. `counted`: results that this process counted. `pending`: delivered, and not
    counted yet.
    """

    windows: tuple[ResultWindow, ...]
    unknown: tuple[tuple[str, int], ...]
    as_of_ms: int
    counted: int
    pending: int
