"""One change by an operator: a look at the state, a question, and a write that compares."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
import trio

from commands.console.questions import Ask, is_yes
from monitoring.acts.act import Act, ForceNeededError, RefusedActError, is_unanswered
from monitoring.acts.wording import OPERATOR
from settings import Settings
from store.errors import StoreError, StoreUnavailableError
from store.keys import ExecutorKeys, Keys
from store.operator_protocol import OperatorStore
from store.redis.store import open_redis_store

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True):
    """The reason of a change, and consent: given before (`yes`), or by a question (None: no terminal)."""

    reason: str
    yes: bool = False
    ask: Ask | None = None


class NotChangedError(Exception):
    """Nothing was changed; the message says why."""


class OutcomeUnknownError(StoreUnavailableError):
    """Redis did not answer to a write: it may have been done."""


class Operator:
    """An operator's access to the switches: a connection for each look and each change."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Take the environment for the person's name behind sudo."""
        self.settings = settings
        self.keys = ExecutorKeys(Keys(settings.key_prefix))
        #: The person; and the owner of the person's holds, as it is stored.
        self.name = environ.get("SUDO_USER") or getpass.getuser()
        self.sig = f"{OPERATOR}{self.name}"

    def perform(self, order: Order, prepare: Callable[[OperatorStore], Awaitable[Act]]) -> None:
        """Show an act, ask, and write.

        Raises NotChangedError, OutcomeUnknownError, and other StoreErrors where nothing was written.
        """
        try:
            act = self.run(prepare)
        except RefusedActError as refused:
            for line in refused.present:
                print(line)
            advice = "; --force does so all the same" if isinstance(refused, ForceNeededError) else ""
            raise NotChangedError(f"{refused}{advice}") from refused
        for line in (*act.present, *act.change):
            print(line)
        if act.write is None:
            return
        if not order.yes:
            if order.ask is None:
                raise NotChangedError("there is no terminal to ask at: --yes agrees; nothing was changed")
            if not is_yes(order.ask(f"{act.question} [y/N]")):
                raise NotChangedError("nothing was changed")
        try:
            done = self.run(act.write)
        except RefusedActError as refused:
            raise NotChangedError(str(refused)) from refused
        except StoreError as error:
            if not is_unanswered(error):
                raise
            raise OutcomeUnknownError(f"{error}: it may have been done: look before you repeat it") from error
        if done is None:
            raise NotChangedError("the state is another than shown above by now: nothing was changed")
        print(done)

    def run(self, call: Callable[[OperatorStore], Awaitable[T]]) -> T:
        """Return the answer of a call of the store. Raises StoreError, RefusedActError."""

        async def run() -> T | StoreError | RefusedActError:
            own = self.settings
            async with open_redis_store(
                own.redis.url(), prefix=own.key_prefix, consumer=own.instance
            ) as store:
                try:
                    return await call(store)
                except (StoreError, RefusedActError) as error:  # raised here it would come out in a group
                    return error

        answer = trio.run(run)
        if isinstance(answer, StoreError | RefusedActError):
            raise answer
        return answer
