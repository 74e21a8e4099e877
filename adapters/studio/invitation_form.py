"""The page of an invitation link: a form for one person, who needs no session of the studio."""

from __future__ import annotations

import html
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from adapters.signed_links import INVITATION_PATH
from adapters.studio.plain_page import locale_of, plain_page
from bot import events
from bot.ports.dependencies import App
from bot.ports.form_links import Invitation, Links
from bot.ports.store import Clock
from bot.replies import Document, Field, Refused, Reply, Text
from bot.replies import Form as FormReply

_MAX_TYPED_LENGTH = 20_000
_MAX_EDITED_LENGTH = 1_000_000
_MAX_USED_TOKENS, _MAX_FIELDS = 10_000, 500

Values = Mapping[str, str]


def add_form_link_routes(web: FastAPI, app: App, links: Links, clock: Clock) -> None:
    """Registers `/write/…`; the core checks the token when it shows and when it saves the form."""
    page = _Page(app, links, clock)

    @web.get(INVITATION_PATH + "{token}")
    async def show(request: Request, token: str) -> Response:
        return await page.show(token, locale_of(request))

    @web.post(INVITATION_PATH + "{token}")
    async def save(request: Request, token: str) -> Response:
        async with request.form(max_files=0, max_fields=_MAX_FIELDS) as sent:
            values = {name: _with_unix_newlines(value) for name, value in sent.items()}
        return await page.save(token, values, locale_of(request))


class _Page:
    def __init__(self, app: App, links: Links, clock: Clock) -> None:
        self._app = app
        self._links = links
        self._clock = clock
        self._used_tokens: OrderedDict[str, None] = OrderedDict()

    async def show(
        self, token: str, locale: str, values: Values | None = None, problem: str = ""
    ) -> Response:
        invitation = self._links.read_invitation(token)
        if invitation is None:
            return _text_page(self._app.translate("write.bad_link", locale), locale, status=404)
        reply = await self._current_form(invitation, token, locale)
        if not isinstance(reply, FormReply):
            return _text_page(_reply_text(reply), locale, status=410)
        hint = reply.note if invitation.action else self._app.translate("write.hint", locale)
        longest = _MAX_EDITED_LENGTH if invitation.action else _MAX_TYPED_LENGTH
        return _form(reply, values or {}, locale, hint=hint, problem=problem, longest=longest)

    async def save(self, token: str, values: Values, locale: str) -> Response:
        """Submits the form; a refused form is shown again with its texts and the problem."""
        invitation = self._links.read_invitation(token)
        if invitation is None:
            return await self.show(token, locale)
        form = await self._current_form(invitation, token, locale)
        if not isinstance(form, FormReply):
            return await self.show(token, locale)
        longest = _MAX_EDITED_LENGTH if invitation.action else _MAX_TYPED_LENGTH
        if any(len(value) > longest for value in values.values()):
            problem = self._app.translate("form.too_long", locale, count=longest)
            return await self.show(token, locale, values, problem)
        submitted = events.FormSubmitted(form.id, values)
        reply = await self._app.handle_for_page(self._event(invitation, submitted, locale))
        if isinstance(reply, Document):
            return _file(reply)
        if isinstance(reply, Text):
            self._mark_used(token)
            return _text_page(f"{reply.text} {self._app.translate('write.close', locale)}", locale)
        return await self.show(token, locale, values, _reply_text(reply))

    async def _current_form(self, invitation: Invitation, token: str, locale: str) -> Reply:
        """Returns the current form, or a refusal if the link has expired or was used."""
        if not invitation.action:
            event = events.ButtonClicked(f"example.write_page:{token}")
            return await self._app.handle_read_only(self._event(invitation, event, locale))
        if invitation.until <= self._clock.now():
            return Refused(self._app.translate("form.ended", locale))
        reply = await self._app.handle_read_only(
            self._event(invitation, events.ButtonClicked(invitation.action), locale)
        )
        is_other = isinstance(reply, FormReply) and reply.id != invitation.form
        if is_other or token in self._used_tokens:
            return Refused(self._app.translate("form.changed", locale))
        return reply

    def _mark_used(self, token: str) -> None:
        """Marks the link as used; remembers the latest `_MAX_USED_TOKENS` links."""
        self._used_tokens[token] = None
        while len(self._used_tokens) > _MAX_USED_TOKENS:
            self._used_tokens.popitem(last=False)

    def _event(
        self, invitation: Invitation, what: events.EventContent, locale: str
    ) -> events.Event:
        key = f"write/{secrets.token_hex(16)}"
        return events.Event(key, invitation.place, invitation.user, self._clock.now(), what, locale)


def _with_unix_newlines(value: object) -> str:
    """Returns the value with LF line ends; browsers submit CRLF."""
    return str(value).replace("\r\n", "\n").replace("\r", "\n")


def _reply_text(reply: Reply) -> str:
    return reply.text if isinstance(reply, Refused | Text) else ""


def _text_page(text: str, locale: str, *, status: int = 200) -> Response:
    body = f'<main><h1>Attune</h1><p role="status">{html.escape(text)}</p></main>'
    return plain_page(body, locale=locale, status=status)


def _file(document: Document) -> Response:
    """Returns a document as a download; its link stays valid, as the download may break off."""
    named = f"attachment; filename*=UTF-8''{quote(document.name)}"
    headers = {"content-disposition": named, "cache-control": "no-store"}
    return StreamingResponse(
        document.chunks, headers=headers, media_type="application/octet-stream"
    )


def _form(
    form: FormReply, values: Values, locale: str, *, hint: str, problem: str, longest: int
) -> Response:
    fields = "".join(
        _field(field, values.get(field.name, field.value), longest) for field in form.fields
    )
    body = (
        f'<form method="post" class="wide"><h1>{html.escape(form.title)}</h1>'
        f'<p class="hint">{html.escape(hint)}</p>{fields}'
        f'<p class="problem" role="alert">{html.escape(problem)}</p>'
        f"<button>{html.escape(form.submit_label)}</button></form>"
    )
    return plain_page(body, locale=locale, status=422 if problem else 200)


def _field(field: Field, value: str, longest: int) -> str:
    required = "required " if field.required else ""
    return (
        f'<label for="{field.name}">{html.escape(field.label)}</label>'
        f'<textarea id="{field.name}" name="{field.name}" rows="5" {required}'
        f'maxlength="{longest}">\n{html.escape(value)}</textarea>'
    )
