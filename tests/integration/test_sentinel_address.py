"""The daemon and the operators' commands at the address of Sentinels, and where there is no primary."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.surroundings import environment, is_ready, is_unready
from tests.store.sentinel_servers import SENTINEL_PASSWORD, Server, free_port, sentinel_site
from tests.store.test_server_modes import CLUSTER, SENTINEL

PLAIN = 'port {port}\nbind 127.0.0.1\nsave ""\nuser p33 on >secret ~* &* +@all\n'

_ROOT = Path(__file__).resolve().parents[2]


async def run(environ: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = await trio.run_process(
        [sys.executable, "-m", "commands", *arguments],
        cwd=_ROOT,
        env=dict(environ),
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode()


async def test_every_command_follows_the_sentinels_as_the_daemon_does(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.write_text("of-another\n")
    right.write_text(f"{SENTINEL_PASSWORD}\n")
    async with sentinel_site() as site:
        own = {"P33_METRICS_PORT": str(free_port()), "REDIS_SENTINEL_PASSWORD_FILE": str(right)}
        environ = environment(site.url_without_password, simulator, own)
        async with daemon_process(environ) as daemon:
            await daemon.ready()
            code, shown = await run(environ, "check")
            assert "redis+sentinel://***@127.0.0.1" in shown and "replica" not in shown, shown
            code, shown = await run(environ, "proof")
            assert code == 0, shown
            code, shown = await run(environ, "replay", "--last", "10")
            assert code == 0, shown
            code, shown = await run(environ, "status")
            assert code == 0, shown
            code, shown = await run(environ, "explain", "unknown-plan")
            assert code == 1 and "unknown-plan" in shown, shown
            for text in (shown, daemon.output):
                assert "of-client" not in text and SENTINEL_PASSWORD not in text
        code, shown = await run(environ | {"REDIS_SENTINEL_PASSWORD_FILE": str(wrong)}, "check")
        assert code == 1 and "AuthenticationError" in shown and "REDIS_SENTINEL_PASSWORD" in shown, shown


@pytest.mark.parametrize(
    ("configuration", "arguments", "words"),
    [
        (SENTINEL, ("--sentinel",), "a Sentinel answers there, which keeps no data"),
        (CLUSTER, (), "a node of a Redis Cluster answers there, which this service cannot use"),
    ],
    ids=["sentinel", "cluster"],
)
async def test_a_server_of_the_wrong_kind_is_waited_out_with_one_clear_line(
    simulator: RunningSimulator, tmp_path: Path, configuration: str, arguments: tuple[str, ...], words: str
) -> None:
    server = Server(tmp_path / "server", configuration, *arguments)
    plain = Server(tmp_path / "plain", PLAIN.replace("{port}", str(server.port)))
    environ = environment(f"redis://p33:secret@127.0.0.1:{server.port}/0", simulator, {})
    try:
        server.start()
        async with daemon_process(environ) as daemon:
            url = await daemon.url()
            await is_unready(url, "waiting for Redis at", words, within_sec=20)
            code, shown = await run(environ, "check")
            assert code == 1 and words in shown and "the Sentinels that know it" in shown, shown
            assert [line for line in daemon.output.splitlines() if "is away" in line and words in line]
            server.kill()
            plain.start()
            await is_ready(lambda: url, within_sec=20)
            assert daemon.alive and "Actor failed" not in daemon.output
            assert "Traceback" not in daemon.output + daemon.errors and "secret" not in daemon.output
    finally:
        server.kill()
        plain.kill()


@pytest.mark.parametrize(
    "url",
    ["redis+sentinel://127.0.0.1:26379", "redis+sentinel://127.0.0.1:x/quantum", "redis+sentinel:///quantum"],
)
async def test_an_address_of_sentinels_that_is_not_whole_ends_the_start_with_code_78(
    simulator: RunningSimulator, url: str
) -> None:
    async with daemon_process(environment(url, simulator, {})) as daemon:
        assert await daemon.ends(20) == 78
        (line,) = daemon.errors.splitlines()
        assert (
            line.startswith("position-state-brain: REDIS_URL=*** is not allowed") and "/SERVICE[/db]" in line
        )
