"""Examples: proposed from a message or a form, approved, edited, withdrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.commands import Ask
from bot.errors import BadInput, NotFound, NotNow
from bot.model import (
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    MessageId,
    NewExample,
    Origin,
    Role,
    Row,
    Said,
    Source,
    Sources,
    UserId,
)
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.redaction import findings
from bot.replies import (
    Button,
    Card,
    Fact,
    Field,
    FieldKind,
    Form,
    Line,
    Listing,
    Receipt,
    Reply,
    Text,
)
from bot.rows import Method, check_row
from bot.words import Words

PROPOSED = "🎓"
APPROVED = "✅"
_PAGE = 10
_NEARBY = 8


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was said, as a training row, and by whom."""

    row: Row
    authors: tuple[UserId, ...]


async def propose(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Reply:
    """Keep the exchange that ends in a marked message; a curator's own mark does not approve it."""
    source = Source(marked.place.channel, marked.id, marked.place.thread)
    if ask.workspace.sources < Sources.MESSAGES:
        return await _keep_pointer(ask, marked, source, store=store)
    exchange = await _exchange(ask, marked, store=store, surface=surface)
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=_checked(exchange.row, ask.words),
        origin=Origin.MESSAGE,
        authors=exchange.authors,
        source=source,
    )
    kept, is_new = await _add(ask, example, store=store)
    key = "example.proposed" if is_new else "example.known"
    text = ask.words(key, id=kept.id, state=ask.words(f"state.{kept.state}"))
    buttons = _review_buttons(kept, ask.words) if kept.state is ExampleState.PROPOSED else ()
    return Receipt(PROPOSED, Text(text, private=True, buttons=buttons), marked.id)


async def approve_marked(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Reply:
    """A curator's ✅: proposes if nobody has yet, then approves."""
    async with store.reading() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
    if example is None:
        reply = await propose(ask, marked, store=store, surface=surface)
        if not isinstance(reply, Receipt):
            return reply
        async with store.reading() as records:
            example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
    if example is None:
        return Text(ask.words("example.known_elsewhere"), private=True)
    await _set_state(ask, example.id, ExampleState.APPROVED, store=store)
    text = Text(ask.words("example.approved", id=example.id), private=True)
    return Receipt(APPROVED, text, marked.id)


async def unpropose(ask: Ask, marked: Said, *, store: Store) -> Reply:
    """Taking 🎓 off withdraws what is still only proposed."""
    async with store.writing() as records:
        example = await records.examples.by_source(ask.id, marked.place.channel, marked.id)
        if example is None or example.state is not ExampleState.PROPOSED:
            return Text(ask.words("example.nothing_to_withdraw"), private=True)
        await _change_state(ask, records, example.id, ExampleState.WITHDRAWN)
    return Text(ask.words("example.withdrawn", id=example.id), private=True)


def teach_form(words: Words, *, question: str = "", answer: str = "") -> Form:
    """Where a lesson is typed."""
    return Form(
        id="teach",
        title=words("teach.title"),
        fields=(
            Field("question", words("teach.question"), FieldKind.TEXT, question),
            Field("answer", words("teach.answer"), FieldKind.TEXT, answer),
        ),
        submit=words("teach.submit"),
    )


async def teach(ask: Ask, question: str, answer: str, *, store: Store) -> Reply:
    """A lesson typed into a form; a curator's own counts as approved."""
    if not question.strip() or not answer.strip():
        raise BadInput(problem=ask.words("teach.empty"))
    is_local = ask.workspace.platform == "local"
    if not is_local and ask.workspace.sources < Sources.FORMS:
        raise NotNow(problem=ask.words("sources.forms_needed"))
    is_curator = ask.role >= Role.CURATOR
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=_checked(_row(question, answer), ask.words),
        origin=Origin.CONSOLE if is_local else Origin.FORM,
        authors=(ask.by,),
    )
    kept, is_new = await _add(ask, example, store=store)
    if not is_new:
        state = ask.words(f"state.{kept.state}")
        return Text(ask.words("example.known", id=kept.id, state=state), private=True)
    key = "teach.approved" if is_curator else "teach.proposed"
    return Text(ask.words(key, id=kept.id))


