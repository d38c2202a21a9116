from __future__ import annotations

from page.content import Ages, SymbolAge
from page.heat_map import HeatMap, heat_map
from tests.page.contents import made


def drawn(*snapshots: SymbolAge, threshold_sec: float = 10.0) -> HeatMap:
    return made(heat_map(Ages(snapshots, threshold_sec)))


def age(symbol: str, age_sec: float, *, trusted: bool = True, amount: str | None = None) -> SymbolAge:
    return SymbolAge(symbol, age_sec, trusted, amount)


def test_every_symbol_has_its_cell_by_name() -> None:
    seen = drawn(age("ETHUSDT", 2.0), age("BTCUSDT", 0.5, amount="-0.038"), age("ADAUSDT", 11.0))
    assert str(seen.cells) == (
        '<li class="stale" title="ADAUSDT 11.0 s"></li>'
        '<li class="age0 held" title="BTCUSDT 0.5 s, position -0.038"></li>'
        '<li class="age1" title="ETHUSDT 2.0 s"></li>'
    )
    assert (seen.count, seen.stale, seen.oldest_sec, seen.median_sec) == (3, 1, 11.0, 2.0)


def test_grades_are_parts_of_the_stale_threshold() -> None:
    for threshold_sec in (10.0, 4.0):
        for part, grade in ((0.1, "age0"), (0.25, "age1"), (0.5, "age2"), (1.0, "age3"), (1.001, "stale")):
            seen = drawn(age("BTCUSDT", part * threshold_sec), threshold_sec=threshold_sec)
            assert f'class="{grade}"' in seen.cells, (threshold_sec, part)


def test_a_snapshot_that_is_not_trusted_is_not_fresh_whatever_its_age() -> None:
    seen = drawn(age("BTCUSDT", 0.1, trusted=False), age("ETHUSDT", 0.1))
    assert 'class="untrusted" title="BTCUSDT' in seen.cells
    assert seen.stale == 1
    assert {grade.name: grade.count for grade in seen.grades}["untrusted"] == 1


def test_the_legend_leaves_trouble_out_while_there_is_none() -> None:
    assert [grade.name for grade in drawn(age("BTCUSDT", 0.1)).grades] == ["age0", "age1", "age2", "age3"]


def test_the_oldest_lead_the_list() -> None:
    seen = drawn(*(age(f"S{number}USDT", float(number)) for number in range(20)))
    assert [each.symbol for each in seen.oldest][:2] == ["S19USDT", "S18USDT"]
    assert len(seen.oldest) == 12


def test_the_youngest_of_very_many_tell_no_symbol() -> None:
    seen = drawn(*(age(f"S{number:04}USDT", number / 1000) for number in range(2_003)))
    assert seen.unnamed == 3
    assert str(seen.cells).startswith(
        '<li class="age0"></li>' * 3 + '<li class="age0" title="S0003USDT 0.0 s">'
    )
    assert str(seen.cells).count("title=") == 2_000
    assert drawn(age("BTCUSDT", 0.1)).unnamed == 0


def test_no_snapshots_are_an_empty_map() -> None:
    seen = drawn()
    assert (str(seen.cells), seen.count, seen.oldest_sec, seen.median_sec) == ("", 0, None, None)
