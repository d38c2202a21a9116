"""The documents' examples, pasted one after another as a reader would."""

from __future__ import annotations

import hmac
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
import trio

from brain.decisions.dead_letter import dead_letter
from brain.identifiers import EntryId
from commands.demo.children import free_port
from permit_gate import sign
from simulator import RunningSimulator
from tests.deploy.conftest import system_redis as system_redis
from tests.deploy.retrying import patiently
from tests.docs.documents import DOCUMENTS, ROOT, Block, blocks
from tests.docs.reader import examples, reader
from tests.docs.stage import build_stage, stage_environment
from tests.integration.conftest import simulator as simulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import PLANS, RESULTS, Pipeline
from tests.integration.surroundings import environment, trade
from tests.integration.waiting import until

OPERATIONS, INTEGRATION, PERMITS = "docs/operations.md", "docs/integration.md", "docs/permits.md"
#: What is shown here does not hang on how fast the machine is.
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60", "P33_STALE_THRESHOLD_SEC": "25"}
WITHIN_SEC = 20.0
NO_UNIVERSE = "P3.3 allowlist source=none "
#: Of an example: a service that runs already reads the universe once a minute.
LONGEST_PAUSE_SEC = 90.0


def test_every_example_is_run_by_one_of_the_tests_below() -> None:
    run = {("sh", OPERATIONS), ("python", INTEGRATION), ("python", PERMITS)}
    shown = {
        (block.language, document)
        for document in DOCUMENTS
        for block in blocks(document)
        if block.language in ("sh", "bash", "console", "shell", "python", "py")
    }
    assert shown == run


@pytest.mark.parametrize(
    ("service_first", "settings"),
    # A service that runs already reads the universe once a minute by default.
    [(False, {}), (True, {"P33_ALLOWLIST_REFRESH_S": "5"})],
    ids=["universe-first", "service-first"],
)
async def test_the_integration_guide_works_as_pasted_on_default_settings_whatever_comes_first(
    redis_server: str,
    simulator: RunningSimulator,
    tmp_path: Path,
    service_first: bool,
    settings: dict[str, str],
) -> None:
    port = free_port()
    # Addresses and keys are all that is given.
    given = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_server,
        "BINANCE_REST_URL": simulator.addresses.rest_url,
        "BINANCE_WS_URL": simulator.addresses.ws_url,
        "BINANCE_API_KEY": simulator.exchange.api_key,
        "BINANCE_API_SECRET": simulator.exchange.api_secret,
    }
    imports, universe, *others = examples(INTEGRATION)
    async with (
        reader({**given, "SERVICE_URL": f"http://127.0.0.1:{port}"}, tmp_path) as pasting,
        AsyncExitStack() as service,
    ):
        await pasting.paste(INTEGRATION, imports, WITHIN_SEC)
        run = daemon_process({**given, **settings, "P33_METRICS_PORT": str(port)})
        if service_first:
            daemon = await service.enter_async_context(run)
            await until(lambda: NO_UNIVERSE in daemon.output, "it finds no universe", WITHIN_SEC)
        await pasting.paste(INTEGRATION, universe, WITHIN_SEC)
        if not service_first:
            await service.enter_async_context(run)
        for block in others:
            await pasting.paste(INTEGRATION, block, LONGEST_PAUSE_SEC)
    pipeline = Pipeline(redis_server)
    assert pipeline.decisions() == {"entry-1": 1, "exit-1": 1, "repair-1": 1}
    assert pipeline.dead_letters(PLANS) + pipeline.dead_letters(RESULTS) == []
    assert simulator.exchange.position("BTCUSDT").amount == Decimal("0.025")


@pytest.mark.process
@pytest.mark.parametrize(
    "text", ["x = (1 +* 2)\n", "def f():\n    x = 1\n\n    return x\n", "1 / 0\n", "if True:\nx = 1\n"]
)
async def test_an_example_that_does_not_run_is_noticed(tmp_path: Path, text: str) -> None:
    async with reader({}, tmp_path) as pasting:
        with pytest.raises(AssertionError, match="Error"):
            await pasting.paste(INTEGRATION, Block("python", text, 1), WITHIN_SEC)
        await pasting.paste(INTEGRATION, Block("python", "x = 1\n", 2), WITHIN_SEC)


