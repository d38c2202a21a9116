"""Sessions of persons who act on the page: opened with the token, kept in memory, 8 h long."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass

from clock import Clock
from page.act_content import ActDone
from settings.secret import Secret

SESSION_SEC = 8 * 3600
_MOST_SESSIONS = 32
_MOST_FAILURES, _WITHIN_SEC = 5, 60.0
#: How long a page says what became of an act that began there.
_SAID_SEC = 60.0


class WrongTokenError(Exception):
    """The token is another."""


class TooManyFailuresError(Exception):
    """Five tokens were wrong within a minute; `wait_sec` until the next is compared."""

    def __init__(self, wait_sec: float) -> None:
        super().__init__()
        self.wait_sec = wait_sec


@dataclass
class Session:
    """One person at one browser. `csrf` is in each form; `done` is the latest act, begun at `done_at`."""

    name: str
    csrf: str
    ends_sec: float
    done: ActDone | None = None
    done_at: str = ""
    done_sec: float = 0.0


class Sessions:
    """Open sessions, 32 at most; one more ends the oldest. They end with the process."""

    def __init__(self, token: Secret, clock: Clock) -> None:
        self._token = token
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}
        self._failures_sec: deque[float] = deque()
        #: Number of acts so far.
        self.acts = 0

    def open(self, token: str, name: str) -> str:
        """Return the cookie of a new session. Raises WrongTokenError, TooManyFailuresError."""
        now_sec = self._clock.now().monotonic_sec
        while self._failures_sec and self._failures_sec[0] <= now_sec - _WITHIN_SEC:
            self._failures_sec.popleft()
        if len(self._failures_sec) >= _MOST_FAILURES:
            raise TooManyFailuresError(self._failures_sec[0] + _WITHIN_SEC - now_sec)
        if not hmac.compare_digest(_digest(token), _digest(self._token.reveal())):
            self._failures_sec.append(now_sec)
            raise WrongTokenError
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = Session(name, secrets.token_urlsafe(32), now_sec + SESSION_SEC)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None where it has ended, or never was."""
        key = _digest(cookie)
        session = self._sessions.get(key)
        if session is not None and session.ends_sec <= self._clock.now().monotonic_sec:
            del self._sessions[key]
            return None
        return session

    def note(self, session: Session, done: ActDone, address: str) -> None:
        """Keep the outcome of an act that began at the page of an address."""
        self.acts += 1
        session.done, session.done_at, session.done_sec = done, address, self._clock.now().monotonic_sec

    def outcome_at(self, session: Session, address: str) -> ActDone | None:
        """Return the outcome of the latest act for 60 s, where it began at the page of that address."""
        age_sec = self._clock.now().monotonic_sec - session.done_sec
        return session.done if session.done_at == address and age_sec <= _SAID_SEC else None

    def end(self, cookie: str) -> None:
        """End the session of a cookie."""
        self._sessions.pop(_digest(cookie), None)


def is_of(session: Session, csrf: str) -> bool:
    """Return whether a form's token is the session's."""
    return hmac.compare_digest(_digest(session.csrf), _digest(csrf))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
