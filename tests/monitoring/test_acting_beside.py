"""Forms beside what they act on: the way of `/act`, from the pages that show it, and back there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from brain.decisions.dead_letter import dead_letter
from brain.identifiers import EntryId
from tests.monitoring.acting_desk import TOKEN, Desk, Form, forms_of
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.monitoring.test_notices import unknown
from tests.page.contents import HOSTILE, INVISIBLE
from tests.page.test_rendering import Reading, read

PAGES = ("/waiting", "/notices", "/symbols/BTCUSDT")
TYPED = {"reason": "repaired", "hours": "2"}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Yields one with something to act on at each of the pages."""
    rig = StatusRig(token=TOKEN)
    letter(rig)
    unknown(rig, "plan-1")
    async with serving(rig) as client:
        yield Desk(rig, client)


def letter(rig: StatusRig, error: str = "a wrong type") -> None:
    fields = {b"plan_id": b"p-1", b"executed": b"False", b"error": b"not_sent"}
    flat = dead_letter(fields, entry_id=EntryId(f"{NOON_MS - 60_000}-0"), error=error)
    rig.redis.xadd(rig.keys.dead_results, dict(zip(flat[::2], flat[1::2], strict=True)))


async def page(desk: Desk, address: str) -> Reading:
    answer = await desk.client.get(address)
    assert answer.status_code == 200
    reading = read(answer.text)
    assert reading.unbalanced == []
    return reading


async def form_at(desk: Desk, address: str) -> Form:
    (form,) = forms_of(await page(desk, address))
    return form


def typed(form: Form) -> dict[str, str]:
    """Return the form as a person fills it in."""
    return {name: TYPED.get(name, value) for name, value in form.fields.items()}


Check = Callable[[Desk], Awaitable[bool]]


async def published(desk: Desk) -> bool:
    return [each[b"plan_id"] for each in desk.events("apply.result")] == [b"p-1"]


async def held(desk: Desk) -> bool:
    return desk.rig.redis.get(desk.rig.keys.hold("BTCUSDT")) is not None


async def seen(desk: Desk) -> bool:
    return list(await desk.rig.store.seen_notices()) == ["unknown_execution|plan-1"]


@pytest.mark.parametrize(
    ("address", "act", "question", "said", "done"),
    [
        ("/waiting", "republish", f"Publish {NOON_MS - 60_000}-0 of apply.result again (repaired)?",
         "It is published again as", published),
        ("/notices", "acknowledge", "Mark unknown_execution of plan-1 as seen by ann until",
         "unknown_execution of plan-1: seen by ann until", seen),
        ("/symbols/BTCUSDT", "hold", "Hold BTCUSDT (repaired)?", "✓ done BTCUSDT is held.", held),
    ],
)  # fmt: skip
async def test_an_act_from_a_page_is_asked_for_done_audited_and_reported_there(
    desk: Desk, address: str, act: str, question: str, said: str, done: Check
) -> None:
    await desk.log_in()
    form = await form_at(desk, address)
    assert form.action == f"/act/{act}"
    asked = await desk.post(form.action, typed(form))
    assert question in read(asked.text).text
    assert {"href": address} in [each for tag, each in read(asked.text).elements if tag == "a"]
    assert not await done(desk) and desk.events("p33.events") == []
    assert said in await desk.consent(act, asked, back=address)
    assert await done(desk)
    audited = desk.events("p33.events")[-1]
    assert (audited[b"act"], audited[b"by"]) == (act.encode(), b"operator:ann")
    assert "back" not in audited[b"arguments"].decode()
    others = {"/act", *PAGES} - {address, "/act"}
    for other in others:
        assert said not in (await page(desk, other)).text
    desk.rig.clock.advance(61)
    assert said not in (await page(desk, address)).text


@pytest.mark.parametrize("address", PAGES)
async def test_without_a_session_a_page_only_shows(desk: Desk, address: str) -> None:
    before = await page(desk, address)
    assert forms_of(before) == []
    await desk.log_in()
    assert forms_of(await page(desk, address))
    desk.rig.clock.advance(1)
    cookies = dict(desk.client.cookies)
    desk.client.cookies.clear()
    for cookie in ({}, {"act_session": "x" * 43}, {"act_session": ""}):
        desk.client.cookies.update(cookie)
        answer = await desk.client.get(address)
        assert forms_of(read(answer.text)) == [] and 'method="post"' not in answer.text
        assert "csrf" not in answer.text and answer.headers["referrer-policy"] == "no-referrer"
    desk.client.cookies.clear()
    desk.client.cookies.update(cookies)
    assert forms_of(await page(desk, address))
    desk.rig.clock.advance(8 * 3600)
    assert forms_of(await page(desk, address)) == []


@pytest.mark.parametrize("address", PAGES)
async def test_with_acting_off_a_page_only_shows_whatever_cookie_comes(address: str) -> None:
    rig = StatusRig()
    letter(rig)
    unknown(rig, "plan-1")
    async with serving(rig) as client:
        client.cookies.set("act_session", "x" * 43)
        text = (await client.get(address)).text
    assert forms_of(read(text)) == [] and "csrf" not in text and "/act" not in text