def test_a_signature_is_checked_as_the_document_says() -> None:
    (block,) = [block for block in blocks(PERMITS) if block.language == "python"]
    text, key = b'{"plan_id":"x","allow":true}', b"key"
    genuine = text[:-1] + f',"signature":"{sign(text, key)}"}}'.encode()
    forged = genuine.replace(b"true", b"null")
    for permit, expected in ((genuine, True), (forged, False)):
        names: dict[str, Any] = {"re": re, "hmac": hmac, "permit": permit, "key": key}
        exec(block.text, names)  # noqa: S102 - our own document
        assert names["genuine"] is expected


@pytest.mark.system_tools
def test_the_actor_that_contributors_copy_works(tmp_path: Path) -> None:
    diff = next(block.text for block in blocks("CONTRIBUTING.md") if block.language == "diff")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    tests = "tests/actors/test_plan_sources.py tests/docs/test_documents.py -k 'plans_are or every_actor'"
    for command in ("git apply -", f"{sys.executable} -m ruff check", f"{sys.executable} -m pytest {tests}"):
        subprocess.run(shlex.split(command), cwd=tmp_path / "copy", input=diff, text=True, check=True)  # noqa: S603


@pytest.fixture
def own_redis(system_redis: Path, tmp_path: Path) -> Iterator[Path]:
    """The socket of a Redis with a configuration file, as a package installs it, and its defaults."""
    config, socket = tmp_path / "redis.conf", tmp_path / "redis.sock"
    config.write_text(f"port 0\nunixsocket {socket}\ndir {tmp_path}\nlogfile redis.log\n")
    process = subprocess.Popen([system_redis, config], stdin=subprocess.DEVNULL)  # noqa: S603
    try:
        patiently(lambda: redis.Redis(unix_socket_path=str(socket)).ping(), redis.ConnectionError)
        yield socket
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def operated(own_redis: Path, simulator: RunningSimulator) -> AsyncIterator[dict[str, str]]:
    """The environment of a service with a position, a denied plan and a dead letter, for its operator."""
    environ = environment(f"unix://{own_redis}?db=0", simulator, PATIENT)
    trade(simulator.exchange, "BTCUSDT", "BUY", "0.028")
    async with daemon_process(environ) as daemon:
        url = await daemon.ready()
        pipeline = Pipeline(environ["REDIS_URL"])
        await pipeline.ask("7f3a90c1-2b5d", {"symbol": "BTCUSDT", "decision": "EXECUTE"}, WITHIN_SEC)
        refused = {b"plan_id": b"7f3a90c1-2b5d", b"symbol": b"BTCUSDT", b"executed": b"False"}
        entry_id = EntryId(f"{time.time_ns() // 1_000_000}-0")
        letter = dead_letter(refused, entry_id=entry_id, error="ledger of a wrong type")
        letters = redis.Redis(unix_socket_path=str(own_redis))
        letters.xadd(f"{RESULTS}.dead", dict(zip(letter[::2], letter[1::2], strict=True)), "1790000000007-0")
        yield {**environ, "P33_METRICS_PORT": url.rpartition(":")[2]}


@pytest.mark.system_tools
async def test_commands_for_operators_work(operated: dict[str, str], own_redis: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{operated['P33_METRICS_PORT']}"
    checkout = build_stage(tmp_path / "stage", url=url, socket=own_redis)
    environ = stage_environment(checkout, operated)
    ran = 0
    for block in blocks(OPERATIONS):
        if block.language != "sh":
            continue
        # Every line by itself: with -e a pipe's or a condition's failure could hide.
        for number, line in enumerate(block.text.splitlines(), block.line):
            done = await trio.run_process(
                ["bash", "-euo", "pipefail", "-c", line],
                cwd=checkout,
                env=environ,
                stdin=b"from a pipe\n",
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
            assert done.returncode == 0, f"{OPERATIONS}:{number}: {line}\n" + (
                done.stdout + done.stderr
            ).decode(errors="replace")
            ran += 1
    assert ran > 30
