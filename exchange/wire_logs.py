"""Log levels of libraries that log whole addresses, with signature and listen key."""

from __future__ import annotations

import logging

_TALKATIVE = ("httpx", "httpcore", "trio-websocket")


def keep_addresses_out_of_logs() -> None:
    """Set to WARNING the libraries that would write secrets into the log."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
