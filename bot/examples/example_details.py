"""Shows one example: texts and facts, revisions, similar examples, and its source's context."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.commands import Handlers
from bot.domain import (
    MUST_ANSWER_TAG,
    TYPED_SOURCE_PREFIX,
    AssistantId,
    Example,
    ExampleFilter,
    ExampleState,
    MessageId,
    Origin,
    Place,
    Role,
    Row,
)
from bot.errors import NotFound
from bot.examples import must_answer_tag, review_assignment
from bot.examples.example_buttons import example_state_token, masking_buttons, review_buttons
from bot.examples.message_exchange import mention_people
from bot.examples.review_queue import highlighted_texts, private_text_warnings, synthetic_lines
from bot.examples.row_texts import (
    last_text_of_part,
    part_label,
    part_without_number,
    readable_texts,
)
from bot.examples.state_changes import find_visible_example, named_example_id
from bot.mentions_and_times import channel_reference, person_reference, time_reference
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Card, Column, Fact, Listing, ListingRow, Reply, one_line
from bot.request import Request
from bot.rows import Method
from bot.words import Words

handlers = Handlers()


_MIN_SIMILARITY = 0.45
"""Cosine below which two questions are about different things more often than not."""
_CANDIDATES = 60
_SHOWN = 5
_NEARBY = 6


@handlers.button("example.show", Role.MEMBER)
async def show_example(request: Request, deps: Dependencies) -> Reply:
    """Shows an example: all its texts, its origin, and whether it may be trained on."""
    async with deps.store.reading() as records:
        example = await find_visible_example(request, records)
        consent = await _consent(request, example, records)
        synthetic = await synthetic_lines(example, records, request.words)
    is_curator = request.role >= Role.CURATOR
    reviews = (
        await review_assignment.review_status_lines(request, example, deps) if is_curator else ()
    )
    words = request.words
    facts = (
        Fact(words("fact.state"), words(f"state.{example.state}"), "state"),
        Fact(words("fact.origin"), words(f"origin.{example.origin}"), "origin"),
        Fact(words("fact.authors"), mention_people(example.authors) or "–", "authors"),
        Fact(words("fact.consent"), consent, "consent"),
        Fact(words("fact.tags"), ", ".join(example.tags) or "–", "tags"),
        Fact(words("fact.revision"), str(example.revision), "revision"),
        Fact(words("fact.date"), time_reference(example.created_at), "date"),
        *_deletion_date(request, example),
    )
    return Card(
        title=words("example.title", id=example.id),
        lines=(
            *synthetic,
            *private_text_warnings(example, words),
            *([words("example.must_answer")] if MUST_ANSWER_TAG in example.tags else ()),
            *reviews,
        ),
        facts=facts,
        columns=_columns(example.row, words) if example.row else (),
        marks=highlighted_texts(example),
        buttons=_buttons(request, example) if is_curator else (),
        private=True,
    )


@handlers.button("example.revisions", Role.CURATOR, is_for_pages=True)
async def show_revisions(request: Request, deps: Dependencies) -> Reply:
    """Shows every revision in a column of its own, newest first."""
    async with deps.store.reading() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        stored = await records.examples.revisions(request.workspace_id, example.id)
    words = request.words
    columns = tuple(
        Column(
            words("example.revision", number=revision.number),
            "\n\n".join(readable_texts(revision.row).values())
            if revision.row
            else words("example.no_text"),
            f"{person_reference(revision.editor) if revision.editor else '–'} · "
            f"{time_reference(revision.at)}",
        )
        for revision in reversed(stored)
    )
    return Card(words("example.revisions", id=example.id), columns=columns)


@handlers.button("example.similar", Role.CURATOR, is_for_pages=True)
async def show_similar_examples(request: Request, deps: Dependencies) -> Reply:
    """Lists examples with a similar question, most similar first."""
    async with deps.store.reading() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        near = await _near(request, example.assistant, _question(example), records, deps)
    near = [(similarity, other) for similarity, other in near if other.id != example.id]
    lines = tuple(
        ListingRow(
            id=str(other.id),
            text=_question(other),
            note=f"{similarity:.0%} · {request.words(f'state.{other.state}')} · {_answer(other)}",
            buttons=(
                Button(
                    request.words("button.withdraw"), f"example.drop:{example_state_token(other)}"
                ),
            ),
        )
        for similarity, other in near[:_SHOWN]
    )
    return Listing(
        request.words("example.similar"), lines, empty=request.words("example.no_similar")
    )


@handlers.button("answer.why", Role.CURATOR, is_for_pages=True)
async def explain_answer(request: Request, deps: Dependencies) -> Reply:
    """Shows which model wrote an answer, and the example with the most similar question."""
    message, words = MessageId(request.argument), request.words
    async with deps.store.reading() as records:
        turn = await records.turns.by_reply_message(
            request.workspace_id, request.place.channel, message
        )
        if turn is None:
            raise NotFound(noun="answer", name=message)
        model = await records.models.find(request.workspace_id, turn.model)
        near = await _near(request, turn.assistant, turn.question, records, deps)
    reply = turn.reply.strip()
    same = [
        pair
        for pair in near
        if last_text_of_part(readable_texts(pair[1].row), "answer").strip() == reply
    ]
    similarity, nearest = next(iter(same or near), (0.0, None))
    columns: tuple[Column, ...] = ()
    key = "answer.like_none"
    if nearest is not None:
        key = "answer.word_for_word" if same else "answer.in_own_words"
        columns = tuple(replace(column, note="") for column in _columns(nearest.row or {}, words))
    model_name = model.display_name if model else turn.model
    facts = [Fact(words("assistant.model"), model_name, "model")]
    if model is not None and model.label:
        facts.append(Fact(words("answer.model_id"), turn.model, "id"))
    if model is not None and model.note:
        facts.append(Fact(words("answer.model_note"), model.note, "note"))
    if columns and nearest is not None:
        facts.append(Fact(words("answer.example"), f"{nearest.id}", "example"))
        facts.append(Fact(words("answer.likeness"), f"{similarity:.0%}", "likeness"))
    if turn.seconds is not None:
        facts.append(Fact(words("answer.time"), f"{turn.seconds:.1f} s", "time"))
    return Card(words("answer.why", model=model_name), (words(key),), tuple(facts), columns)


@handlers.button("example.context", Role.CURATOR, is_for_pages=True)
async def show_source_context(request: Request, deps: Dependencies) -> Reply:
    """Shows the source message of an example and the messages before it."""
    async with deps.store.reading() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
    source, title = example.source, request.words("example.context")
    is_from_message = example.origin is Origin.MESSAGE
    if source is None or not is_from_message or source.message.startswith(TYPED_SOURCE_PREFIX):
        return Listing(title, (), empty=request.words("example.no_context"))
    place = Place(request.workspace_id, source.channel, source.thread)
    surface = deps.surfaces.surface_of(request.workspace_id)
    marked = await surface.fetch_message(place, MessageId(source.message))
    before = await surface.messages_before(place, MessageId(source.message), _NEARBY)
    messages = [*before, marked] if marked else list(before)
    lines = tuple(
        ListingRow(message.author.name, message.text, f"{message.at:%Y-%m-%d %H:%M}")
        for message in messages
    )
    return Listing(
        f"{title} {channel_reference(source.channel)}", lines, empty=request.words("message.gone")
    )


def _deletion_date(request: Request, example: Example) -> tuple[Fact, ...]:
    """Returns the date on which the workspace's retention deletes an example, if it does."""
    limits = [request.workspace.keep_days]
    if example.state is not ExampleState.APPROVED:
        limits.append(request.workspace.keep_unapproved_days)
    days = min((limit for limit in limits if limit is not None), default=None)
    if days is None:
        return ()
    date = example.created_at + timedelta(days=days)
    return (Fact(request.words("retention.on"), f"{date:%Y-%m-%d}", "deleted_on"),)


