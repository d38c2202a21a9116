"""Libraries that log whole addresses: query, signature, listen key and all."""

from __future__ import annotations

import logging

_TALKATIVE = ("httpx", "httpcore", "trio-websocket")


def keep_addresses_out_of_logs() -> None:
    """Silence, below WARNING, the libraries that would write secrets into the log."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
