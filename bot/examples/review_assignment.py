"""Assigns an example to one reviewer, or asks its author about it."""

from __future__ import annotations

from dataclasses import replace

from bot import access, mentions_and_times
from bot.commands import Handlers
from bot.domain import (
    Example,
    ExampleId,
    ExampleState,
    Notice,
    Place,
    ReviewKind,
    Role,
    UserId,
)
from bot.errors import NotFound, NotNow, Outdated, SurfaceError
from bot.examples.message_exchange import fetch_user_details, find_person, mention_people
from bot.examples.required_approvals import review_lines, reviews_in_force
from bot.examples.row_texts import labelled_text_lines
from bot.examples.state_changes import find_visible_example, named_example_id, redraw_cards
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.ports.surface import CanDirectMessage
from bot.replies import Button, Card, Drawn, Field, FieldKind, Form, Reply, Text, one_line
from bot.request import Request
from bot.words import Words

handlers = Handlers()

AUTHOR_QUESTION_NOTICE = "author.asked"
_NOBODY = "-"
_MAX_CHOICES, _MAX_NOTE_LENGTH = 24, 500


def assignment_buttons(request: Request, example: Example) -> tuple[Button, ...]:
    """Returns the buttons to assign a proposed example to a reviewer and to ask its authors."""
    words = request.words
    assign = Button(words("button.assign"), f"example.assign:{example.id}")
    if example.row is None or set(example.authors) <= {request.user_id}:
        return (assign,)
    return assign, Button(words("button.ask_author"), f"example.ask_author:{example.id}")


async def review_status_lines(
    request: Request, example: Example, deps: Dependencies
) -> tuple[str, ...]:
    """Returns lines about the reviews of an example so far."""
    async with deps.store.reading() as records:
        reviews = await records.reviews.list_for_example(request.workspace_id, example.id)
        assistant = await records.assistants.get(request.workspace_id, example.assistant)
    needed = assistant.reviewers
    return tuple(review_lines(example, reviews, request.words, needed=needed))


@handlers.button("example.assign", Role.CURATOR, opens_form=True)
async def assign_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form with the curators by grant; `/tune review` can assign to anybody."""
    async with deps.store.reading() as records:
        example = await proposed_example(request, records)
        granted = await records.roles.all(request.workspace_id)
    people = [request.user_id, *(user for user, role in granted if role >= Role.CURATOR)]
    surface = deps.surfaces.surface_of(request.workspace_id)
    users = [await fetch_user_details(request, user, surface) for user in dict.fromkeys(people)]
    choices = tuple((user.id, user.name) for user in users[:_MAX_CHOICES])
    nobody = (_NOBODY, request.words("reviewers.nobody"))
    label, by = request.words("reviewers.person"), request.user_id
    return Form(
        f"example.assign:{example.id}",
        request.words("reviewers.assign", id=example.id),
        (Field("person", label, FieldKind.CHOICE, by, choices=(*choices, nobody)),),
        request.words("button.assign"),
        reopen_action=f"example.assign:{example.id}",
    )


@handlers.form("example.assign", Role.CURATOR)
async def assign_reviewer(request: Request, deps: Dependencies) -> Reply:
    """Assigns an example to one reviewer, whose queue alone then has it, or to nobody."""
    typed = request.text_option("person") or _NOBODY
    if typed in (_NOBODY, "off"):
        async with deps.store.writing() as records:
            example = await proposed_example(request, records)
            await records.reviews.unassign(request.workspace_id, example.id)
        return Text(request.words("reviewers.unassigned", id=example.id), private=True)
    person = await find_person(request, typed, deps.surfaces)
    shown = mentions_and_times.person_reference(person.id, person.name)
    async with deps.store.writing() as records:
        example = await proposed_example(request, records)
        grant = await records.roles.get(request.workspace_id, person.id)
        role = access.role_of(
            person, workspace=request.workspace, grant=grant, admins=frozenset(deps.admins)
        )
        if role < Role.CURATOR and person.id != request.user_id:
            raise NotNow(problem=request.words("reviewers.no_curator", name=shown))
        reviews = await records.reviews.list_for_example(request.workspace_id, example.id)
        if any(review.user == person.id for review in reviews_in_force(example, reviews)):
            raise NotNow(problem=request.words("reviewers.has_reviewed", id=example.id, name=shown))
        await records.reviews.put_reviews(
            request.workspace_id, [example.id], person.id, ReviewKind.ASSIGNED, at=request.now
        )
        await request.audit(records, "example.assigned", example=example.id)
    text = request.words("reviewers.assigned_to", id=example.id, name=shown)
    return Text(text, private=True)


@handlers.button("example.ask_author", Role.CURATOR)
async def ask_author(request: Request, deps: Dependencies) -> Reply:
    """Asks each author, once for a revision, in a direct message whether the text is right."""
    async with deps.store.reading() as records:
        example = await proposed_example(request, records)
    if example.row is None:
        raise NotNow(problem=request.words("example.pointer_only", id=example.id))
    authors = [author for author in example.authors if author != request.user_id]
    reached = [
        (author, place)
        for author in authors
        if (place := await _direct_place(request, author, deps))
    ]
    if not reached:
        raise NotNow(problem=request.words("author.nobody"))
    async with deps.store.writing() as records:
        for author, place in reached:
            await records.reviews.put_reviews(
                request.workspace_id, [example.id], author, ReviewKind.AUTHOR_ASKED, at=request.now
            )
            await records.outbox.put(
                f"{request.workspace_id}.{example.id}.r{example.revision}.{author}.author",
                place,
                AUTHOR_QUESTION_NOTICE,
                subject=example.id,
                details={"revision": example.revision, "locale": request.event.locale},
                at=request.now,
                only_if_new=True,
            )
        await request.audit(records, "example.author_asked", example=example.id)
    names = mention_people([author for author, _ in reached])
    return Text(request.words("author.is_asked", names=names), private=True)


async def _direct_place(request: Request, author: UserId, deps: Dependencies) -> Place | None:
    """Returns the author's direct-message channel; this channel in the local workspace.

    None if the platform refuses.
    """
    surface = deps.surfaces.surface_of(request.workspace_id)
    if not isinstance(surface, CanDirectMessage):
        return request.place
    try:
        return await surface.find_direct_message_place(request.place, author)
    except SurfaceError:
        return None


async def render_author_question_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the question to an author; None once the example is decided, edited or erased."""
    example = await records.examples.get(notice.place.workspace, ExampleId(notice.subject or 0))
    is_same = example.revision == notice.details.get("revision")
    if example.row is None or example.state is not ExampleState.PROPOSED or not is_same:
        return None
    token = f"{example.id}.r{example.revision}"
    right = Button(words("button.author_right"), f"author.right:{token}", is_primary=True)
    wrong = Button(words("button.author_wrong"), f"author.wrong:{token}")
    lines = words("author.question"), *labelled_text_lines(example.row, words)
    return Card(words("author.title"), lines, buttons=(right, wrong))


