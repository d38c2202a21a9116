"""A person at the page on which operators act, without a browser."""

from __future__ import annotations

from typing import NamedTuple

import httpx

from tests.monitoring.status_rig import StatusRig
from tests.page.test_rendering import Reading, read

TOKEN = "a-token-of-the-desk"
STATE = "quantum:governor:trading_state"
DRILL = {"state": "halted", "reason": "a drill"}


class Desk:
    """Sends forms with what a browser sends along by itself."""

    def __init__(self, rig: StatusRig, client: httpx.AsyncClient) -> None:
        self.rig = rig
        self.client = client
        self.origin = str(client.base_url).rstrip("/")
        self.csrf = ""

    async def post(
        self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        headers = {"origin": self.origin, "sec-fetch-site": "same-origin", **(headers or {})}
        return await self.client.post(path, data=fields, headers=headers)

    async def log_in(self, token: str = TOKEN, name: str = "ann") -> httpx.Response:
        answer = await self.post("/act/session", {"token": token, "name": name})
        if answer.status_code == 303:
            self.csrf = hidden(read((await self.client.get("/act")).text))["csrf"]
        return answer

    async def ask(self, act: str, fields: dict[str, str]) -> httpx.Response:
        return await self.post(f"/act/{act}", {"csrf": self.csrf, **fields})

    async def consent(self, act: str, question: httpx.Response, back: str = "/act") -> str:
        """Send the form of a question; return the text of the page that follows, whose address is `back`."""
        answer = await self.post(f"/act/{act}", hidden(read(question.text)))
        assert (answer.status_code, answer.headers["location"]) == (303, back)
        return read((await self.client.get(back)).text).text

    def events(self, stream: str) -> list[dict[bytes, bytes]]:
        return [dict(fields) for _, fields in self.rig.redis.xrange(f"quantum:stream:{stream}")]


class Form(NamedTuple):
    """A form as a browser sends it without a word typed: its address, and what its fields hold."""

    action: str
    fields: dict[str, str]


def forms_of(page: Reading) -> list[Form]:
    """Return the forms of a page that change something."""
    forms: list[Form] = []
    for tag, each in page.elements:
        if tag == "form":
            forms.append(Form(each["action"] or "", {}))
        elif tag == "input" and forms and "name" in each:
            forms[-1].fields[each["name"] or ""] = each.get("value") or ""
    return [form for form in forms if form.action != "/find"]


def hidden(page: Reading) -> dict[str, str]:
    """Return the hidden fields of a page's forms."""
    return {
        each["name"] or "": each["value"] or ""
        for tag, each in page.elements
        if tag == "input" and each.get("type") == "hidden"
    }