@pytest.mark.parametrize("address", PAGES)
async def test_forms_beside_are_refused_as_those_of_act_are(desk: Desk, address: str) -> None:
    await desk.log_in()
    action, fields = await form_at(desk, address)
    fields = typed(Form(action, fields))
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert (await desk.post(action, fields, foreign)).status_code == 403
    without = {name: value for name, value in fields.items() if name != "csrf"}
    for csrf in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": "x" * 32}):
        assert (await desk.post(action, {**without, **csrf})).status_code == 403
    asked = await desk.post(action, fields)
    desk.rig.clock.advance(8 * 3600)
    answer = await desk.post(action, forms_of(read(asked.text))[0].fields)
    assert (answer.status_code, answer.json()) == (403, {"error": "there is no session: open one at /act"})
    assert desk.events("p33.events") == []


@pytest.mark.parametrize(
    "back",
    ["", "//evil.example", "https://evil.example/waiting", "/waiting/", "/waiting?x", "/waiting\r\nx: y",
     "/symbols/", "/symbols/a/b", "/symbols//evil.example", "/symbols/\\evil", "/act/end", "/status",
     "/symbols/" + "x" * 400],
)  # fmt: skip
async def test_an_act_leads_back_to_a_page_of_this_service_alone(desk: Desk, back: str) -> None:
    await desk.log_in()
    action, fields = await form_at(desk, "/symbols/BTCUSDT")
    answer = await desk.post(action, {**fields, **TYPED, "back": back})
    assert answer.status_code == 400 and "location" not in answer.headers
    assert not await held(desk) and desk.events("p33.events") == []


async def test_each_person_has_the_forms_of_the_own_session_on_a_page_that_is_rendered_once(
    desk: Desk,
) -> None:
    tokens = set()
    for name in ("ann", "bob"):
        desk.client.cookies.clear()
        await desk.log_in(name=name)
        form = await form_at(desk, "/waiting")
        assert form.fields["csrf"] == desk.csrf
        tokens.add(desk.csrf)
    assert len(tokens) == 2


async def test_a_page_shows_the_state_behind_the_act_that_led_to_it(desk: Desk) -> None:
    await desk.log_in()
    for act, after in (("hold", "release"), ("release", "hold")):
        form = await form_at(desk, "/symbols/BTCUSDT")
        assert form.action == f"/act/{act}"
        await desk.consent(act, await desk.post(form.action, typed(form)), back="/symbols/BTCUSDT")
        assert (await form_at(desk, "/symbols/BTCUSDT")).action == f"/act/{after}"
    form = await form_at(desk, "/notices")
    shown = await desk.consent("acknowledge", await desk.post(form.action, typed(form)), back="/notices")
    assert "not seen yet" not in shown


async def test_a_hold_of_another_needs_the_box_that_a_person_ticks(desk: Desk) -> None:
    await desk.log_in()
    desk.rig.redis.set(desk.rig.keys.hold("BTCUSDT"), "drift")
    form = await form_at(desk, "/symbols/BTCUSDT")
    assert form.action == "/act/release" and form.fields["force"] == "yes"
    unticked = {name: value for name, value in typed(form).items() if name != "force"}
    answer = await desk.post(form.action, unticked)
    assert answer.headers["location"] == "/symbols/BTCUSDT"
    assert "Refused: no operator holds BTCUSDT" in (await page(desk, "/symbols/BTCUSDT")).text
    said = await desk.consent("release", await desk.post(form.action, typed(form)), back="/symbols/BTCUSDT")
    assert "BTCUSDT is released." in said and not await held(desk)


async def test_a_form_that_cannot_be_used_leads_back_to_its_page(desk: Desk) -> None:
    await desk.log_in()
    form = await form_at(desk, "/symbols/BTCUSDT")
    answer = await desk.post(form.action, form.fields)
    assert answer.status_code == 400 and "reason: 1 to 200" in answer.text
    assert {"href": "/symbols/BTCUSDT"} in [each for tag, each in read(answer.text).elements if tag == "a"]


async def test_without_redis_no_form_is_offered_for_a_hold_that_is_not_known(desk: Desk) -> None:
    await desk.log_in()
    with desk.rig.redis.faults.outage():
        assert forms_of(await page(desk, "/symbols/BTCUSDT")) == []


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_names_stay_text_in_forms(desk: Desk, hostile: str) -> None:
    await desk.log_in()
    unknown(desk.rig, hostile)
    letter(desk.rig, hostile)
    for address in ("/notices", "/waiting"):
        reading = await page(desk, address)
        assert {form.action for form in forms_of(reading)} <= {"/act/acknowledge", "/act/republish"}
        names = {name for _, attributes in reading.elements for name in attributes}
        assert not any(name.startswith("on") for name in names)
    subjects = [form.fields["subject"] for form in forms_of(await page(desk, "/notices"))]
    assert subjects == ([hostile] if hostile.isprintable() else [])


@pytest.mark.parametrize("subject", INVISIBLE)
async def test_a_subject_that_a_form_cannot_hold_has_none(desk: Desk, subject: str) -> None:
    await desk.log_in()
    unknown(desk.rig, subject)
    assert forms_of(await page(desk, "/notices")) == []
