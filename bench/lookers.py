"""Ten people with a page each, which each loads again every two seconds, as the pages themselves do.

`python -m bench.lookers ADDRESS SYMBOL` prints a line once every page was loaded. It runs until SIGTERM.
"""

from __future__ import annotations

import sys
from functools import partial

import httpx
import trio

_EVERY_SEC = 2.0
_PATIENCE_SEC = 10.0
_PAGES = (
    "/",
    "/",
    "/",
    "/status",
    "/decisions",
    "/decisions?answer=deny&sort=latency",
    "/history",
    "/waiting",
    "/notices",
    "/symbols/{symbol}",
)


async def look(address: str, symbol: str) -> None:
    """Load the pages until cancelled. Raises httpx.HTTPError for a page that is not served."""
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=_PATIENCE_SEC) as client:
        pages = [page.format(symbol=symbol) for page in _PAGES]
        for page in pages:
            (await client.get(page)).raise_for_status()
        print("looking", flush=True)
        async with trio.open_nursery() as nursery:
            for number, page in enumerate(pages):
                nursery.start_soon(partial(_load, client, page, number * _EVERY_SEC / len(pages)))


async def _load(client: httpx.AsyncClient, page: str, delay_sec: float) -> None:
    await trio.sleep(delay_sec)
    while True:
        (await client.get(page)).raise_for_status()
        await trio.sleep(_EVERY_SEC)


if __name__ == "__main__":
    trio.run(look, sys.argv[1], sys.argv[2])
