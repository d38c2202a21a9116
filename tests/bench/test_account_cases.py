from __future__ import annotations

from bench.account_cases import latencies


def test_the_slowest_of_many_accounts_is_compared_with_the_daemon_alone() -> None:
    alone = [0.001] * 98 + [0.002] * 2
    quick, slow = [0.001] * 100, [0.001] * 98 + [0.005] * 2
    found = {(figure.case, figure.measure): figure.value for figure in latencies(alone, [quick, slow, quick])}
    together = "ten accounts on one Redis, 20 plans/s each"
    assert found == {
        ("an account alone, 20 plans/s each", "plan → permit, p50"): 1.0,
        ("an account alone, 20 plans/s each", "plan → permit, p99"): 2.0,
        (together, "plan → permit, p50 of the slowest"): 1.0,
        (together, "plan → permit, p99 of the slowest"): 5.0,
        (together, "p99 of the slowest, as a multiple of alone"): 2.5,
    }
