"""Commits of decisions, and denies that rest on no state."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.plans import Refusal
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import FailureCounter
from brain.decisions.answer import Answer
from brain.decisions.dead_letter import dead_letter
from brain.identifiers import FencingToken
from clocks.clocks import Clocks
from monitoring.recent_decisions import RecentDecision
from store.protocol import PlanStore
from store.records import Broken, CommitReply, Committed, DecisionCommit

#: Reading, deciding or reporting so many plans takes 1 to 2 ms, in which no other task runs: not even what
#: sends the commit of the batch before, which Redis is to carry out meanwhile.
PLANS_AT_A_TIME = 16


async def commit_decisions(
    store: PlanStore, clocks: Clocks, fence: FencingToken, commits: Sequence[DecisionCommit]
) -> CommitReply:
    """Commit decisions, and learn Redis's clock from the answer. Raises as the store does."""
    sent = clocks.now()
    reply = await store.commit_decisions(fence, commits)
    clocks.redis.observe(reply.now_ms, sent, clocks.now())
    return reply


class PlanRefuser:
    """Part of the permit evaluator: denies plans that cannot be read, or could not be decided."""

    def __init__(
        self,
        store: PlanStore,
        *,
        clocks: Clocks,
        writer: DecisionWriter,
        reports: DecisionReports,
        failures: FailureCounter,
    ) -> None:
        """`failures` outlives this actor."""
        self._store = store
        self._clocks = clocks
        self._writer = writer
        self._reports = reports
        self._failures = failures

    async def refuse(self, refusals: Sequence[Refusal], fence: FencingToken) -> None:
        """Commit denies that rest on no state; where that cannot be written, write a dead letter alone."""
        if not refusals:
            return
        created_at_sec = self._clocks.redis_now_ms() / 1000
        answers: list[Answer] = []
        commits: list[DecisionCommit] = []
        for number, each in enumerate(refusals):
            if number and number % PLANS_AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
            fields = each.entry.fields or {}
            answer = Answer(each.entry.id, each.plan_id, each.symbol, each.decision, None, fields)
            dead_fields: tuple[str, ...] = ()
            if each.error is not None:
                dead_fields = dead_letter(fields, entry_id=each.entry.id, error=each.error)
            answers.append(answer)
            commits.append(
                self._writer.commit(
                    answer,
                    assumed=None,
                    deadline_ms=0,
                    created_at_sec=created_at_sec,
                    dead_fields=dead_fields,
                )
            )
        reply = await commit_decisions(self._store, self._clocks, fence, commits)
        answered = zip(refusals, answers, reply.verdicts, strict=True)
        for number, (each, answer, verdict) in enumerate(answered):
            if number and number % PLANS_AT_A_TIME == 0:
                # What is committed is reported, whatever ends this task.
                await trio.lowlevel.cancel_shielded_checkpoint()
            if isinstance(verdict, Committed):
                self._reports.decided([RecentDecision(answer, reply.now_ms, each.entry.published_ms)])
                if each.error is not None:
                    self._reports.dead_letter(each.entry.id, each.error)
            elif isinstance(verdict, Broken):
                letter = dead_letter(each.entry.fields or {}, entry_id=each.entry.id, error=verdict.error)
                await self._store.plans.dead_letter(fence, each.entry.id, letter)
                self._reports.dead_letter(each.entry.id, verdict.error)
            self._failures.done(each.entry.id)
