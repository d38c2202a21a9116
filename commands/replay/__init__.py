"""`replay`: recorded decisions made again, to compare answers or to try other settings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from redis.exceptions import RedisError
from rich.console import Console

from commands.clients.redis_reading import RedisReading, reading
from commands.console.progress import with_progress
from commands.console.terminal import show
from commands.replay.overrides import parse_changes
from commands.replay.records import NotExportedError, RecordedEntry, exported, from_file, from_stream
from commands.replay.roles import subject_of
from commands.replay.subject import NotReplayedError, Subject
from commands.replay.tally import ReplayTally
from commands.replay.view import replay_view

_EXIT_FAILURE = 1


class ReplayOptions(msgspec.Struct, frozen=True):
    """Source (`file`, else the audit stream: the newest `last`, the last `since_sec`, or all of it), changed
    settings, and file for the export.

    `role`: the decider, P3.3 unless a setting of another is changed; `shadow`: the records of its shadow.
    """

    changes: Sequence[str] = ()
    last: int | None = None
    since_sec: float | None = None
    file: Path | None = None
    export: Path | None = None
    role: str | None = None
    shadow: bool = False

    def subject(self) -> Subject:
        """Return the decider whose records are asked for."""
        return subject_of(self.role, self.changes)


def replay(environ: Mapping[str, str], options: ReplayOptions) -> int:
    """Replay and print the report. Raises SettingsError, also for changes that cannot be tried out.

    Exit code 1: a decision differs though no setting was changed, a record cannot be read, or there are none.
    """
    subject = options.subject()
    changes = parse_changes(options.changes, subject)
    tally = ReplayTally(changed_settings=bool(changes))
    where = ""
    try:
        with ExitStack() as resources:
            if options.file is not None:
                where, total = str(options.file), None
                entries = from_file(options.file)
            else:
                redis = resources.enter_context(reading(environ))
                where = f"Redis at {redis.address}"
                stream = subject.stream(redis.keys, options.shadow)
                entries, total = _recorded(redis, stream, options, sparse=subject.sparse)
                where = f"{stream} of {where}"
            if options.export is not None:
                entries = exported(entries, resources.enter_context(options.export.open("xb")))
            shown = with_progress(entries, "Replaying", total, Console(stderr=True))
            _replay_all(shown, subject, changes, tally)
    except (RedisError, NotExportedError) as error:
        print(f"position-state-brain: {where}: {error}", file=sys.stderr)
        return _EXIT_FAILURE
    except OSError as error:
        print(f"position-state-brain: {error.filename}: {error.strerror}", file=sys.stderr)
        return _EXIT_FAILURE
    show(replay_view(tally, subject, where, options.changes, options.export))
    failed = tally.records == 0 or (not changes and (tally.differing > 0 or tally.unreadable > 0))
    return _EXIT_FAILURE if failed else 0


def _recorded(
    redis: RedisReading, stream: str, options: ReplayOptions, *, sparse: bool
) -> tuple[Iterator[RecordedEntry], int | None]:
    """Return the requested entries, and their number where it is known."""
    if options.since_sec is not None:
        since_ms = redis.now_ms() - round(options.since_sec * 1000)
        return from_stream(redis, stream, since_ms=since_ms, sparse=sparse), None
    entries = from_stream(redis, stream, last=options.last, sparse=sparse)
    length = int(redis.client.xlen(stream))
    return entries, None if sparse else min(length, options.last or length)


def _replay_all(
    entries: Iterable[RecordedEntry], subject: Subject, changes: Mapping[str, object], tally: ReplayTally
) -> None:
    for entry in entries:
        try:
            tally.take(subject.again(entry.record, changes))
        except NotReplayedError as error:
            tally.refused(error, entry.id)
