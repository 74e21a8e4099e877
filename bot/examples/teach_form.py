"""Examples typed into a form: a new one with `/tune teach`, or the text of a pointer."""

from __future__ import annotations

from datetime import timedelta

from bot import access
from bot.commands import Handlers
from bot.consent import consent_buttons
from bot.domain import (
    NO_EXCLUSIONS,
    Example,
    ExampleId,
    ExampleState,
    NewExample,
    Origin,
    Role,
    Sources,
)
from bot.errors import BadInput, NotFound, NotNow, Outdated
from bot.examples.ask_admins_for_permission import forms_not_allowed_reply
from bot.examples.example_buttons import masking_buttons
from bot.examples.message_exchange import require_allowed_user, source_of_form
from bot.examples.review_queue import private_text_warnings
from bot.examples.row_texts import question_answer_row, require_valid_row
from bot.examples.state_changes import (
    add_example,
    audit_new_example,
    change_state,
    named_example_id,
)
from bot.ports.dependencies import Dependencies
from bot.ports.form_links import Invitation, Links
from bot.ports.store import Records, Store
from bot.replies import Button, Field, FieldKind, Form, Reply, Text
from bot.request import Request
from bot.rows import Method
from bot.words import Words

handlers = Handlers()


_LINK_LASTS = timedelta(minutes=10)


@handlers.command("teach", Role.MEMBER, opens_form=True)
async def teach_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form for a new example; where forms are not allowed, an admin can allow them."""
    return (
        lesson_form(request) if _may_type(request) else await forms_not_allowed_reply(request, deps)
    )


def lesson_form(request: Request, *, title: str = "teach.title", question: str = "") -> Form:
    """Returns the form for a new example; `title` is a key of `bot.words`.

    Raises NotNow if the workspace does not allow forms.
    """
    _origin(request)
    return _form("teach", request.words(title), request.words, question=question)


@handlers.form("teach", Role.MEMBER)
async def save_lesson(request: Request, deps: Dependencies) -> Reply:
    """Stores an example typed into a form; a curator's example is approved at once."""
    example = _new_example(request, _origin(request))
    stored, is_new = await add_example(request, example, store=deps.store)
    return await _saved_reply(request, stored, is_new=is_new, store=deps.store)


