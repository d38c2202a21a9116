"""The stand-in for the exchange as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import trio

from simulator import RunningSimulator, SimulatedExchange, SimulatorAddresses
from simulator.stream_server import StreamServer
from tests.integration.waiting import until

_SOURCES = Path(__file__).resolve().parents[2]


class ExchangeProcess:
    """The stand-in as a process of its own: the same ports after every start, and each time a new account."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "exchange"
        self._process: trio.Process | None = None
        self.addresses = SimulatorAddresses("http://127.0.0.1:0", "ws://127.0.0.1:0")

    async def start(self) -> None:
        """Start it where it was before, and wait until it listens."""
        rest_port, stream_port = (urlsplit(url).port for url in msgspec.structs.astuple(self.addresses))
        with self._output.open("wb") as output:
            self._process = await trio.lowlevel.open_process(
                [
                    *(sys.executable, "-m", "commands", "simulate-exchange"),
                    *("--rest-port", str(rest_port), "--stream-port", str(stream_port)),
                ],
                cwd=_SOURCES,
                stdin=subprocess.DEVNULL,
                stdout=output,
            )
        await until(lambda: self._output.read_bytes().endswith(b"\n"), "its addresses", within_sec=60)
        self.addresses = msgspec.json.decode(self._output.read_bytes(), type=SimulatorAddresses)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    async def control(self, path: str, body: object) -> None:
        """Send a control request, POST."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.addresses.rest_url}/simulator/{path}", json=body)
        assert answer.status_code == 200, answer.text

    async def look(self, path: str) -> Any:
        """Return the answer to a control request, GET."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.addresses.rest_url}/simulator/{path}", timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def as_running(self) -> RunningSimulator:
        """Return it as tests of a simulator in their own process have it; its account is not this one's."""
        account = SimulatedExchange()
        return RunningSimulator(account, StreamServer(account), self.addresses)


@asynccontextmanager
async def exchange_process() -> AsyncIterator[ExchangeProcess]:
    with tempfile.TemporaryDirectory() as name:
        exchange = ExchangeProcess(Path(name))
        try:
            await exchange.start()
            yield exchange
        finally:
            with trio.CancelScope(shield=True):
                await exchange.kill()
