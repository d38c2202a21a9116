"""What fires, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from commands.console.terminal import printable
from commands.status.document import Notice
from page.words import duration, iso_moment

_MOST = 8


def notice_rows(notices: Sequence[Notice]) -> Iterator[tuple[str, Text, str]]:
    """Yield name, value and remark of each notice, the most urgent first as they come, up to eight."""
    for number, each in enumerate(notices[:_MOST]):
        what = Text(printable(f"{each.kind} {each.subject}".rstrip()))
        what.stylize("bold yellow" if each.seen_by else "bold red")
        seen = "not seen yet"
        if each.seen_by:
            seen = f"seen by {each.seen_by} until {iso_moment(each.seen_until)}"
        since = f"since {iso_moment(each.since)}, {duration(each.for_sec)}"
        yield "" if number else "fires", what, f"{since}, {seen}: {each.text}"
    if len(notices) > _MOST:
        yield "", Text(f"and {len(notices) - _MOST} more", "red"), ""
