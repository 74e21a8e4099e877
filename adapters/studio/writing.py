"""The page behind a write-up link: one form for one person, outside the studio's password."""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import Response

from adapters.links import PATH
from adapters.studio.plain import locale_of, plain_page
from bot import events
from bot.ports.links import Invitation, Links
from bot.ports.store import Clock
from bot.ports.world import House
from bot.replies import Field, Refused, Reply, Text
from bot.replies import Form as FormReply

_LONGEST = 20_000

Values = Mapping[str, str]


def add_writing(app: FastAPI, house: House, links: Links, clock: Clock) -> None:
    """`/write/…`; the core itself looks at the link, both times."""
    page = _Page(house, links, clock)

    @app.get(PATH + "{token}")
    async def show(request: Request, token: str) -> Response:
        return await page.show(token, locale_of(request))

    @app.post(PATH + "{token}")
    async def save(
        request: Request,
        token: str,
        question: Annotated[str, Form(max_length=_LONGEST)] = "",
        answer: Annotated[str, Form(max_length=_LONGEST)] = "",
    ) -> Response:
        values = {"question": question, "answer": answer}
        return await page.save(token, values, locale_of(request))


class _Page:
    def __init__(self, house: House, links: Links, clock: Clock) -> None:
        self._house = house
        self._links = links
        self._clock = clock

    async def show(
        self, token: str, locale: str, values: Values | None = None, problem: str = ""
    ) -> Response:
        held = self._links.read(token)
        if held is None:
            return _said(self._house.say("write.bad_link", locale), locale, status=404)
        opened = events.Clicked(f"example.write_page:{token}")
        reply = await self._house.look(self._event(held, opened, locale))
        if not isinstance(reply, FormReply):
            return _said(_words(reply), locale, status=410)
        hint = self._house.say("write.hint", locale)
        return _form(reply, values or {}, locale, hint=hint, problem=problem)

    async def save(self, token: str, values: Values, locale: str) -> Response:
        """What is refused is shown again with its text, unless the link is of no more use."""
        held = self._links.read(token)
        if held is None:
            return await self.show(token, locale)
        submitted = events.Submitted(f"example.written:{token}", values)
        reply = await self._house.ask(self._event(held, submitted, locale))
        if isinstance(reply, Text):
            return _said(f"{reply.text} {self._house.say('write.close', locale)}", locale)
        return await self.show(token, locale, values, _words(reply))

    def _event(self, held: Invitation, what: events.What, locale: str) -> events.Event:
        key = f"write/{secrets.token_hex(16)}"
        return events.Event(key, held.place, held.user, self._clock.now(), what, locale)


def _words(reply: Reply) -> str:
    return reply.text if isinstance(reply, Refused | Text) else ""


def _said(text: str, locale: str, *, status: int = 200) -> Response:
    body = f'<main><h1>Attune</h1><p role="status">{html.escape(text)}</p></main>'
    return plain_page(body, locale=locale, status=status)


def _form(form: FormReply, values: Values, locale: str, *, hint: str, problem: str) -> Response:
    fields = "".join(_field(field, values.get(field.name, field.value)) for field in form.fields)
    body = (
        f'<form method="post" class="wide"><h1>{html.escape(form.title)}</h1>'
        f'<p class="hint">{html.escape(hint)}</p>{fields}'
        f'<p class="problem" role="alert">{html.escape(problem)}</p>'
        f"<button>{html.escape(form.submit)}</button></form>"
    )
    return plain_page(body, locale=locale, status=422 if problem else 200)


def _field(field: Field, value: str) -> str:
    return (
        f'<label for="{field.name}">{html.escape(field.label)}</label>'
        f'<textarea id="{field.name}" name="{field.name}" rows="5" required '
        f'maxlength="{_LONGEST}">\n{html.escape(value)}</textarea>'
    )
