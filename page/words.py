"""Numbers and times as text for the page."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE_SEC, _HOUR_SEC, _DAY_SEC = 60, 3600, 86_400


def duration(seconds: float | None) -> str:
    """Format with about three digits: `0.25 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_SEC:
        return f"{whole} s"
    for size, unit, below, part in (
        (_DAY_SEC, "d", _HOUR_SEC, "h"),
        (_HOUR_SEC, "h", _MINUTE_SEC, "min"),
        (_MINUTE_SEC, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit} {rest} {part}" if rest else f"{whole // size} {unit}"
    raise AssertionError(whole)


def time_of_day(epoch_ms: int) -> str:
    """Format as `12:04:31.250`, UTC."""
    return f"{_at(epoch_ms):%H:%M:%S}.{epoch_ms % 1000:03d}"


def moment(epoch_ms: int) -> str:
    """Format as `2026-11-21 12:04:31 UTC`."""
    return f"{_at(epoch_ms):%Y-%m-%d %H:%M:%S} UTC"


def moment_ms(epoch_ms: int) -> str:
    """Format as `2026-11-21 12:04:31.250`, UTC; a dash for a time that no calendar has."""
    try:
        return f"{_at(epoch_ms):%Y-%m-%d} {time_of_day(epoch_ms)}"
    except (ValueError, OverflowError, OSError):
        return "–"


def machine_moment(epoch_ms: int) -> str:
    """Format as `2026-11-21T12:04:31Z`; empty for a time that no calendar has."""
    try:
        return f"{_at(epoch_ms):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return ""


def iso_moment(text: str | None) -> str:
    """Format an ISO 8601 moment in UTC as `moment` does."""
    return "–" if text is None else f"{text[:10]} {text[11:19]} UTC"


def _at(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms // 1000, UTC)