async def _consent(request: Request, example: Example, records: Records) -> str:
    words = request.words
    consents = [
        await records.consents.get(request.workspace_id, author) for author in example.authors
    ]
    if any(consent is not None and not consent.given for consent in consents):
        return words("consent.state.withheld")
    if request.workspace.platform == "local" or example.origin in (
        Origin.STUDIO,
        Origin.CONSOLE,
        Origin.IMPORT,
    ):
        return words("consent.state.own")
    return words("consent.state.given" if all(consents) else "consent.state.waiting")


async def _near(
    request: Request, assistant: AssistantId, question: str, records: Records, deps: Dependencies
) -> list[tuple[float, Example]]:
    """Returns the active examples with a similar question and its cosine, most similar first."""
    workspace = request.workspace_id
    ranked = await deps.nearest_examples.rank(
        records, workspace, assistant, question, limit=_CANDIDATES
    )
    near = {i: similarity for i, similarity in ranked if similarity >= _MIN_SIMILARITY}
    page = await records.examples.page(
        workspace, ExampleFilter(only_active=True), limit=_CANDIDATES, among=list(near)
    )
    return sorted(((near[e.id], e) for e in page), reverse=True, key=lambda pair: pair[0])


def _question(example: Example) -> str:
    return last_text_of_part(readable_texts(example.row), "question")


def _answer(example: Example) -> str:
    texts = list(readable_texts(example.row).values())
    return one_line(texts[-1], 120) if texts else ""


def _columns(row: Row, words: Words) -> tuple[Column, ...]:
    """Returns a column for each text; `note` is the part's name, like `question`."""
    return tuple(
        Column(part_label(name, words), text, part_without_number(name))
        for name, text in readable_texts(row).items()
    )


def _buttons(request: Request, example: Example) -> tuple[Button, ...]:
    words = request.words
    if example.state is ExampleState.PROPOSED:
        return (
            *review_buttons(example, words)[:-1],
            *review_assignment.assignment_buttons(request, example),
        )
    edit = Button(words("button.edit"), f"example.edit:{example.id}")
    if example.state is ExampleState.APPROVED:
        drop = Button(
            words("button.withdraw"), f"example.drop:{example_state_token(example)}", is_danger=True
        )
        lineage = Button(words("button.lineage"), f"example.lineage:{example.id}")
        buttons = (edit, *masking_buttons(example, words), drop, lineage)
        if example.method is Method.SUPERVISED and example.synthetic is None:
            return (*buttons, must_answer_tag.must_answer_button(example, words))
        return buttons
    return (
        Button(
            words("button.approve"),
            f"example.approve:{example_state_token(example)}",
            is_primary=True,
        ),
        edit,
    )
