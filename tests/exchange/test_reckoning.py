"""Computations of clocks, delays and signatures."""

from __future__ import annotations

from brain.moment import Moment
from exchange.push_delay import PushDelay
from exchange.server_time import ServerTime
from exchange.signing import Signer
from tests.exchange.parts import HandClock


def test_a_signature_is_the_one_that_the_documentation_shows() -> None:
    # The worked example of "SIGNED Endpoint Examples"; the secret is the documentation's own.
    signer = Signer("key", "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9")
    payload = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
        "&recvWindow=5000&timestamp=1591702613943"
    )
    assert signer.signature(payload) == "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    query = signer.signed_query({"symbol": "BTCUSDT"}, 1591702613943)
    unsigned = "symbol=BTCUSDT&recvWindow=5000&timestamp=1591702613943"
    assert query == f"{unsigned}&signature={signer.signature(unsigned)}"
    assert "2b5eb" not in repr(signer)


def test_the_exchanges_clock_is_taken_from_the_middle_of_the_round_trip() -> None:
    server_time = ServerTime()
    server_time.learn(Moment(10.0, 5_000), 1_000_000, Moment(10.4, 5_400))
    assert server_time.exchange_ms(Moment(10.4, 5_400)) == 1_000_200
    assert server_time.exchange_ms(Moment(11.4, 6_400)) == 1_001_200
    assert server_time.exchange_ms(Moment(10.0, 5_000)) == 999_800


def test_the_least_that_the_exchanges_clock_shows_leaves_out_the_way_back_and_drift() -> None:
    server_time = ServerTime()
    assert server_time.exchange_ms_at_least(Moment(10.0, 5_000)) is None
    server_time.learn(Moment(10.0, 5_000), 1_000_000, Moment(10.4, 5_400))
    assert server_time.exchange_ms_at_least(Moment(10.4, 5_400)) == 1_000_000
    assert server_time.exchange_ms_at_least(Moment(1010.4, 1_005_400)) == 2_000_000 - 100
    assert server_time.exchange_ms_at_least(Moment(1010.4, 7)) == 2_000_000 - 100


def test_a_step_of_the_wall_clock_does_not_move_the_exchanges_clock() -> None:
    clock = HandClock()
    server_time = ServerTime()
    assert server_time.exchange_ms(clock.now()) == clock.wall_ms
    server_time.learn(clock.now(), 42_000_000, clock.now())
    clock.wall_ms -= 3_600_000
    clock.turn(2)
    assert server_time.exchange_ms(clock.now()) == 42_002_000


class ExchangeClock:
    """Estimate of the exchange's clock: this host's, and `lead_sec` more."""

    def __init__(self) -> None:
        self.lead_sec = 0.0

    def __call__(self, at: Moment) -> int:
        return at.wall_ms + round(self.lead_sec * 1000)


def push(delay: PushDelay, clock: HandClock, late_sec: float) -> float:
    return delay.observe(clock.wall_ms - round(late_sec * 1000), clock.now())


def test_the_allowance_is_the_longest_recent_delay_and_never_below_the_floor() -> None:
    clock = HandClock()
    delay = PushDelay(ExchangeClock(), floor_sec=0.25)
    assert delay.allowance_sec(clock.now()) == 0.25
    assert push(delay, clock, -3.0) == -3.0
    assert delay.allowance_sec(clock.now()) == 0.25
    assert push(delay, clock, 0.7) == 0.7
    assert push(delay, clock, 0.1) == 0.1
    assert delay.allowance_sec(clock.now()) == 0.7
    clock.turn(8 * 60)
    push(delay, clock, 0.4)
    assert delay.allowance_sec(clock.now()) == 0.7
    clock.turn(3 * 60)
    assert delay.allowance_sec(clock.now()) == 0.4
    clock.turn(600)
    assert delay.allowance_sec(clock.now()) == 0.25


def test_a_delay_seen_by_a_misjudged_clock_is_forgotten_when_that_is_set_right() -> None:
    clock = HandClock()
    exchange_clock = ExchangeClock()
    delay = PushDelay(exchange_clock)
    exchange_clock.lead_sec = 30.0
    push(delay, clock, 0.3)
    assert delay.allowance_sec(clock.now()) == 30.3
    exchange_clock.lead_sec = 0.0
    assert delay.allowance_sec(clock.now()) == 0.25


def test_a_clock_that_was_set_forward_makes_no_earlier_push_late() -> None:
    clock = HandClock()
    exchange_clock = ExchangeClock()
    delay = PushDelay(exchange_clock)
    push(delay, clock, 0.3)
    clock.turn(60)
    exchange_clock.lead_sec = 45.0
    assert delay.allowance_sec(clock.now()) == 0.25
    exchange_clock.lead_sec = 45.9
    push(delay, clock, 0.3 - 45.9)
    assert delay.allowance_sec(clock.now()) == 0.3


def test_a_transaction_time_of_long_ago_says_nothing_of_delays() -> None:
    clock = HandClock()
    delay = PushDelay(ExchangeClock())
    delay.observe(0, clock.now())
    push(delay, clock, 61)
    assert delay.allowance_sec(clock.now()) == 0.25
    push(delay, clock, 60)
    assert delay.allowance_sec(clock.now()) == 60.0
