"""Asks the admins once to allow storing messages, when somebody marks one where it is forbidden."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bot.domain import (
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    Message,
    Notice,
    Place,
    Role,
    Sources,
    User,
    UserId,
)
from bot.errors import SurfaceError
from bot.examples.example_buttons import message_button, write_text_button
from bot.examples.message_exchange import fetch_user_details
from bot.mentions_and_times import channel_reference
from bot.ports.dependencies import Dependencies
from bot.ports.form_links import Invitation
from bot.ports.store import Records
from bot.ports.surface import CanDirectMessage, CanFindAdmins
from bot.replies import Button, Card, Drawn, Text
from bot.request import Request
from bot.words import Words

MARKS_WAITING_NOTICE = "marks.wait"
MARKS_ALLOWED_NOTICE = "marks.allowed"
ASKED_FOR_MESSAGES_AUDIT, ASKED_FOR_FORMS_AUDIT, PERMISSION_DECLINED_AUDIT = (
    "marks.asked",
    "marks.asked_forms",
    "marks.declined",
)
"""Kinds of audit entries: the admins were asked about messages or forms; an admin declined both."""

_MAX_ASKED = 5
_PAGE = 500


async def pointer_saved_reply(
    request: Request, pointer: Example, marked: Message, deps: Dependencies
) -> Text | Card:
    """Tells the user that only a pointer was stored, which admins were asked, and what is possible.

    Admins get buttons to allow more instead. Where the user may type an example, there is a button
    to write the pointer's text.
    """
    words = request.words
    if pointer.row is not None:
        state = words(f"state.{pointer.state}")
        return Text(words("example.known", id=pointer.id, state=state), private=True)
    write = (write_text_button(pointer.id, words),) if _may_write_up(request, deps) else ()
    if request.role >= Role.ADMIN:
        lines = (words("example.pointer", id=pointer.id), words(_rule_of(request.place)))
        buttons = (*permission_buttons(words), *write)
        return Card(words("marks.title"), lines, buttons=buttons, private=True)
    admins_text = await _admins_text(request, deps, link=marked.permalink)
    sentences = [words("example.pointer", id=pointer.id), admins_text]
    if write:
        sentences.append(words("example.pointer_write"))
    return Text(" ".join(sentences), private=True, buttons=write)


async def forms_not_allowed_reply(request: Request, deps: Dependencies) -> Text | Card:
    """Tells the user that nothing may be typed here, and which admins were asked.

    Admins get buttons to allow it instead.
    """
    words = request.words
    if request.role >= Role.ADMIN:
        lines = (words("marks.no_forms"), words(_rule_of(request.place)))
        return Card(
            words("marks.forms_title"), lines, buttons=permission_buttons(words), private=True
        )
    admins_text = await _admins_text(request, deps, is_typed=True)
    return Text(f"{words('marks.no_forms')} {admins_text}", private=True)


def permission_buttons(words: Words) -> tuple[Button, ...]:
    """Returns an admin's buttons: allow messages, allow forms, or neither."""
    return (
        Button(words("marks.allow_messages"), "marks.allow:messages"),
        Button(words("marks.allow_forms"), "marks.allow:forms"),
        Button(words("marks.allow_nothing"), "marks.decline"),
    )


async def queue_marks_allowed_notices(request: Request, records: Records) -> None:
    """Queues, in each channel with pointers, the notice that their messages may be stored now."""
    waiting = await list_pointers(request, records)
    for channel in {pointer.source.channel for pointer in waiting if pointer.source is not None}:
        await records.outbox.put(
            f"{request.workspace_id}.{channel}.marks_allowed",
            Place(request.workspace_id, channel),
            MARKS_ALLOWED_NOTICE,
            details={"locale": request.event.locale},
            at=request.now,
        )


async def list_pointers(request: Request, records: Records) -> Sequence[Example]:
    """Returns the proposed examples with a source message but without text, oldest first."""
    pointers_found: list[Example] = []
    last: ExampleId | None = None
    filters = ExampleFilter(state=ExampleState.PROPOSED)
    while page := await records.examples.page(
        request.workspace_id, filters, after=last, limit=_PAGE
    ):
        pointers_found += [
            example for example in page if example.row is None and example.source is not None
        ]
        last = page[-1].id
    return pointers_found


async def render_marks_waiting_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the question to an admin, with who marked where, but without the message's text."""
    details = notice.details
    where = details.get("link") or words(
        "marks.in_channel",
        channel=channel_reference(str(details.get("channel"))),
    )
    is_typed = bool(details.get("is_typed"))
    who_and_where = words(
        "marks.typed" if is_typed else "marks.who", name=details.get("name"), where=where
    )
    title = words("marks.forms_title" if is_typed else "marks.title")
    rule = words(_rule_of(notice.place))
    link = str(details.get("link") or "")
    message_buttons = message_button(link, words)
    return Card(
        title, (who_and_where, rule), buttons=(*permission_buttons(words), *message_buttons)
    )


