"""The three tiers of the allowlist, and why each may be passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.symbols.allowlist import Allowlist, AllowlistSource, choose_allowlist

NOW = 1_760_000_000.0
GOOD_META = {b"stale": b"0", b"count": b"2", b"asof_epoch": b"1759999990"}


def universe(*symbols: Any, age_sec: float = 10) -> bytes:
    return json.dumps({"asof_epoch": NOW - age_sec, "symbols": symbols}).encode()


def chosen(
    *,
    source: str = "universe",
    env: tuple[str, ...] = ("ENVUSDT",),
    active: bytes | None = universe("BTCUSDT", "ETHUSDT"),
    meta: Mapping[bytes, bytes] | None = GOOD_META,
    last_ok: bytes | None = universe("OLDUSDT", age_sec=7200),
    mode: str = "",
) -> Allowlist:
    return choose_allowlist(
        source=source,
        env_symbols=env,
        active=active,
        meta=meta,
        last_ok=last_ok,
        now_sec=NOW,
        max_age_sec=300,
        last_ok_max_age_sec=86400,
        mode=mode,
    )


@pytest.mark.parametrize(
    ("mode", "listed", "used"),
    [
        ("mainnet", '"testnet"', False),
        ("mainnet", '"mainnet"', True),
        ("mainnet", '""', True),
        ("mainnet", "null", True),
        ("mainnet", "{}", True),
        ("", '"testnet"', True),
    ],
)
def test_a_list_of_the_other_exchange_does_not_count(mode: str, listed: str, used: bool) -> None:
    text = universe("BTCUSDT").replace(b"{", b'{"mode": %b, ' % listed.encode(), 1)
    allowlist = chosen(active=text, last_ok=text, mode=mode)
    assert (allowlist.symbols == {"BTCUSDT"}) is used
    if not used:
        assert "active: of 'testnet', not mainnet" in allowlist.notes
        assert "last_ok: of 'testnet', not mainnet" in allowlist.notes


def test_the_active_universe_comes_first() -> None:
    assert chosen() == Allowlist(
        AllowlistSource.UNIVERSE_ACTIVE, False, frozenset({"BTCUSDT", "ETHUSDT"}), NOW - 10, 10.0
    )


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        {b"stale": b"1", b"count": b"2"},
        {b"stale": b"", b"count": b"2"},
        {b"count": b"2"},
        {b"stale": b"0"},
        {b"stale": b"0", b"count": b"0"},
        {b"stale": b"0", b"count": b"-3"},
        {b"stale": b"0", b"count": b"\xff"},
    ],
)
def test_an_active_list_that_meta_does_not_mark_as_current_gives_way_to_the_last_good_one(
    meta: Mapping[bytes, bytes] | None,
) -> None:
    allowlist = chosen(meta=meta)
    assert (allowlist.source, allowlist.stale) == (AllowlistSource.LAST_OK, True)
    assert allowlist.symbols == {"OLDUSDT"} and allowlist.age_sec == 7200
    assert allowlist.notes[0].startswith("active: ")


UNUSABLE = [
    None,
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"note": ' + b"[" * 60_000,
    b'{"asof_epoch": 1760000000, "symbols": ["\xff"]}',
    universe(),
    universe("BTCUSDT", 7),
    universe("not a symbol", ""),
    universe("BTCUSDT", age_sec=-61),
    b'{"symbols": ["BTCUSDT"]}',
    b'{"asof_epoch": "nan", "symbols": ["BTCUSDT"]}',
    b'{"asof_epoch": "-inf", "symbols": ["BTCUSDT"]}',
    b'{"asof_epoch": 1760000000, "symbols": "BTCUSDT"}',
    b'{"asof_epoch": 1760000000, "symbols": {"BTCUSDT": 1}}',
    b'{"asof_epoch": 1760000000, "symbols": ["BTCUSDT"], "pad": "' + b"x" * 1_048_576 + b'"}',
]


@pytest.mark.parametrize("unusable", [*UNUSABLE, universe("BTCUSDT", age_sec=300.1)])
def test_an_active_list_that_cannot_be_used_gives_way_to_the_last_good_one(unusable: bytes | None) -> None:
    assert chosen(active=unusable).source is AllowlistSource.LAST_OK


@pytest.mark.parametrize("unusable", [*UNUSABLE, universe("BTCUSDT", age_sec=86400.1)])
def test_without_a_last_good_list_the_operators_counts(unusable: bytes | None) -> None:
    allowlist = chosen(active=None, last_ok=unusable)
    assert (allowlist.source, allowlist.stale) == (AllowlistSource.ENV, True)
    assert allowlist.symbols == {"ENVUSDT"} and allowlist.asof_epoch is None
    assert [note.split(":")[0] for note in allowlist.notes] == ["active", "last_ok"]


def test_without_any_list_nothing_may_be_opened() -> None:
    allowlist = chosen(active=None, last_ok=None, env=())
    assert (allowlist.source, allowlist.stale, allowlist.symbols) == (AllowlistSource.NONE, True, frozenset())


def test_the_operator_can_choose_his_own_list_only() -> None:
    allowlist = chosen(source="env")
    assert allowlist == Allowlist(AllowlistSource.ENV, False, frozenset({"ENVUSDT"}), None, None)
    assert chosen(source="env", env=()).source is AllowlistSource.NONE


@pytest.mark.parametrize("age_sec", [300.0, 0.0, -60.0])
def test_ages_are_allowed_up_to_their_limits(age_sec: float) -> None:
    allowlist = chosen(active=universe("BTCUSDT", age_sec=age_sec))
    assert allowlist.source is AllowlistSource.UNIVERSE_ACTIVE
    assert allowlist.age_sec == max(age_sec, 0.0)


def test_entries_that_are_no_symbols_are_noted_and_left_out() -> None:
    allowlist = chosen(active=universe("BTCUSDT", "BTC USDT", ""))
    assert allowlist.source is AllowlistSource.UNIVERSE_ACTIVE and allowlist.symbols == {"BTCUSDT"}
    assert allowlist.notes == ("universe_active: 2 of its entries are no symbols",)


def test_the_log_line_is_the_one_that_operators_grep_for() -> None:
    assert chosen().log_line() == (
        "P3.3 allowlist source=universe_active stale=0 count=2 asof_epoch=1759999990 age_s=10"
    )
    assert chosen(active=None, last_ok=None).log_line() == (
        "P3.3 allowlist source=env stale=1 count=1 asof_epoch=none age_s=none"
    )


@given(
    st.none() | st.binary(),
    st.none() | st.dictionaries(st.sampled_from([b"stale", b"count"]), st.binary(max_size=3)),
)
def test_no_bytes_make_a_choice_raise_or_allow_more(
    raw: bytes | None, meta: dict[bytes, bytes] | None
) -> None:
    assert chosen(active=raw, meta=meta, last_ok=raw, env=()).symbols == frozenset()
