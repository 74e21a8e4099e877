"""One example seen from all sides: its words, its origin, its like, its past, its thread."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.commands import Handlers
from bot.domain import (
    MUST_ANSWER,
    TYPED,
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
from bot.examples import must_answer, review_assignment
from bot.examples.example_buttons import example_state_token, masking_buttons, review_buttons
from bot.examples.exchange import names_of
from bot.examples.review import highlighted_texts, private_text_warnings, synthetic_lines
from bot.examples.states import find_visible, named_example_id
from bot.examples.texts import last_text, readable_texts
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.references import channel_reference, person_reference, time_reference
from bot.replies import Button, Card, Column, Fact, Listing, ListingRow, Reply, one_line
from bot.request import Request
from bot.rows import Method, search_terms
from bot.words import Words

handlers = Handlers()


_ALIKE = 0.35
_PIECES = 3
_CANDIDATES = 60
_SHOWN = 5
_NEARBY = 6


@handlers.button("example.show", Role.MEMBER)
async def show(request: Request, deps: Dependencies) -> Reply:
    """An example whole: every text of it, where it came from, whether it may be trained on."""
    async with deps.store.reading() as records:
        example = await find_visible(request, records)
        consent = await _consent(request, example, records)
        written = await synthetic_lines(example, records, request.words)
    is_curator = request.role >= Role.CURATOR
    said = await review_assignment.review_status_lines(request, example, deps) if is_curator else ()
    words = request.words
    facts = (
        Fact(words("fact.state"), words(f"state.{example.state}"), "state"),
        Fact(words("fact.origin"), words(f"origin.{example.origin}"), "origin"),
        Fact(words("fact.authors"), names_of(example.authors) or "–", "authors"),
        Fact(words("fact.consent"), consent, "consent"),
        Fact(words("fact.tags"), ", ".join(example.tags) or "–", "tags"),
        Fact(words("fact.revision"), str(example.revision), "revision"),
        Fact(words("fact.date"), time_reference(example.created_at), "date"),
        *_deleted_on(request, example),
    )
    return Card(
        title=words("example.title", id=example.id),
        lines=(
            *written,
            *private_text_warnings(example, words),
            *([words("example.must_answer")] if MUST_ANSWER in example.tags else ()),
            *said,
        ),
        facts=facts,
        columns=_columns(example.row, words) if example.row else (),
        marks=highlighted_texts(example),
        buttons=_ways(request, example) if is_curator else (),
        private=True,
    )


@handlers.button("example.revisions", Role.CURATOR, is_for_pages=True)
async def revisions(request: Request, deps: Dependencies) -> Reply:
    """Every revision beside the others, the newest first."""
    async with deps.store.reading() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        found = await records.examples.revisions(request.workspace_id, example.id)
    words = request.words
    columns = tuple(
        Column(
            words("example.revision", number=one.number),
            "\n\n".join(readable_texts(one.row).values()) if one.row else words("example.no_text"),
            f"{person_reference(one.editor) if one.editor else '–'} · {time_reference(one.at)}",
        )
        for one in reversed(found)
    )
    return Card(words("example.revisions", id=example.id), columns=columns)


@handlers.button("example.similar", Role.CURATOR, is_for_pages=True)
async def similar(request: Request, deps: Dependencies) -> Reply:
    """Examples that ask nearly the same, the most alike first."""
    async with deps.store.reading() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        question = _question(example)
        like_it = ExampleFilter(assistant=example.assistant, method=example.method)
        candidates = [
            one
            for one in await _candidates(request, like_it, question, records)
            if one.id != example.id
        ]
    ranked = sorted(
        ((_likeness(question, _question(one)), one) for one in candidates),
        reverse=True,
        key=lambda pair: pair[0],
    )
    alike = [(likeness, one) for likeness, one in ranked if likeness >= _ALIKE]
    lines = tuple(
        ListingRow(
            id=str(one.id),
            text=_question(one),
            note=f"{likeness:.0%} · {request.words(f'state.{one.state}')} · {_answer(one)}",
            buttons=(
                Button(
                    request.words("button.withdraw"), f"example.drop:{example_state_token(one)}"
                ),
            ),
        )
        for likeness, one in alike[:_SHOWN]
    )
    return Listing(
        request.words("example.similar"), lines, empty=request.words("example.no_similar")
    )


@handlers.button("answer.why", Role.CURATOR, is_for_pages=True)
async def explain_answer(request: Request, deps: Dependencies) -> Reply:
    """Who wrote the answer in a message, and the taught example that it is most like."""
    message, words = MessageId(request.argument), request.words
    async with deps.store.reading() as records:
        turn = await records.turns.by_message(request.workspace_id, request.place.channel, message)
        if turn is None:
            raise NotFound(noun="answer", name=message)
        model = await records.models.find(request.workspace_id, turn.model)
        taught = ExampleFilter(assistant=turn.assistant, method=Method.SUPERVISED)
        found = await _candidates(request, taught, turn.question, records)
    asked = turn.question.strip()
    ranked = [(_likeness(asked, _question(one)), one) for one in found]
    likeness, nearest = max(ranked, key=lambda pair: pair[0], default=(0.0, None))
    columns: tuple[Column, ...] = ()
    key = "answer.like_none"
    if nearest is not None and likeness >= _ALIKE:
        is_same = last_text(readable_texts(nearest.row), "answer").strip() == turn.reply.strip()
        key = "answer.word_for_word" if is_same else "answer.in_own_words"
        columns = tuple(replace(one, note="") for one in _columns(nearest.row or {}, words))
    spoken = model.display_name if model else turn.model
    facts = [Fact(words("assistant.model"), spoken, "model")]
    if model is not None and model.label:
        facts.append(Fact(words("answer.model_id"), turn.model, "id"))
    if model is not None and model.note:
        facts.append(Fact(words("answer.model_note"), model.note, "note"))
    if columns and nearest is not None:
        facts.append(Fact(words("answer.example"), f"{nearest.id}", "example"))
        facts.append(Fact(words("answer.likeness"), f"{likeness:.0%}", "likeness"))
    if turn.seconds is not None:
        facts.append(Fact(words("answer.time"), f"{turn.seconds:.1f} s", "time"))
    return Card(words("answer.why", model=spoken), (words(key),), tuple(facts), columns)


@handlers.button("example.context", Role.CURATOR, is_for_pages=True)
async def context(request: Request, deps: Dependencies) -> Reply:
    """What stands around the message that an example was taken from."""
    async with deps.store.reading() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
    source, title = example.source, request.words("example.context")
    is_said = example.origin is Origin.MESSAGE
    if source is None or not is_said or source.message.startswith(TYPED):
        return Listing(title, (), empty=request.words("example.no_context"))
    place = Place(request.workspace_id, source.channel, source.thread)
    surface = deps.surfaces.of(request.workspace_id)
    marked = await surface.fetch(place, MessageId(source.message))
    before = await surface.messages_before(place, MessageId(source.message), _NEARBY)
    said = [*before, marked] if marked else list(before)
    lines = tuple(ListingRow(one.author.name, one.text, f"{one.at:%Y-%m-%d %H:%M}") for one in said)
    return Listing(
        f"{title} {channel_reference(source.channel)}", lines, empty=request.words("message.gone")
    )


def _deleted_on(request: Request, example: Example) -> tuple[Fact, ...]:
    """When the workspace's retention deletes it, as it stands now."""
    kept = [request.workspace.keep_days]
    if example.state is not ExampleState.APPROVED:
        kept.append(request.workspace.keep_unapproved_days)
    days = min((one for one in kept if one is not None), default=None)
    if days is None:
        return ()
    on = example.created_at + timedelta(days=days)
    return (Fact(request.words("retention.on"), f"{on:%Y-%m-%d}", "deleted_on"),)