async def review(
    ask: Ask, *, store: Store, after: ExampleId | None = None, done: str = ""
) -> Reply:
    """The next proposed example, as a card that is replaced by the one after it."""
    waiting = ExampleFilter(assistant=ask.assistant.id, state=ExampleState.PROPOSED)
    async with store.reading() as records:
        page = await records.examples.page(ask.id, waiting, after=after, limit=1)
        if not page and after is not None:
            page = await records.examples.page(ask.id, waiting, limit=1)
        left = await records.examples.count(ask.id, waiting)
    if not page:
        return Card(ask.words("review.empty"), lines=_some(done), replaces=bool(done))
    return _review_card(ask, page[0], left, done)


async def judge(ask: Ask, state: ExampleState, *, store: Store) -> Reply:
    """Approve or reject from the review card; the next one takes its place."""
    example = _number(ask)
    await _set_state(ask, example, state, store=store)
    done = ask.words(f"example.{state}", id=example)
    return await review(ask, store=store, after=example, done=done)


async def skip(ask: Ask, *, store: Store) -> Reply:
    example = _number(ask)
    return await review(ask, store=store, after=example, done=ask.words("review.skipped"))


async def edit_form(ask: Ask, *, store: Store) -> Reply:
    """The text of an example, to be changed."""
    async with store.reading() as records:
        example = await records.examples.get(ask.id, _number(ask))
    if example.row is None:
        raise NotNow(problem=ask.words("example.pointer_only", id=example.id))
    names = _parts(example.row)
    return Form(
        id=f"example.edit:{example.id}",
        title=ask.words("example.edit_title", id=example.id),
        fields=tuple(
            Field(name, ask.words(f"part.{name.rstrip('0123456789')}"), FieldKind.TEXT, text)
            for name, text in names.items()
        ),
        submit=ask.words("example.save"),
    )


async def edited(ask: Ask, values: Mapping[str, str], *, store: Store) -> Reply:
    """The form came back: a new revision."""
    number = _number(ask)
    async with store.writing() as records:
        example = await records.examples.get(ask.id, number)
        if example.row is None:
            raise NotNow(problem=ask.words("example.pointer_only", id=number))
        row = _checked(_with_parts(example.row, values), ask.words)
        await records.examples.revise(ask.id, number, row, ask.by, at=ask.now)
        await records.audit.add(ask.id, ask.by, "example.edited", at=ask.now, example=number)
    return Text(ask.words("example.saved", id=number))


async def withdraw(ask: Ask, *, store: Store) -> Reply:
    example = _number(ask)
    await _set_state(ask, example, ExampleState.WITHDRAWN, store=store)
    return Text(ask.words("example.withdrawn", id=example))


async def listing(ask: Ask, *, store: Store) -> Reply:
    """`/tune examples`: a page, or the one that `edit:` or `withdraw:` names."""
    page = _PAGE
    after = ask.integer("after") or _from_button(ask)
    filters = _filters(ask)
    async with store.reading() as records:
        found = await records.examples.page(
            ask.id, filters, after=ExampleId(after) if after else None, limit=page + 1
        )
        total = await records.examples.count(ask.id, filters)
    shown, words = found[:page], ask.words
    more = None
    if len(found) > page:
        last = shown[-1].id
        more = Button(words("list.more"), f"examples.more:{last}:{ask.text('search') or ''}"[:100])
    return Listing(
        title=words("examples.title", count=total),
        lines=tuple(_line(example, words) for example in shown),
        empty=words("examples.empty"),
        more=more,
        total=total,
        replaces=bool(ask.argument),
    )


async def source_edited(ask: Ask, message: MessageId, text: str, *, store: Store) -> None:
    """The author changed the message an example was taken from: it must be looked at again."""
    async with store.writing() as records:
        example = await records.examples.by_source(ask.id, ask.place.channel, message)
        if example is None or example.row is None:
            return
        row = _with_last_answer(example.row, text)
        if check_row(row, example.method) is not None:
            await records.examples.erase(ask.id, [example.id])
            return
        await records.examples.revise(ask.id, example.id, row, ask.by, at=ask.now)
        await _change_state(ask, records, example.id, ExampleState.PROPOSED)


def exchange_row(question: str, answer: str) -> Row:
    """One question and its answer as a training row."""
    return _row(question, answer)


