"""The history as a document: bins, charts that fit what is there, numbers for those who read no charts."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from brain.history import Minute
from brain.positions.exposure import Exposure
from page.history_bins import MOST_BINS, binned, step_of
from page.history_charts import HEIGHT, WIDTH, HistoryCharts, history_charts
from page.history_content import SPANS, HistoryContent
from page.history_page import drawn_history
from page.rendering import Page
from tests.page.test_rendering import Reading, read
from tests.store.history_examples import FIRST, a_minute

T = TypeVar("T")

NOW = FIRST + 1440
_AREA = re.compile(r'class="area" d="M([\d.]+) 0H([\d.]+)V')
_POINTS = re.compile(r'<path class="(\w+)" d="([^"]+)"')


def content(minutes: Sequence[Minute], **changes: Any) -> HistoryContent:
    known: dict[str, Any] = {
        "span": "24h", "end": NOW, "now": NOW, "stale_threshold_sec": 10.0, "weight_share": 1200,
    }  # fmt: skip
    return HistoryContent(minutes=tuple(minutes), **(known | changes))


def finished(making: Generator[None, None, T]) -> tuple[T, int]:
    """What a drawing returns, and how often it has paused."""
    pauses = 0
    while True:
        try:
            next(making)
            pauses += 1
        except StopIteration as made:
            return made.value, pauses


def parts_of(shown: HistoryContent) -> list[str]:
    """The parts of the document; an empty one for each pause of the drawing."""
    drawn, pauses = finished(drawn_history(shown))
    return [""] * pauses + [*Page().document_of("history.html", shown, drawn)]


def document(minutes: Sequence[Minute], **changes: Any) -> str:
    return "".join(parts_of(content(minutes, **changes)))


def page(minutes: Sequence[Minute], **changes: Any) -> Reading:
    reading = read(document(minutes, **changes))
    assert reading.unbalanced == []
    return reading


def charts(minutes: Sequence[Minute], begin: int, end: int) -> HistoryCharts:
    bins, _ = finished(binned(minutes, begin, end, step_of(end - begin)))
    return finished(history_charts(bins, stale_threshold_sec=10.0, weight_share=1200))[0]


def test_a_bin_adds_counts_and_keeps_the_worst_and_the_latest() -> None:
    minutes = [
        a_minute(FIRST, denied={"a": 1}, latency_ms=(1, 9, 90), oldest_age_sec=1.0, weight=5, exposure=None),
        a_minute(FIRST + 1, denied={"a": 2, "b": 1}, latency_ms=(3, 50, 60), oldest_age_sec=8.5, weight=9),
        a_minute(FIRST + 2, denied={}, latency_ms=(2, 7, 7), oldest_age_sec=None, weight=7, exposure=None),
    ]
    (one, other), _ = finished(binned(minutes, FIRST, FIRST + 8, 5))
    assert (one.known, one.allowed, dict(one.denied)) == (3, 30, {"a": 3, "b": 1})
    assert (one.p50_ms, one.p99_ms, one.oldest_age_sec, one.weight) == (2, 50, 8.5, 9)
    assert one.exposure == minutes[1].exposure
    assert (other.known, other.step, other.p50_ms, other.weight, other.exposure) == (0, 3, None, None, None)


def test_any_span_has_a_bounded_number_of_bins() -> None:
    for length in range(2, 1441):
        assert len(finished(binned((), FIRST, FIRST + length, step_of(length)))[0]) <= MOST_BINS


def test_the_charts_reach_from_the_first_minute_that_is_known_to_the_end() -> None:
    drawn = charts([a_minute(FIRST + ahead) for ahead in range(40)], FIRST, FIRST + 40)
    for chart in drawn.charts:
        areas = [tuple(map(float, found)) for found in _AREA.findall(chart.drawn)]
        assert (areas[0][0], areas[-1][1], len(areas)) == (0, WIDTH, 40)
    text = document([a_minute(NOW - ahead) for ahead in range(40, 0, -1)])
    assert re.findall(r'text-anchor="middle">([\d:]+)<', text)[:4] == ["08:20", "08:30", "08:40", "08:50"]


def test_a_gap_breaks_the_line_and_nothing_is_drawn_outside() -> None:
    minutes = [a_minute(FIRST + ahead) for ahead in range(60) if not 20 <= ahead < 30]
    latency = charts(minutes, FIRST, FIRST + 60).charts[1]
    lines = [path for look, path in _POINTS.findall(latency.drawn) if look == "one"]
    assert [len(path.split("L")) for path in lines] == [20, 30]
    for path in lines:
        for x, y in re.findall(r"([\d.]+) ([\d.]+)", path):
            assert 0 <= float(x) <= WIDTH
            assert 0 <= float(y) <= HEIGHT


def test_the_bars_of_a_bin_stand_on_each_other_with_their_share_of_the_axis() -> None:
    minutes = [a_minute(FIRST, allowed={"ok": 60}, denied={"a": 30, "b": 10}), a_minute(FIRST + 1)]
    decisions = charts(minutes, FIRST, FIRST + 2).charts[0]
    assert decisions.values[-1].text == "100"
    bars = re.findall(r'y="([\d.]+)" height="([\d.]+)" fill="url\(#look-(\S+)\)"', decisions.drawn)[:3]
    assert bars == [("60.0", "90.0", "allow"), ("15.0", "45.0", "deny0"), ("0.0", "15.0", "deny1")]


def test_a_limit_is_drawn_once_values_come_near_to_it() -> None:
    near = charts([a_minute(FIRST, oldest_age_sec=6.0), a_minute(FIRST + 1)], FIRST, FIRST + 2).charts[2]
    far = charts([a_minute(FIRST, oldest_age_sec=4.0), a_minute(FIRST + 1)], FIRST, FIRST + 2).charts[2]
    assert ("limit", "stale from") in near.legend
    assert far.legend == ()
    assert float(far.values[-1].text.split()[0]) <= 5


def test_exposure_has_room_for_amounts_below_zero() -> None:
    short = a_minute(FIRST, exposure=Exposure(Decimal(500), Decimal(-500), Decimal(-20), 0))
    exposure = charts([short, a_minute(FIRST + 1, exposure=short.exposure)], FIRST, FIRST + 2).charts[4]
    assert [tick.text for tick in exposure.values] == ["-500", "-250", "0", "250", "500"]


def test_the_numbers_are_there_without_the_charts() -> None:
    text = page([a_minute(NOW - ahead) for ahead in range(3, 0, -1)]).text
    assert "30 allowed, 9 denied" in text
    assert "08:50 3 30 9 no_position 4 ms 19 ms 2.1 s 120 5,000.50 -1,200.00 17.25" in text
    assert "most denied for" in text


def test_without_any_minute_the_page_says_why() -> None:
    text = page([]).text
    assert "no minute has ended yet" in text
    assert "Numbers" not in text


def test_a_note_is_shown_with_what_was_read_before() -> None:
    assert "Redis does not answer: so" in page([a_minute(NOW - 1)], note="Redis does not answer: so").text


def test_the_links_lead_to_the_span_before_and_behind() -> None:
    minutes = [a_minute(NOW - ahead) for ahead in range(300, 0, -1)]
    text = document(minutes, span="1h", end=NOW - 60)
    assert f'href="/history?span=1h&amp;end={NOW - 120}">earlier' in text
    assert f'href="/history?span=1h&amp;end={NOW}">later' in text
    newest = document(minutes, span="1h")
    assert ">later</a>" not in newest
    assert ">earlier</a>" not in document(minutes[-30:], span="1h")


def test_hostile_reasons_stay_text() -> None:
    hostile = '"><img src=x onerror=alert(1)>'
    reading = page([a_minute(NOW - 2, denied={hostile: 5}), a_minute(NOW - 1)])
    assert hostile in reading.text
    assert not any(name.startswith("on") for _, attributes in reading.elements for name in attributes)


def test_a_full_day_is_a_bounded_document_in_short_parts() -> None:
    reasons = {f"a_reason_of_some_length_{number}": 10**5 for number in range(13)}
    minutes = [a_minute(FIRST + ahead, denied=reasons) for ahead in range(1440)]
    for span in SPANS:
        parts = parts_of(content(minutes, span=span))
        assert len("".join(parts).encode()) <= 300_000
        assert len(parts) > 15