async def _consent(request: Request, example: Example, records: Records) -> str:
    words = request.words
    held = [await records.consents.get(request.workspace_id, author) for author in example.authors]
    if any(one is not None and not one.given for one in held):
        return words("consent.state.withheld")
    if request.workspace.platform == "local" or example.origin in (
        Origin.STUDIO,
        Origin.CONSOLE,
        Origin.IMPORT,
    ):
        return words("consent.state.own")
    return words("consent.state.given" if all(held) else "consent.state.waiting")


async def _candidates(
    request: Request, among: ExampleFilter, question: str, records: Records
) -> list[Example]:
    """Those that share a telling piece of the question; of a large dataset never all."""
    found: dict[int, Example] = {}
    for piece in search_terms(question, _PIECES):
        filters = replace(among, search=piece)
        for one in await records.examples.page(request.workspace_id, filters, limit=_CANDIDATES):
            if one.state in (ExampleState.PROPOSED, ExampleState.APPROVED):
                found[one.id] = one
    return list(found.values())


def _likeness(one: str, other: str) -> float:
    """Shared runs of three characters: works for words and for Chinese alike."""
    ours, theirs = _runs(one), _runs(other)
    return len(ours & theirs) / len(ours | theirs) if ours and theirs else 0.0


def _runs(text: str) -> frozenset[str]:
    flat = f" {' '.join(text.casefold().split())} "
    return frozenset(flat[at : at + 3] for at in range(len(flat) - 2))


def _question(example: Example) -> str:
    return last_text(readable_texts(example.row), "question")


def _answer(example: Example) -> str:
    texts = list(readable_texts(example.row).values())
    return one_line(texts[-1], 120) if texts else ""


def _columns(row: Row, words: Words) -> tuple[Column, ...]:
    """Each text under what it is; `note` is the part's name in code."""
    return tuple(
        Column(words(f"part.{name.rstrip('0123456789')}"), text, name.rstrip("0123456789"))
        for name, text in readable_texts(row).items()
    )


def _ways(request: Request, example: Example) -> tuple[Button, ...]:
    words = request.words
    if example.state is ExampleState.PROPOSED:
        return (*review_buttons(example, words)[:-1], *review_assignment.buttons(request, example))
    edit = Button(words("button.edit"), f"example.edit:{example.id}")
    if example.state is ExampleState.APPROVED:
        drop = Button(
            words("button.withdraw"), f"example.drop:{example_state_token(example)}", is_danger=True
        )
        went = Button(words("button.lineage"), f"example.lineage:{example.id}")
        ways = (edit, *masking_buttons(example, words), drop, went)
        if example.method is Method.SUPERVISED and example.synthetic is None:
            return (*ways, must_answer.must_answer_button(example, words))
        return ways
    return (
        Button(
            words("button.approve"),
            f"example.approve:{example_state_token(example)}",
            is_primary=True,
        ),
        edit,
    )
