"""Benchmarks: the daemon against floors, the least work of any program on the same Redis, in one run.

Each contender is a process of its own on one private redis-server, and gets the same plans:

* `floor`: one blocking socket, XREADGROUP → SET + XACK, no checks (`bare_floor`);
* `bridge`: the same through trio-asyncio and redis-py, one round trip a batch (`bridge_floor`);
* `predecessor`: one loop, a read of the position a candidate, ten plans a read (`predecessor`);
* `daemon`: `position-state-brain run`, all checks on.

Absolute numbers depend on the machine and its load: compare the ratios.
"""