@handlers.button("author.right", Role.MEMBER)
async def save_author_approval(request: Request, deps: Dependencies) -> Reply:
    return await _save_answer(request, deps, ReviewKind.AUTHOR_SAYS_RIGHT)


@handlers.button("author.wrong", Role.MEMBER, opens_form=True)
async def author_objection_form(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        await _unchanged_example(request, records)
    return Form(
        f"author.wrong:{request.argument}",
        request.words("author.title"),
        (Field("note", request.words("author.what"), FieldKind.TEXT, required=False),),
        request.words("button.send"),
        reopen_action=f"author.wrong:{request.argument}",
    )


@handlers.form("author.wrong", Role.MEMBER)
async def save_author_objection(request: Request, deps: Dependencies) -> Reply:
    return await _save_answer(request, deps, ReviewKind.AUTHOR_SAYS_WRONG)


async def _save_answer(request: Request, deps: Dependencies, kind: ReviewKind) -> Card:
    note = one_line(request.options.get("note", "").strip(), _MAX_NOTE_LENGTH)
    async with deps.store.writing() as records:
        example = await _unchanged_example(request, records)
        await records.reviews.put_reviews(
            request.workspace_id, [example.id], request.user_id, kind, at=request.now, note=note
        )
        await redraw_cards(request, [example.id], records)
    return Card(request.words("author.thanks"), replaces=True)


async def _unchanged_example(request: Request, records: Records) -> Example:
    """Returns the example that its author was asked about. Raises Outdated if it has changed."""
    example = await records.examples.get(request.workspace_id, named_example_id(request))
    if request.user_id not in example.authors:
        raise NotFound(noun="example", name=example.id)
    shown = f"{example.id}.r{example.revision}"
    if request.argument != shown or example.state is not ExampleState.PROPOSED:
        raise Outdated(problem=request.words("author.outdated"))
    return example


async def proposed_example(request: Request, records: Records) -> Example:
    """Returns the named example. Raises Outdated if it is decided."""
    example = await find_visible_example(request, records)
    if example.state is not ExampleState.PROPOSED:
        raise Outdated(problem=request.words("reviewers.decided", id=example.id))
    return example


async def assign_typed_reviewer(request: Request, deps: Dependencies, person: str) -> Reply:
    """Assigns an example for `/tune review EXAMPLE assign:PERSON`, like the form."""
    chosen = replace(
        request, argument=request.text_option("example") or "", options={"person": person}
    )
    return await assign_reviewer(chosen, deps)
