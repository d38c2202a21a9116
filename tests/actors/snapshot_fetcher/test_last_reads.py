"""When which symbol was read, and which reads the stream may vouch for."""

from __future__ import annotations

from actors.snapshot_fetcher.read_schedule import LastReads
from brain.moment import Moment


def at(second: float) -> Moment:
    return Moment(second, round(second * 1000))


def reads(**sent: Moment) -> LastReads:
    """Audited for a minute."""
    last = LastReads(audit_max_age_sec=60)
    for symbol, moment in sent.items():
        last.read(symbol, moment)
    return last


def audited(last: LastReads, symbol: str, now: Moment) -> bool:
    return last.audited_since(symbol, last.oldest_audit(now))


def test_a_read_whose_answer_comes_late_undoes_no_later_one() -> None:
    last = reads(BTCUSDT=at(10))
    last.read("BTCUSDT", at(8))
    assert last.sent("BTCUSDT") == at(10)


def test_a_read_sent_at_the_moment_itself_counts_and_one_that_was_never_sent_does_not() -> None:
    last = reads(BTCUSDT=at(10))
    assert last.read_since("BTCUSDT", at(10))
    assert not last.read_since("BTCUSDT", at(10.001))
    assert not last.read_since("ETHUSDT", at(0))
    assert last.sent("ETHUSDT") is None


def test_the_stream_vouches_for_a_read_until_it_is_too_old_by_either_clock() -> None:
    last = reads(BTCUSDT=at(10))
    assert audited(last, "BTCUSDT", at(70))
    assert not audited(last, "BTCUSDT", at(70.01))
    assert not audited(last, "BTCUSDT", Moment(20, 70_010)), "the host slept"
    assert not audited(last, "BTCUSDT", Moment(70.01, 20_000)), "the clock was set back"


def test_the_stream_vouches_for_none_that_is_not_read_again_and_again() -> None:
    last = reads(BTCUSDT=at(10), ETHUSDT=at(10))
    last.audited_symbols = {"ETHUSDT", "SOLUSDT"}
    assert [s for s in ("BTCUSDT", "ETHUSDT", "SOLUSDT") if audited(last, s, at(11))] == ["ETHUSDT"]