async def _exchange(ask: Ask, marked: Said, *, store: Store, surface: Surface) -> Exchange:
    async with store.reading() as records:
        turn = await records.turns.by_message(ask.id, marked.place.channel, marked.id)
    if turn is not None:
        return Exchange(_row(turn.question, turn.reply), (turn.asker,))
    before = await _said_before(marked, surface)
    messages = _as_messages([*before, marked], marked)
    if not any(message["role"] == "user" for message in messages):
        raise NotFound(noun="question", name=marked.text[:40])
    authors = dict.fromkeys(said.author.id for said in [*before, marked] if not said.is_own)
    return Exchange({"messages": messages}, tuple(authors))


async def _said_before(marked: Said, surface: Surface) -> Sequence[Said]:
    """The thread or reply chain; else the other person's words just above."""
    if marked.place.thread is not None or marked.reply_to is not None:
        return await surface.history(marked.place, marked.id, 50)
    nearby = await surface.nearby(marked.place, marked.id, _NEARBY)
    own = _trailing(nearby, marked.author.id)
    rest = nearby[: len(nearby) - len(own)]
    asked = _trailing(rest, rest[-1].author.id) if rest else []
    return [*asked, *own]


def _trailing(messages: Sequence[Said], author: UserId) -> list[Said]:
    tail: list[Said] = []
    for said in reversed(messages):
        if said.author.id != author:
            break
        tail.insert(0, said)
    return tail


def _as_messages(said: Sequence[Said], marked: Said) -> list[dict[str, object]]:
    """The marked author teaches, everybody else asks; neighbours of one side are stitched."""
    messages: list[dict[str, object]] = []
    for one in said:
        role = "assistant" if one.author.id == marked.author.id or one.is_own else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] = f"{messages[-1]['content']}\n{one.text}"
        else:
            messages.append({"role": role, "content": one.text})
    while messages and messages[0]["role"] == "assistant" and len(messages) > 1:
        messages.pop(0)
    return messages


async def _keep_pointer(ask: Ask, marked: Said, source: Source, *, store: Store) -> Reply:
    """The workspace does not allow keeping text: remember only where it stands."""
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=None,
        origin=Origin.MESSAGE,
        authors=(marked.author.id,),
        source=source,
    )
    kept, _ = await _add(ask, example, store=store)
    return Text(ask.words("example.pointer", id=kept.id), private=True)


async def _add(ask: Ask, example: NewExample, *, store: Store) -> tuple[Example, bool]:
    async with store.writing() as records:
        kept, is_new = await records.examples.add(ask.id, example, at=ask.now)
        if is_new:
            what = f"example.{example.state}"
            await records.audit.add(ask.id, ask.by, what, at=ask.now, example=kept.id)
    return kept, is_new


async def _set_state(ask: Ask, example: ExampleId, state: ExampleState, *, store: Store) -> None:
    async with store.writing() as records:
        found = await records.examples.get(ask.id, example)
        if state is ExampleState.APPROVED and found.row is None:
            raise NotNow(problem=ask.words("example.pointer_only", id=example))
        await _change_state(ask, records, example, state)


async def _change_state(
    ask: Ask, records: Records, example: ExampleId, state: ExampleState
) -> None:
    await records.examples.set_state(ask.id, [example], state, at=ask.now)
    await records.audit.add(ask.id, ask.by, f"example.{state}", at=ask.now, example=example)


def _review_card(ask: Ask, example: Example, left: int, done: str) -> Card:
    words = ask.words
    return Card(
        title=words("review.title", id=example.id, count=left),
        lines=(*_some(done), *_spoken_lines(example, words), *_warnings(example, words)),
        facts=(
            Fact(words("fact.origin"), words(f"origin.{example.origin}")),
            Fact(words("fact.authors"), ", ".join(example.authors) or "–"),
        ),
        buttons=_review_buttons(example, words),
        replaces=bool(done),
    )


def _review_buttons(example: Example, words: Words) -> tuple[Button, ...]:
    return (
        Button(words("button.approve"), f"example.approve:{example.id}", is_primary=True),
        Button(words("button.edit"), f"example.edit:{example.id}"),
        Button(words("button.reject"), f"example.reject:{example.id}", is_danger=True),
        Button(words("button.skip"), f"example.skip:{example.id}"),
    )


def _spoken_lines(example: Example, words: Words) -> tuple[str, ...]:
    if example.row is None:
        return (words("example.pointer_only", id=example.id),)
    return tuple(
        f"{words('part.' + name.rstrip('0123456789'))}: {text}"
        for name, text in _parts(example.row).items()
    )


