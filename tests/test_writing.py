"""A pointer is written up: on a page behind a link, or in a form where one may type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from adapters.signed_links import SignedLinks
from adapters.studio.access_guard import AccessGuard, AccessPolicy
from adapters.studio.invitation_form import add_form_link_routes
from adapters.studio.login_sessions import Sessions
from adapters.studio.page_session import STUDIO_OWNER
from bot.domain import NO_EXCLUSIONS, Example, ExampleState, Origin, Role, Sources, User
from bot.events import ButtonClicked, FormSubmitted, ReactionChanged
from bot.replies import Drawn, Form, Text
from tests.scene import SLACK, Scene

LESSON = {"question": "How do we greet?", "answer": "Ahoy, always."}
HERE = "https://attune.example"


@pytest.fixture
async def page(scene: Scene) -> AsyncIterator[httpx.AsyncClient]:
    """The studio's door with a password, seen by somebody who does not know it."""
    app = FastAPI()
    app.add_middleware(
        AccessGuard, policy=AccessPolicy("0.0.0.0", HERE, Sessions("secret", scene.clock))
    )
    add_form_link_routes(app, scene.app, scene.app.links, scene.clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url=HERE, headers={"origin": HERE}
    ) as client:
        yield client


async def pointed(scene: Scene, *, by: str | User = "U2", key: str = "mark") -> Drawn:
    """Somebody marks a message where its text may not be kept; what the marker hears."""
    scene.slack.hears("How do we greet?", by="U2")
    marked = scene.slack.hears("Ahoy", by="U3", reply_to=1)
    await scene.slack_event(ReactionChanged(marked.id, "🎓"), key=key, by=by)
    return scene.slack.whispers[-1]


async def link(scene: Scene, *, by: str | User = "U2") -> str:
    """The path that is whispered to somebody who clicks Write it up."""
    offered = await pointed(scene, by=by)
    assert isinstance(offered, Text)
    await scene.slack_event(ButtonClicked(offered.buttons[0].action), key="write", by=by)
    told = scene.slack.whispers[-1]
    assert isinstance(told, Text)
    return urlsplit(told.buttons[0].link).path


async def kept(scene: Scene) -> list[Example]:
    return [one for one in await scene.examples(workspace=SLACK) if one.row is not None]


async def test_what_is_written_behind_the_link_becomes_an_example(
    scene: Scene, page: httpx.AsyncClient
) -> None:
    path = await link(scene)

    shown = await page.get(path)
    saved = await page.post(path, data=LESSON)

    assert "When somebody asks" in shown.text
    assert "waits for a curator" in saved.text
    (example,) = await kept(scene)
    assert (example.origin, example.state) == (Origin.STUDIO, ExampleState.PROPOSED)
    assert example.authors == ("U2",)


async def test_a_curators_own_words_are_approved_and_may_be_trained_on(
    scene: Scene, page: httpx.AsyncClient
) -> None:
    path = await link(scene)
    await scene.grant("U2", Role.CURATOR, SLACK)

    await page.post(path, data=LESSON)

    (example,) = await kept(scene)
    async with scene.store.reading() as records:
        rows = records.examples.iterate_trainable(SLACK, example.assistant, example.method)
        assert [one.id async for one in rows] == [example.id]


async def test_a_link_is_of_use_once(scene: Scene, page: httpx.AsyncClient) -> None:
    path = await link(scene)
    await page.post(path, data=LESSON)

    again = await page.post(path, data={**LESSON, "answer": "Something else"})

    assert again.status_code == 410
    assert "already" in again.text
    assert len(await kept(scene)) == 1


async def test_a_link_ends_after_ten_minutes(scene: Scene, page: httpx.AsyncClient) -> None:
    path = await link(scene)
    scene.advance(10 * 60)

    shown, saved = await page.get(path), await page.post(path, data=LESSON)

    assert (shown.status_code, saved.status_code) == (410, 410)
    assert await kept(scene) == []


