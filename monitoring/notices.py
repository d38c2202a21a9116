"""What fires, since when, seen by whom, and what each address is to be sent of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import trio

from brain.moment import Moment, iso_utc
from clocks.clocks import Clocks
from monitoring.firing import Firing, NoticeKind, firing
from monitoring.ledger_legs import LedgerLegsCache
from monitoring.outbox import Alarm, Key, Outbox, Role
from monitoring.seen_notices import SeenNotices
from monitoring.status.document import StatusDocument
from monitoring.status.source import StatusSource
from monitoring.status.whole import cut
from page.notices_content import AddressShown, NoticesContent, NoticeShown
from settings import Settings
from settings.notices import NoticeAddress
from store.notice_records import SeenMark, seen_field
from store.protocol import DiagnosticsStore

#: Of what fires, in `/status` and on the page.
MOST_SHOWN = 200


class Delivery:
    """An address with its outbox, and how sending to it went. Made once; outlives the actor that sends."""

    def __init__(self, address: NoticeAddress, outbox: Outbox) -> None:
        self.address = address
        self.outbox = outbox
        self.sent = 0
        self.last_sent: Moment | None = None
        #: Why the latest attempt failed; None once one succeeds.
        self.trouble: str | None = None

    def shown(self) -> AddressShown:
        """Return the address as the page shows it."""
        return AddressShown(
            address=str(self.address),
            sent=self.sent,
            last_sent=None if self.last_sent is None else iso_utc(self.last_sent.wall_ms),
            waiting=self.trouble is not None,
            trouble=self.trouble,
        )


class Notices:
    """Keeps since when each condition fires. Made once: a restarted notifier goes on with it."""

    def __init__(
        self,
        settings: Settings,
        status: StatusSource,
        store: DiagnosticsStore,
        clocks: Clocks,
        legs: LedgerLegsCache,
    ) -> None:
        """`legs`: those of the ledgers that `status` compares; read again at each look."""
        self._legs = legs
        self._instance = settings.instance
        self._status = status
        self._clocks = clocks
        self._seen = SeenNotices(store, clocks)
        self._since: dict[Key, Moment] = {}
        self.deliveries = tuple(
            Delivery(address, Outbox(repeat_sec=settings.notice_repeat_sec))
            for address in settings.notice_addresses or ()
        )

    async def look(self) -> None:
        """Show all addresses what fires now. Reads Redis while something fires, and in hedge mode."""
        await self._legs.refresh()
        whole = await self._status.whole_in_parts()
        await trio.lowlevel.checkpoint()
        found = self._noted(firing(whole))
        if found:
            await self._seen.refresh()
        alarms = {
            each.key: Alarm(each, since.wall_ms, self._mark_of(each) is not None) for each, since in found
        }
        for delivery in self.deliveries:
            delivery.outbox.look(alarms, _role(whole.document), self._clocks.now().monotonic_sec)

    def fires(self, kind: NoticeKind, subject: str) -> bool:
        """Return True if it fired at the latest look, a second ago."""
        return (kind, subject) in self._since

    def read_marks_again(self) -> None:
        """Let the next look read the marks, however young they are: one was set."""
        self._seen.expire()

    def status_document(self) -> StatusDocument:
        """Return the answer of `/status`, with what fires; marks are those that were read last."""
        whole = self._status.whole()
        found = self._noted(firing(whole))
        return msgspec.structs.replace(
            cut(whole.document),
            notices=list(self._shown(found[:MOST_SHOWN])),
            notices_left_out=max(len(found) - MOST_SHOWN, 0),
        )

    async def content(self) -> NoticesContent:
        """Return what the page of notices shows, as of now."""
        await self._seen.refresh()
        found = self._noted(firing(await self._status.whole_in_parts()))
        return NoticesContent(
            as_of_ms=self._clocks.now().wall_ms,
            instance=self._instance,
            notices=tuple(self._shown(found[:MOST_SHOWN])),
            left_out=max(len(found) - MOST_SHOWN, 0),
            addresses=tuple(each.shown() for each in self.deliveries),
            unread=self._seen.unread,
        )

    def _noted(self, found: list[Firing]) -> list[tuple[Firing, Moment]]:
        """Return each with the moment since when it fires, and remember that; forget what is over."""
        now = self._clocks.now()
        self._since = {each.key: self._since.get(each.key, now) for each in found}
        return [(each, self._since[each.key]) for each in found]

    def _shown(self, found: Iterable[tuple[Firing, Moment]]) -> Iterable[NoticeShown]:
        now = self._clocks.now()
        for each, since in found:
            mark = self._mark_of(each)
            yield NoticeShown(
                kind=each.kind,
                subject=each.subject,
                text=each.text,
                since=iso_utc(since.wall_ms),
                for_sec=since.age_sec(now),
                seen_by=None if mark is None else mark.by,
                seen_until=None if mark is None else iso_utc(mark.until_ms),
            )

    def _mark_of(self, fired: Firing) -> SeenMark | None:
        marks: Mapping[str, SeenMark] = self._seen.marks
        mark = marks.get(seen_field(fired.kind, fired.subject))
        now, redis = self._clocks.now(), self._clocks.redis
        now_ms = redis.now_ms(now) if redis.known else now.wall_ms
        return None if mark is None or mark.until_ms <= now_ms else mark


def _role(status: StatusDocument) -> Role:
    if status.lease.held:
        return Role.HOLDER
    return Role.UNKNOWN if status.lease.holder is None else Role.STANDBY