@handlers.button("example.write", Role.MEMBER, opens_form=True)
async def open_write_up_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form for a pointer's text; if forms are not allowed, links to a web page for it."""
    pointer = named_example_id(request)
    async with deps.store.reading() as records:
        await _require_unwritten(request, pointer, records)
    if _may_type(request):
        return write_up_form(request, pointer)
    link = deps.links.create_link(
        Invitation(request.place, request.user, pointer, request.now + _LINK_LASTS)
    )
    # A local link opens only on the application's machine, which only an admin may be using.
    if link is None or (link.is_local and request.role < Role.ADMIN):
        raise NotNow(problem=request.words("write.no_address"))
    minutes = int(_LINK_LASTS.total_seconds() // 60)
    text = request.words("write.link", id=pointer, minutes=minutes)
    if link.is_local:
        text = f"{text} {request.words('write.local')}"
    button = Button(request.words("button.open_page"), link=link.address)
    return Text(text, private=True, buttons=(button,))


def write_up_form(request: Request, pointer: ExampleId) -> Form:
    """Returns the form for a pointer's text, for users who may type it here."""
    return _write_form(request, pointer, str(pointer))


@handlers.button("example.write_page", Role.MEMBER, is_for_pages=True)
async def write_up_form_for_link(request: Request, deps: Dependencies) -> Reply:
    """Returns the form for a pointer's text to a user who has opened a link."""
    pointer = _invited_pointer(request, deps.links)
    async with deps.store.reading() as records:
        await _require_unwritten(request, pointer, records)
    return _write_form(request, pointer, request.argument)


@handlers.form("example.written", Role.MEMBER)
async def save_written_text(request: Request, deps: Dependencies) -> Reply:
    """Stores the text in place of the pointer, so that a link works only once."""
    if request.argument.isdecimal():
        pointer, origin = named_example_id(request), _origin(request)
    elif request.is_page:
        pointer, origin = _invited_pointer(request, deps.links), Origin.STUDIO
    else:
        raise NotNow(problem=request.words("write.bad_link"))
    example = _new_example(request, origin)
    async with deps.store.writing() as records:
        await _require_unwritten(request, pointer, records)
        stored, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if is_new:
            await audit_new_example(request, records, stored)
        await change_state(request, records, pointer, ExampleState.WITHDRAWN)
    return await _saved_reply(request, stored, is_new=is_new, store=deps.store)


def _may_type(request: Request) -> bool:
    """Whether the user may type an example here; the operator always may.

    The operator's text does not come from the platform, so its rules do not apply.
    """
    is_own = request.workspace.platform == "local" or request.role is Role.OPERATOR
    return is_own or request.workspace.sources >= Sources.FORMS


def _origin(request: Request) -> Origin:
    """Returns the origin of a text typed here. Raises NotNow if forms are not allowed."""
    if not _may_type(request):
        raise NotNow(problem=request.words("sources.forms_needed"))
    if request.workspace.platform == "local":
        return Origin.CONSOLE
    return Origin.STUDIO if request.role is Role.OPERATOR else Origin.FORM


def _invited_pointer(request: Request, links: Links) -> ExampleId:
    """Returns the pointer of a link. Raises NotNow if the link expired or is another user's."""
    invitation = links.read_invitation(request.argument)
    if (
        invitation is None
        or invitation.example is None
        or invitation.place.workspace != request.workspace_id
        or invitation.user.id != request.user_id
    ):
        raise NotNow(problem=request.words("write.bad_link"))
    if invitation.until <= request.now:
        raise NotNow(problem=request.words("write.ended"))
    return invitation.example


async def _require_unwritten(request: Request, pointer: ExampleId, records: Records) -> None:
    """Raises NotFound for a pointer of another channel, except for curators.

    Raises Outdated if the pointer's text is written already.
    """
    example = await records.examples.get(request.workspace_id, pointer)
    is_here = example.source is None or example.source.channel == request.place.channel
    if not is_here and request.role < Role.CURATOR:
        raise NotFound(noun="example", name=pointer)
    if example.row is not None or example.state is not ExampleState.PROPOSED:
        raise Outdated(problem=request.words("write.done", id=pointer))


def _new_example(request: Request, origin: Origin) -> NewExample:
    question, answer = (request.options.get(name, "") for name in ("question", "answer"))
    if not question.strip() or not answer.strip():
        raise BadInput(problem=request.words("teach.empty"))
    is_here = origin is Origin.FORM
    place = access.learning_exclusions(request.place, ()) if is_here else NO_EXCLUSIONS
    return NewExample(
        assistant=request.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.APPROVED if request.role >= Role.CURATOR else ExampleState.PROPOSED,
        row=require_valid_row(question_answer_row(question, answer), request.words),
        origin=origin,
        authors=(request.user_id,),
        source=source_of_form(request) if is_here else None,
        exclusions=require_allowed_user(request) | place,
    )


async def _saved_reply(request: Request, kept: Example, *, is_new: bool, store: Store) -> Reply:
    if not is_new:
        state = request.words(f"state.{kept.state}")
        return Text(request.words("example.known", id=kept.id, state=state), private=True)
    is_approved = kept.state is ExampleState.APPROVED
    text = request.words("teach.approved" if is_approved else "teach.proposed", id=kept.id)
    text = " ".join([text, *private_text_warnings(kept, request.words)])
    masking = masking_buttons(kept, request.words) if request.role >= Role.CURATOR else ()
    if kept.origin is not Origin.FORM:
        return Text(text, buttons=masking)
    if kept.exclusions not in request.workspace.allowed:
        text = f"{text} {request.words('teach.only_here')}"
    async with store.reading() as records:
        consent = await records.consents.get(request.workspace_id, request.user_id)
    if consent is not None and consent.given:
        return Text(text, buttons=masking)
    text = f"{text} {request.words('teach.unagreed')}"
    return Text(text, buttons=(*consent_buttons(request.words, consent), *masking))


def _write_form(request: Request, pointer: ExampleId, argument: str) -> Form:
    """Returns the form; `argument` is the pointer's id, or the token of a link."""
    return _form(
        f"example.written:{argument}", request.words("write.title", id=pointer), request.words
    )


def _form(action: str, title: str, words: Words, *, question: str = "") -> Form:
    return Form(
        id=action,
        title=title,
        fields=(
            Field("question", words("teach.question"), FieldKind.TEXT, question),
            Field("answer", words("teach.answer"), FieldKind.TEXT),
        ),
        submit_label=words("teach.submit"),
    )