@pytest.mark.parametrize("end", ["", "x", "eyJhIjoxfQ.AAAA"])
async def test_a_link_that_we_did_not_sign_leads_nowhere(
    scene: Scene, page: httpx.AsyncClient, end: str
) -> None:
    path = (await link(scene)) + end if end == "x" else f"/write/{end or 'nothing'}"

    assert (await page.get(path)).status_code == 404
    assert (await page.post(path, data=LESSON)).status_code == 404


async def test_a_link_signed_with_another_key_leads_nowhere(scene: Scene) -> None:
    token = (await link(scene)).removeprefix("/write/")

    assert SignedLinks(HERE, "another").read_invitation(token) is None


async def test_a_link_is_of_no_use_to_another_person(scene: Scene) -> None:
    token = (await link(scene)).removeprefix("/write/")

    await scene.slack_event(FormSubmitted(f"example.written:{token}", LESSON), key="theft", by="U9")

    assert await kept(scene) == []
    assert "not whole" in str(scene.slack.whispers[-1])


async def test_another_site_cannot_send_the_form(scene: Scene, page: httpx.AsyncClient) -> None:
    path = await link(scene)

    answer = await page.post(path, data=LESSON, headers={"origin": "https://evil.example"})

    assert answer.status_code == 403
    assert await kept(scene) == []


async def test_the_page_is_all_that_a_link_opens(page: httpx.AsyncClient) -> None:
    assert (await page.get("/examples")).status_code == 303


async def test_an_empty_answer_is_asked_for_again_and_nothing_is_lost(
    scene: Scene, page: httpx.AsyncClient
) -> None:
    path = await link(scene)

    answer = await page.post(path, data={"question": "<b>How?</b>", "answer": " "})

    assert answer.status_code == 422
    assert "&lt;b&gt;How?&lt;/b&gt;" in answer.text
    assert "Fill in both" in answer.text


async def test_without_a_public_address_no_button_leads_nowhere(scene: Scene) -> None:
    """An admin was asked instead; a button from before says who can mend it."""
    offered = await pointed(scene)
    assert isinstance(offered, Text)
    (write,) = offered.buttons
    scene.public_url = ""
    await scene.restart()

    again = await pointed(scene, key="again")
    await scene.slack_event(ButtonClicked(write.action), key="write", by="U2")

    assert isinstance(again, Text)
    assert again.buttons == ()
    assert "ATTUNE_PUBLIC_URL" in str(scene.slack.whispers[-1])


async def test_where_forms_may_be_kept_a_form_opens_instead(scene: Scene) -> None:
    offered = await pointed(scene)
    assert isinstance(offered, Text)
    async with scene.store.writing() as records:
        await records.workspaces.set_sources(SLACK, Sources.FORMS, allowed=NO_EXCLUSIONS)

    await scene.slack_event(ButtonClicked(offered.buttons[0].action), key="write", by="U2")
    form = scene.slack.forms[-1]
    await scene.slack_event(FormSubmitted(form.id, LESSON), key="sent", by="U2")

    (example,) = await kept(scene)
    assert example.origin is Origin.FORM


async def test_in_the_studio_the_operator_writes_it_up_at_once(scene: Scene) -> None:
    offered = await pointed(scene)
    assert isinstance(offered, Text)
    place = {"workspace": SLACK, "channel": scene.slack.channel}
    click = scene.event(ButtonClicked(offered.buttons[0].action), key="a", by=STUDIO_OWNER, **place)

    form = await scene.app.handle_for_page(click)
    assert isinstance(form, Form)
    await scene.app.handle_for_page(
        scene.event(FormSubmitted(form.id, LESSON), key="b", by=STUDIO_OWNER, **place)
    )

    (example,) = await kept(scene)
    assert (example.origin, example.state) == (Origin.STUDIO, ExampleState.APPROVED)


async def test_a_form_typed_in_chat_needs_permission_even_if_forged(scene: Scene) -> None:
    await pointed(scene)

    await scene.slack_event(FormSubmitted("example.written:1", LESSON), key="forged", by="U2")

    assert await kept(scene) == []