def _warnings(example: Example, words: Words) -> tuple[str, ...]:
    text = "\n".join(_parts(example.row).values()) if example.row else ""
    return tuple(words("review.warning", what=words(f"finding.{kind}")) for kind in findings(text))


def _line(example: Example, words: Words) -> Line:
    parts = list(_parts(example.row).values()) if example.row else []
    text = " → ".join(_short(part) for part in (parts[-2:] or [words("example.no_text")]))
    notes = [words(f"state.{example.state}"), words(f"origin.{example.origin}")]
    if example.held_out:
        notes.append(words("example.held_out"))
    if example.method is Method.DPO:
        notes.append(words("example.preference"))
    return Line(
        id=str(example.id),
        text=text,
        note=" · ".join([*notes, *(f"#{tag}" for tag in example.tags)]),
        buttons=(
            Button(words("button.edit"), f"example.edit:{example.id}"),
            Button(words("button.withdraw"), f"example.drop:{example.id}"),
        ),
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 70 else flat[:69] + "…"


def _filters(ask: Ask) -> ExampleFilter:
    search = ask.argument.partition(":")[2]
    state, author = ask.text("state"), ask.text("author")
    return ExampleFilter(
        assistant=ask.assistant.id,
        state=ExampleState(state) if state else None,
        search=ask.text("search") or search or None,
        author=UserId(author) if author else None,
        tag=ask.text("tag"),
    )


def _from_button(ask: Ask) -> int | None:
    """`examples.more:<last shown>:<search>` goes on where the page ended."""
    last = ask.argument.partition(":")[0]
    return int(last) if last.isdecimal() else None


def _number(ask: Ask) -> ExampleId:
    try:
        return ExampleId(int(ask.argument))
    except ValueError:
        raise NotFound(noun="example", name=ask.argument) from None


def _some(line: str) -> tuple[str, ...]:
    return (line,) if line else ()


def _row(question: str, answer: str) -> Row:
    return {
        "messages": [
            {"role": "user", "content": question.strip()},
            {"role": "assistant", "content": answer.strip()},
        ]
    }


def _checked(row: Row, words: Words) -> Row:
    problem = check_row(row, Method.DPO if "input" in row else Method.SUPERVISED)
    if problem is not None:
        raise BadInput(problem=words.problem(problem))
    return row


def _messages(row: Row) -> list[dict[str, object]]:
    """The messages of a row that people can read and edit, in order."""
    if "input" in row:
        source = row["input"]
        before = source["messages"] if isinstance(source, dict) else []
        listed = [before, row["preferred_output"], row["non_preferred_output"]]
    else:
        listed = [row.get("messages", [])]
    return [one for part in listed if isinstance(part, list) for one in part]


def _parts(row: Row) -> dict[str, str]:
    """A name for each text of a row: question, answer, question2, answer2 …; in order."""
    names: dict[str, str] = {}
    for name, message in _named_messages(row):
        names[name] = str(message.get("content") or "")
    return names


def _named_messages(row: Row) -> list[tuple[str, dict[str, object]]]:
    counts: dict[str, int] = {}
    named = []
    messages = [one for one in _messages(row) if isinstance(one.get("content"), str)]
    for index, message in enumerate(messages):
        part = _part_of(row, message, index - len(messages))
        counts[part] = counts.get(part, 0) + 1
        named.append((part if counts[part] == 1 else f"{part}{counts[part]}", message))
    return named


def _part_of(row: Row, message: Mapping[str, object], from_end: int) -> str:
    if "input" in row and from_end >= -2:
        return "preferred" if from_end == -2 else "rejected"
    role = str(message.get("role"))
    return {"user": "question", "assistant": "answer"}.get(role, role)


def _with_parts(row: Row, values: Mapping[str, str]) -> Row:
    copied = _deep_copy(row)
    for name, message in _named_messages(copied):
        if name in values:
            message["content"] = values[name]
    return copied


def _with_last_answer(row: Row, text: str) -> Row:
    copied = _deep_copy(row)
    answers = [m for name, m in _named_messages(copied) if name.startswith("answer")]
    if answers:
        answers[-1]["content"] = text
    return copied


def _deep_copy(row: Row) -> dict[str, object]:
    def copy(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: copy(item) for key, item in value.items()}
        return [copy(item) for item in value] if isinstance(value, list) else value

    return {key: copy(value) for key, value in row.items()}
