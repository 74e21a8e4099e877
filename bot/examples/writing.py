"""Text that somebody writes himself: a lesson in a form, a pointer written up."""

from __future__ import annotations

from datetime import timedelta

from bot.domain import (
    Example,
    ExampleId,
    ExampleState,
    NewExample,
    Origin,
    Role,
    Sources,
)
from bot.errors import BadInput, NotFound, NotNow
from bot.examples.exchange import refuse_guest
from bot.examples.keeping import add, change_state, consent_buttons, note_new, number
from bot.examples.texts import checked, exchange_row
from bot.ports.links import Invitation, Links
from bot.ports.store import Records, Store
from bot.replies import Button, Field, FieldKind, Form, Reply, Text
from bot.request import Request
from bot.rows import Method
from bot.words import Words

_LINK_LASTS = timedelta(minutes=10)


def teach_form(words: Words, *, title: str = "teach.title", question: str = "") -> Form:
    """Where a lesson is typed; `title` is a key."""
    return _form("teach", words(title), words, question=question)


async def teach(ask: Request, *, store: Store) -> Reply:
    """A lesson typed into a form; a curator's own counts as approved."""
    example = _written(ask, _origin(ask))
    kept, is_new = await add(ask, example, store=store)
    return await _told(ask, kept, is_new=is_new, store=store)


def write_button(example: ExampleId, words: Words) -> Button:
    return Button(words("button.write"), f"example.write:{example}")


async def write(ask: Request, *, store: Store, links: Links) -> Reply:
    """Where a pointer is written up: a form if it may be typed here, else a page of ours."""
    pointer = number(ask)
    async with store.reading() as records:
        await _waiting(ask, pointer, records)
    if _may_type(ask):
        return write_form(ask, pointer)
    link = links.write(Invitation(ask.place, ask.user, pointer, ask.now + _LINK_LASTS))
    # An admin may sit at the machine itself; whoever else would open it finds nothing there.
    if link is None or (link.is_local and ask.role < Role.ADMIN):
        raise NotNow(problem=ask.words("write.no_address"))
    minutes = int(_LINK_LASTS.total_seconds() // 60)
    text = ask.words("write.link", id=pointer, minutes=minutes)
    if link.is_local:
        text = f"{text} {ask.words('write.local')}"
    button = Button(ask.words("button.open_page"), link=link.address)
    return Text(text, private=True, buttons=(button,))


def write_form(ask: Request, pointer: ExampleId) -> Form:
    """For those who may type it here; the pointer's number alone is their right to."""
    return _write_form(ask, pointer, str(pointer))


async def write_page(ask: Request, *, store: Store, links: Links) -> Reply:
    """What somebody with a link is shown."""
    pointer = _invited(ask, links)
    async with store.reading() as records:
        await _waiting(ask, pointer, records)
    return _write_form(ask, pointer, ask.argument)


async def written(ask: Request, *, store: Store, links: Links) -> Reply:
    """The text takes the pointer's place; so a link is of use once."""
    if ask.argument.isdecimal():
        pointer, origin = number(ask), _origin(ask)
    elif ask.is_page:
        pointer, origin = _invited(ask, links), Origin.STUDIO
    else:
        raise NotNow(problem=ask.words("write.bad_link"))
    example = _written(ask, origin)
    async with store.writing() as records:
        await _waiting(ask, pointer, records)
        kept, is_new = await records.examples.add(ask.id, example, at=ask.now)
        if is_new:
            await note_new(ask, records, kept)
        await change_state(ask, records, pointer, ExampleState.WITHDRAWN)
    return await _told(ask, kept, is_new=is_new, store=store)


def _may_type(ask: Request) -> bool:
    """The operator's words are never the platform's, wherever they end up."""
    is_own = ask.workspace.platform == "local" or ask.role is Role.OPERATOR
    return is_own or ask.workspace.sources >= Sources.FORMS


def _origin(ask: Request) -> Origin:
    """How text that is typed here came to us. Raises NotNow where it may not be kept."""
    if not _may_type(ask):
        raise NotNow(problem=ask.words("sources.forms_needed"))
    if ask.workspace.platform == "local":
        return Origin.CONSOLE
    return Origin.STUDIO if ask.role is Role.OPERATOR else Origin.FORM


def _invited(ask: Request, links: Links) -> ExampleId:
    """The pointer that a link is for. Raises NotNow for one that ended or is somebody else's."""
    held = links.read(ask.argument)
    is_theirs = held is not None and (held.place.workspace, held.user.id) == (ask.id, ask.by)
    if held is None or held.example is None or not is_theirs:
        raise NotNow(problem=ask.words("write.bad_link"))
    if held.until <= ask.now:
        raise NotNow(problem=ask.words("write.ended"))
    return held.example


async def _waiting(ask: Request, pointer: ExampleId, records: Records) -> None:
    """Who may write up a pointer stands where it points to, or curates."""
    found = await records.examples.get(ask.id, pointer)
    is_here = found.source is None or found.source.channel == ask.place.channel
    if not is_here and ask.role < Role.CURATOR:
        raise NotFound(noun="example", name=pointer)
    if found.row is not None or found.state is not ExampleState.PROPOSED:
        raise NotNow(problem=ask.words("write.done", id=pointer))


def _written(ask: Request, origin: Origin) -> NewExample:
    question, answer = (ask.options.get(name, "") for name in ("question", "answer"))
    if not question.strip() or not answer.strip():
        raise BadInput(problem=ask.words("teach.empty"))
    return NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.APPROVED if ask.role >= Role.CURATOR else ExampleState.PROPOSED,
        row=checked(exchange_row(question, answer), ask.words),
        origin=origin,
        authors=(ask.by,),
        exclusions=refuse_guest(ask),
    )


async def _told(ask: Request, kept: Example, *, is_new: bool, store: Store) -> Reply:
    if not is_new:
        state = ask.words(f"state.{kept.state}")
        return Text(ask.words("example.known", id=kept.id, state=state), private=True)
    is_approved = kept.state is ExampleState.APPROVED
    text = ask.words("teach.approved" if is_approved else "teach.proposed", id=kept.id)
    if kept.origin is Origin.FORM and not await _has_agreed(ask, store):
        text = f"{text} {ask.words('teach.unagreed')}"
        return Text(text, buttons=consent_buttons(ask.words))
    return Text(text)


async def _has_agreed(ask: Request, store: Store) -> bool:
    async with store.reading() as records:
        held = await records.consents.get(ask.id, ask.by)
    return held is not None and held.given


def _write_form(ask: Request, pointer: ExampleId, right: str) -> Form:
    return _form(f"example.written:{right}", ask.words("write.title", id=pointer), ask.words)


def _form(action: str, title: str, words: Words, *, question: str = "") -> Form:
    return Form(
        id=action,
        title=title,
        fields=(
            Field("question", words("teach.question"), FieldKind.TEXT, question),
            Field("answer", words("teach.answer"), FieldKind.TEXT),
        ),
        submit=words("teach.submit"),
    )
