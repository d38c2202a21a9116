"""Benchmarks: the daemon beside the least that any program on the same Redis has to do, in one run.

Every contender is a process of its own on one private redis-server, and gets the same plans:

* `floor`: one blocking socket, XREADGROUP → SET + XACK, no checks (`bare_floor`);
* `bridge`: the same through trio-asyncio and redis-py, one crossing a batch (`bridge_floor`);
* `predecessor`: one loop, a read of the position a candidate, ten plans a read (`predecessor`);
* `daemon`: `position-state-brain run`, all checks on.

Absolute numbers belong to the machine and its mood; the ratios are what to compare.
"""