async def render_marks_allowed_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the notice that marked messages may be stored now, with a button to do so."""
    keep = Button(words("marks.keep"), "marks.keep", is_primary=True)
    return Text(words("marks.allowed"), buttons=(keep,))


def _rule_of(place: Place) -> str:
    """Returns the key of the text about the platform's rule for stored messages."""
    return f"sources.rule.{place.workspace.partition(':')[0]}"


def _may_write_up(request: Request, deps: Dependencies) -> bool:
    """Whether the user may write an example's text, in a form or on a web page within reach."""
    if request.workspace.sources >= Sources.FORMS:
        return True
    link = deps.links.create_link(Invitation(request.place, request.user, None, request.now))
    return link is not None and (not link.is_local or request.role >= Role.ADMIN)


async def _admins_text(
    request: Request, deps: Dependencies, *, link: str | None = None, is_typed: bool = False
) -> str:
    """Returns which admins were asked, now or before, or that one declined since.

    `link` leads to the marked message; with `is_typed` there is none, but a form was asked for.
    """
    async with deps.store.reading() as records:
        asked = ASKED_FOR_FORMS_AUDIT if is_typed else ASKED_FOR_MESSAGES_AUDIT
        asked_entries = await records.audit.of_kind(request.workspace_id, asked, limit=1)
        declined_entries = await records.audit.of_kind(
            request.workspace_id, PERMISSION_DECLINED_AUDIT, limit=1
        )
    if declined_entries and not (asked_entries and asked_entries[0].at > declined_entries[0].at):
        return request.words("marks.declined")
    if asked_entries:
        names = str(asked_entries[0].details.get("names", ""))
    else:
        names = await _ask(request, deps, link=link, is_typed=is_typed)
    if not names:
        return request.words("marks.nobody")
    return request.words("marks.asked_forms" if is_typed else "marks.asked", names=names)


async def _ask(request: Request, deps: Dependencies, *, link: str | None, is_typed: bool) -> str:
    """Asks the known admins; returns their names, "" if none can be reached."""
    key = f"{request.workspace_id}.forms" if is_typed else request.workspace_id
    names = await notify_admins(
        request, MARKS_WAITING_NOTICE, deps, key=key, link=link, is_typed=is_typed
    )
    if names:
        async with deps.store.writing() as records:
            await request.audit(
                records,
                ASKED_FOR_FORMS_AUDIT if is_typed else ASKED_FOR_MESSAGES_AUDIT,
                names=names,
            )
    return names


async def notify_admins(
    request: Request, kind: str, deps: Dependencies, *, key: str, **details: object
) -> str:
    """Queues a notice to each reachable admin, once for a key; returns their names or ""."""
    reached = await _reachable_admins(request, deps)
    notice_details = {
        "name": request.user.name,
        "channel": request.place.channel,
        "locale": request.event.locale,
        **details,
    }
    async with deps.store.writing() as records:
        for person, place in reached:
            own_key = f"{key}.{person.id}.{kind}"
            await records.outbox.put(
                own_key, place, kind, details=notice_details, at=request.now, only_if_new=True
            )
    return ", ".join(person.name for person, _ in reached)


async def _reachable_admins(request: Request, deps: Dependencies) -> Sequence[tuple[User, Place]]:
    """Returns the first few admins with their direct-message channels."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    reached: list[tuple[User, Place]] = []
    if not isinstance(surface, CanDirectMessage):
        return reached
    for admin in (await _admins(request, deps))[:_MAX_ASKED]:
        try:
            place = await surface.find_direct_message_place(request.place, admin)
            reached.append((await fetch_user_details(request, admin, surface), place))
        except SurfaceError:
            continue
    return reached


async def _admins(request: Request, deps: Dependencies) -> Sequence[UserId]:
    """Returns the admins by the operator's settings and grants; else the platform's own."""
    prefix = f"{request.workspace.platform}:"
    named = [UserId(name.removeprefix(prefix)) for name in deps.admins if name.startswith(prefix)]
    async with deps.store.reading() as records:
        granted = await records.roles.all(request.workspace_id)
    admins = [*sorted(named), *(user for user, role in granted if role >= Role.ADMIN)]
    surface = deps.surfaces.surface_of(request.workspace_id)
    if not admins and isinstance(surface, CanFindAdmins):
        with contextlib.suppress(SurfaceError):
            admins = list(await surface.find_admins(request.place))
    return list(dict.fromkeys(admins))
