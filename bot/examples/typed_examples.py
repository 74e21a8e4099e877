"""Text that somebody writes himself: a lesson in a form, a pointer written up."""

from __future__ import annotations

from datetime import timedelta

from bot import access
from bot.commands import Handlers
from bot.consent import consent_buttons
from bot.domain import (
    NO_EXCLUSION,
    Example,
    ExampleId,
    ExampleState,
    NewExample,
    Origin,
    Role,
    Sources,
)
from bot.errors import BadInput, NotFound, NotNow, Outdated
from bot.examples.example_buttons import masking_buttons
from bot.examples.exchange import form_source, refuse_guest
from bot.examples.review import private_text_warnings
from bot.examples.states import add_example, audit_new_example, change_state, named_example_id
from bot.examples.texts import exchange_row, require_valid
from bot.ports.dependencies import Dependencies
from bot.ports.links import Invitation, Links
from bot.ports.store import Records, Store
from bot.replies import Button, Field, FieldKind, Form, Reply, Text
from bot.request import Request
from bot.rows import Method
from bot.words import Words

handlers = Handlers()


_LINK_LASTS = timedelta(minutes=10)


@handlers.command("teach", Role.MEMBER, opens_form=True)
async def teach_form(request: Request, deps: Dependencies) -> Reply:
    return lesson_form(request)


def lesson_form(request: Request, *, title: str = "teach.title", question: str = "") -> Form:
    """Where a lesson is typed; `title` is a key. Raises NotNow where it may not be kept."""
    _origin(request)
    return _form("teach", request.words(title), request.words, question=question)


@handlers.form("teach", Role.MEMBER)
async def save_lesson(request: Request, deps: Dependencies) -> Reply:
    """A lesson typed into a form; a curator's own counts as approved."""
    example = _written(request, _origin(request))
    kept, is_new = await add_example(request, example, store=deps.store)
    return await _told(request, kept, is_new=is_new, store=deps.store)


@handlers.button("example.write", Role.MEMBER, opens_form=True)
async def write(request: Request, deps: Dependencies) -> Reply:
    """Where a pointer is written up: a form if it may be typed here, else a page of ours."""
    pointer = named_example_id(request)
    async with deps.store.reading() as records:
        await _waiting(request, pointer, records)
    if _may_type(request):
        return write_form(request, pointer)
    link = deps.links.create_link(
        Invitation(request.place, request.user, pointer, request.now + _LINK_LASTS)
    )
    # An admin may sit at the machine itself; whoever else would open it finds nothing there.
    if link is None or (link.is_local and request.role < Role.ADMIN):
        raise NotNow(problem=request.words("write.no_address"))
    minutes = int(_LINK_LASTS.total_seconds() // 60)
    text = request.words("write.link", id=pointer, minutes=minutes)
    if link.is_local:
        text = f"{text} {request.words('write.local')}"
    button = Button(request.words("button.open_page"), link=link.address)
    return Text(text, private=True, buttons=(button,))


def write_form(request: Request, pointer: ExampleId) -> Form:
    """For those who may type it here; the pointer's number alone is their right to."""
    return _write_form(request, pointer, str(pointer))


@handlers.button("example.write_page", Role.MEMBER, is_for_pages=True)
async def write_page(request: Request, deps: Dependencies) -> Reply:
    """What somebody with a link is shown."""
    pointer = _invited(request, deps.links)
    async with deps.store.reading() as records:
        await _waiting(request, pointer, records)
    return _write_form(request, pointer, request.argument)


@handlers.form("example.written", Role.MEMBER)
async def save_written(request: Request, deps: Dependencies) -> Reply:
    """The text takes the pointer's place; so a link is of use once."""
    if request.argument.isdecimal():
        pointer, origin = named_example_id(request), _origin(request)
    elif request.is_page:
        pointer, origin = _invited(request, deps.links), Origin.STUDIO
    else:
        raise NotNow(problem=request.words("write.bad_link"))
    example = _written(request, origin)
    async with deps.store.writing() as records:
        await _waiting(request, pointer, records)
        kept, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if is_new:
            await audit_new_example(request, records, kept)
        await change_state(request, records, pointer, ExampleState.WITHDRAWN)
    return await _told(request, kept, is_new=is_new, store=deps.store)


def _may_type(request: Request) -> bool:
    """The operator's words are never the platform's, wherever they end up."""
    is_own = request.workspace.platform == "local" or request.role is Role.OPERATOR
    return is_own or request.workspace.sources >= Sources.FORMS


def _origin(request: Request) -> Origin:
    """How text that is typed here came to us. Raises NotNow where it may not be kept."""
    if not _may_type(request):
        raise NotNow(problem=request.words("sources.forms_needed"))
    if request.workspace.platform == "local":
        return Origin.CONSOLE
    return Origin.STUDIO if request.role is Role.OPERATOR else Origin.FORM


def _invited(request: Request, links: Links) -> ExampleId:
    """The pointer that a link is for. Raises NotNow for one that ended or is somebody else's."""
    held = links.read_invitation(request.argument)
    is_theirs = held is not None and (held.place.workspace, held.user.id) == (
        request.workspace_id,
        request.user_id,
    )
    if held is None or held.example is None or not is_theirs:
        raise NotNow(problem=request.words("write.bad_link"))
    if held.until <= request.now:
        raise NotNow(problem=request.words("write.ended"))
    return held.example


async def _waiting(request: Request, pointer: ExampleId, records: Records) -> None:
    """Who may write up a pointer stands where it points to, or curates."""
    found = await records.examples.get(request.workspace_id, pointer)
    is_here = found.source is None or found.source.channel == request.place.channel
    if not is_here and request.role < Role.CURATOR:
        raise NotFound(noun="example", name=pointer)
    if found.row is not None or found.state is not ExampleState.PROPOSED:
        raise Outdated(problem=request.words("write.done", id=pointer))


def _written(request: Request, origin: Origin) -> NewExample:
    question, answer = (request.options.get(name, "") for name in ("question", "answer"))
    if not question.strip() or not answer.strip():
        raise BadInput(problem=request.words("teach.empty"))
    is_here = origin is Origin.FORM
    place = access.exclusions(request.place, ()) if is_here else NO_EXCLUSION
    return NewExample(
        assistant=request.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.APPROVED if request.role >= Role.CURATOR else ExampleState.PROPOSED,
        row=require_valid(exchange_row(question, answer), request.words),
        origin=origin,
        authors=(request.user_id,),
        source=form_source(request) if is_here else None,
        exclusions=refuse_guest(request) | place,
    )


async def _told(request: Request, kept: Example, *, is_new: bool, store: Store) -> Reply:
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
        held = await records.consents.get(request.workspace_id, request.user_id)
    if held is not None and held.given:
        return Text(text, buttons=masking)
    text = f"{text} {request.words('teach.unagreed')}"
    return Text(text, buttons=(*consent_buttons(request.words, held), *masking))


def _write_form(request: Request, pointer: ExampleId, right: str) -> Form:
    return _form(
        f"example.written:{right}", request.words("write.title", id=pointer), request.words
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
