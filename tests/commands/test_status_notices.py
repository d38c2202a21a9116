"""What fires, in the terminal: as `/notices` lists it, from the document that `/status` answers."""

from __future__ import annotations

import json

from commands import main
from commands.status.notices import notice_rows
from store.notice_records import SeenMark
from tests.commands.deployment import Capture, run_command
from tests.commands.test_status_view import document, drawn, words
from tests.monitoring.status_rig import StatusRig, serving
from tests.monitoring.test_notices import unknown

HOSTILE = "BTC\x1b[2JUSDT"


def notice(subject: str, **changes: object) -> dict[str, object]:
    usual = {"kind": "case", "subject": subject, "text": "needs a person", "for_sec": 300.0}
    return {**usual, "since": "2026-11-21T10:00:00.000Z", **changes}


async def test_notices_are_listed_with_the_person_who_has_seen_them(capsys: Capture) -> None:
    rig = StatusRig()
    unknown(rig, "plan-1", "plan-2")
    now_ms = rig.clock.now().wall_ms
    mark = SeenMark("Ann", now_ms + 3_600_000)
    await rig.store.mark_seen("unknown_execution", "plan-1", mark, now_ms, ("event", "NOTICE_SEEN"))
    rig.clock.advance(5)
    await rig.monitor.notices.look()
    async with serving(rig) as client:
        url = str(client.base_url).rstrip("/")
        assert await run_command(main, ["status", "--once", "--url", url]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert await run_command(main, ["status", "--json", "--url", url]) == 0
        notices = json.loads(capsys.readouterr().out)["notices"]
        page = (await client.get("/notices")).text
    # The tree stands beside.
    edge = next(line.index("Supervision tree") for line in lines if "Supervision tree" in line)
    text = words([line[:edge] for line in lines])
    since = "since 2026-09-21 14:13:25 UTC, 0.00 s"
    assert f"fires unknown_execution plan-1 {since}, seen by Ann until 2026-09-21 15:13:20 UTC: " in text
    assert f"unknown_execution plan-2 {since}, not seen yet: " in text
    for each in notices:
        assert each["text"] in text and each["text"] in page
    assert [(each["subject"], each["seen_by"]) for each in notices] == [("plan-1", "Ann"), ("plan-2", None)]


def test_notices_come_first_and_fit_every_width() -> None:
    status = document(notices=[notice("BTCUSDT", seen_by="Ann", seen_until="2026-11-21T12:00:00.000Z")])
    for width in (36, 80, 120):
        lines = drawn(status, width=width)
        text = words([line[: line.find("Supervision")] if "Supervision" in line else line for line in lines])
        assert max(map(len, lines)) <= width
        assert text.index("fires") < text.index("snapshots")
        assert "case BTCUSDT" in text
    assert "fires" not in words(drawn(document(notices=[])))
    assert "fires" not in words(drawn(document()))


def test_beyond_eight_the_others_are_counted() -> None:
    text = words(drawn(document(notices=[notice(f"S{number}USDT") for number in range(11)])))
    assert "S7USDT" in text and "S8USDT" not in text and "and 3 more" in text


def test_a_subject_from_outside_cannot_command_the_terminal() -> None:
    status = document(notices=[notice(HOSTILE, text=HOSTILE, seen_by=HOSTILE)])
    assert "\x1b" not in "".join(drawn(status))
    ((_, value, _),) = notice_rows(status.notices)
    assert "\x1b" not in value.plain
