"""The demo with a fault, as a program: `python -m tests.integration.faulty_demo FAULT LOAD demo …`.

LOAD is the verdict on the machine: `busy` or `calm`, whatever it is, or `as-it-is`.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence

import pytest

import commands
from commands.demo import final_check, machine_load, runner, service_executor
from commands.demo.accounting import Caused
from commands.demo.exchange_client import ExchangeClient
from commands.demo.final_check import FinalCheck
from commands.demo.machine_load import LoadMeter
from commands.demo.other_services import OtherServices
from commands.demo.record import Record

_BUSY_FROM = {"busy": 0.0, "calm": float("inf"), "as-it-is": machine_load._TOO_BUSY}


async def _check_after_a_trade_by_hand(
    services: OtherServices,
    exchange: ExchangeClient,
    symbols: Sequence[str],
    meter: LoadMeter,
    record: Record,
    caused: Caused,
) -> FinalCheck:
    traded = (await exchange.symbols())[-1]
    await exchange.move_position(traded.name, traded.step)
    return await final_check.check_final_state(services, exchange, symbols, meter, record, caused)


def _give(fault: str, patch: pytest.MonkeyPatch) -> None:
    if fault == "ledger-differs":
        patch.setattr(final_check, "_WITHIN_SEC", 0.5)
        patch.setattr(runner, "check_final_state", _check_after_a_trade_by_hand)
    elif fault == "impatient":
        patch.setattr(service_executor, "_RESULT_WITHIN_SEC", 0.001)
    elif fault == "no-space":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    else:
        raise ValueError(fault)


if __name__ == "__main__":
    fault, load, *arguments = sys.argv[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_load, "_TOO_BUSY", _BUSY_FROM[load])
        _give(fault, patch)
        sys.exit(commands.main(arguments))
