"""The conversation alone: no Redis, time turned by hand."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ReadOnlyError, ResponseError

from gate_testing.permits import SYMBOL, governor_permit, p33_permit
from permit_gate import GOVERNOR, P33, Ask, GateRules, Granted, PermitSource, Refusal, Refused
from permit_gate.ask import LOOK_AGAIN_SEC, POLL_SEC, AwaitPush, Pause, Send


class Talk:
    """Carries a conversation on, and keeps what it asked for."""

    def __init__(
        self,
        plan_id: str = "a",
        *,
        timeout_sec: float = 1.2,
        rules: GateRules | None = None,
        pushes: bool = True,
    ) -> None:
        self.now_sec = 100.0
        self.answer: Granted | Refused | None = None
        self.error: ResponseError | None = None
        ask = Ask(plan_id, SYMBOL, (GOVERNOR, P33), rules)
        self._conversation = ask.conversation(lambda: self.now_sec, timeout_sec, pushes=pushes)
        self.step: Any = None
        self.reply(None)

    def reply(self, reply: object) -> None:
        try:
            self.step = self._conversation.send(reply)
        except StopIteration as end:
            self.step, self.answer = None, end.value
        except ResponseError as error:
            self.step, self.error = None, error

    def asked(self) -> list[str]:
        """The names of the commands it wants sent."""
        assert isinstance(self.step, Send)
        return [str(command[0]) for command in self.step.commands]


def _refusal(talk: Talk) -> Refusal:
    assert isinstance(talk.answer, Refused)
    return talk.answer.reason


_NOTHING = [None, None, None]


def test_permits_that_are_there_are_consumed_at_the_second_step() -> None:
    talk = Talk()
    assert talk.step.commands == (
        ("CLIENT", "TRACKING", "ON", "NOLOOP"),
        ("MGET", "quantum:permit_gate:consumed:a", "quantum:permit:a", "quantum:permit:p33:a"),
    )
    talk.reply([b"OK", [None, governor_permit(), p33_permit("a")]])
    assert talk.asked() == ["EVAL", "CLIENT"]
    talk.reply([[b"consumed"], b"OK"])
    assert isinstance(talk.answer, Granted)
    assert [permit.source for permit in talk.answer.permits] == [GOVERNOR, P33]


def test_it_listens_before_it_looks_so_that_no_change_falls_between() -> None:
    talk = Talk()
    assert talk.asked() == ["CLIENT", "MGET"]
    talk.reply([b"OK", _NOTHING])
    assert talk.step == AwaitPush(LOOK_AGAIN_SEC)
    talk.reply(None)
    assert talk.asked() == ["MGET"]


def test_a_connection_is_given_back_with_tracking_off() -> None:
    talk = Talk()
    talk.reply([b"OK", [None, governor_permit(granted=False), None]])
    assert talk.step.commands == (("CLIENT", "TRACKING", "OFF"),)
    talk.reply([b"OK"])
    assert _refusal(talk) is Refusal.PERMIT_DENIED


def test_it_looks_every_5_ms_while_pushes_are_not_to_be_had() -> None:
    talk = Talk()
    talk.reply([NoPermissionError("no permissions to run the 'client|tracking' command"), _NOTHING])
    assert talk.step == Pause(POLL_SEC)
    talk.reply(None)
    assert talk.asked() == ["MGET"]
    talk.now_sec += 1.2
    talk.reply([_NOTHING])
    assert _refusal(talk) is Refusal.PERMIT_TIMEOUT


def test_after_the_timeout_the_answer_names_what_is_missing() -> None:
    talk = Talk(timeout_sec=1.2)
    talk.now_sec += 1.2
    talk.reply([b"OK", [None, None, p33_permit("a")]])
    talk.reply([b"OK"])
    assert str(talk.answer) == "permit_timeout (missing: Governor)"


def test_it_never_listens_beyond_its_timeout() -> None:
    talk = Talk(timeout_sec=0.02)
    talk.reply([b"OK", _NOTHING])
    assert talk.step.timeout_sec == pytest.approx(0.02)


def test_a_permit_that_changed_between_look_and_consumption_is_looked_at_again() -> None:
    talk = Talk()
    talk.reply([b"OK", [None, governor_permit(), p33_permit("a")]])
    talk.reply([[b"changed"], b"OK"])
    assert talk.asked() == ["CLIENT", "MGET"]
    talk.reply([b"OK", [b"apply-layer", None, None]])
    talk.reply([b"OK"])
    assert _refusal(talk) is Refusal.PERMIT_ALREADY_CONSUMED


def test_permits_that_keep_changing_are_refused_in_the_end() -> None:
    talk = Talk(timeout_sec=1.2)
    talk.reply([b"OK", [None, governor_permit(), p33_permit("a")]])
    talk.now_sec += 1.2
    talk.reply([[b"changed"], b"OK"])
    assert _refusal(talk) is Refusal.PERMIT_TIMEOUT


def test_a_connection_that_reads_no_pushes_is_looked_at_every_5_ms_and_never_asked_for_them() -> None:
    talk = Talk(pushes=False)
    assert talk.asked() == ["MGET"]
    talk.reply([_NOTHING])
    assert talk.step == Pause(POLL_SEC)
    talk.reply(None)
    talk.reply([[None, governor_permit(), p33_permit("a")]])
    assert talk.asked() == ["EVAL"]
    talk.reply([[b"consumed"]])
    assert isinstance(talk.answer, Granted)


@pytest.mark.parametrize(
    "error", [ReadOnlyError("replica"), ResponseError("OOM"), ResponseError("MASTERDOWN")]
)
def test_a_server_that_refuses_ends_the_conversation_and_its_connection(error: ResponseError) -> None:
    consuming = Talk()
    consuming.reply([b"OK", [None, governor_permit(), p33_permit("a")]])
    consuming.reply([error, b"OK"])
    assert consuming.error is error
    looking = Talk()
    looking.reply([b"OK", error])
    assert looking.error is error


@pytest.mark.parametrize("reply", [[b"ok"], [], [b"consumed", b"twice"], [b"too_old"], [b"hold", b"x", b"y"]])
def test_a_reply_of_the_script_that_is_no_consumption_is_no_grant(reply: object) -> None:
    talk = Talk()
    talk.reply([b"OK", [None, governor_permit(), p33_permit("a")]])
    talk.reply([reply, b"OK"])
    assert _refusal(talk) is Refusal.REDIS_ERROR


@pytest.mark.parametrize("plan_id", ["", "p33:a", "p26:a", "a\n", "ä", "x" * 257])
def test_a_plan_id_that_could_name_another_permit_is_refused_unasked(plan_id: str) -> None:
    assert _refusal(Talk(plan_id)) is Refusal.PLAN_ID_UNUSABLE


def test_an_ask_for_no_permit_is_a_mistake_and_no_grant() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Ask("a", SYMBOL, ())
    with pytest.raises(ValueError, match="each of them once"):
        Ask("a", SYMBOL, (P33, P33))


def test_a_source_must_name_the_plan_in_its_key() -> None:
    with pytest.raises(ValueError, match="plan_id"):
        PermitSource("Brake", "{prefix}:permit:brake", "ok")


def test_the_key_is_not_shown_with_the_rules() -> None:
    assert "secret" not in repr(GateRules(signing_key="secret"))
