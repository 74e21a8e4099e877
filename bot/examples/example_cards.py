"""Renders examples: edited cards after a decision, refused outdated clicks, lists."""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain import Example, ExampleState, Notice, Role
from bot.examples.example_buttons import example_state_token, review_buttons
from bot.examples.message_exchange import mention_people
from bot.examples.review_queue import example_text_lines
from bot.examples.row_texts import last_text_of_part, readable_texts
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Fact, Listing, ListingRow, Refused, Tone, one_line
from bot.request import Request
from bot.rows import Method
from bot.words import Words

_TONES = {
    ExampleState.PROPOSED: Tone.BUSY,
    ExampleState.APPROVED: Tone.GOOD,
    ExampleState.REJECTED: Tone.BAD,
    ExampleState.WITHDRAWN: Tone.PLAIN,
}

_MAX_TEXT_LENGTH = 70


def refuse_outdated_click(request: Request, example: Example) -> Refused:
    """Returns the refusal of an outdated click, with the example's current state and buttons."""
    words, by = request.words, ""
    if example.decided_by is not None:
        by = mention_people([example.decided_by])
    text = words("example.outdated", decided=_state_text(example, by, words))
    buttons = _buttons_to_change(example, words) if request.role >= Role.CURATOR else ()
    card = Card(
        title=words("example.title", id=example.id),
        lines=(text, *example_text_lines(example, words)),
        buttons=buttons,
        private=True,
    )
    return Refused(text, card)


async def render_changed_examples_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders a message that shows examples anew; decided examples have no buttons.

    None if the message shows other examples by now, like a review card after its decision.
    """
    if notice.message is None:
        return None
    workspace, channel = notice.place.workspace, notice.place.channel
    shown_ids = await records.example_cards.examples_shown_in(workspace, channel, notice.message)
    changed = notice.details.get("examples")
    if isinstance(changed, list) and not set(changed) & set(shown_ids):
        return None
    examples = [await records.examples.get(workspace, example) for example in shown_ids]
    if not examples:
        return None
    if len(examples) > 1:
        lines = tuple(example_list_row(example, words, may_decide=True) for example in examples)
        return Listing(words("examples.title"), lines)
    return _example_card(examples[0], str(notice.details.get("by") or ""), words)


def _example_card(example: Example, by: str, words: Words) -> Card:
    is_waiting = example.state is ExampleState.PROPOSED
    return Card(
        title=words("example.title", id=example.id),
        lines=(_state_text(example, by, words), *example_text_lines(example, words)),
        buttons=review_buttons(example, words) if is_waiting else (),
    )


def _state_text(example: Example, by: str, words: Words) -> str:
    state = words(f"state.{example.state}")
    if not by:
        return words("example.is_now", id=example.id, state=state)
    return words("example.is_now_by", id=example.id, state=state, name=by)


def _buttons_to_change(example: Example, words: Words) -> tuple[Button, ...]:
    if example.state is ExampleState.PROPOSED:
        return review_buttons(example, words)
    back = Button(words("button.restore"), f"example.undo:{example_state_token(example)}")
    return (back, Button(words("button.edit"), f"example.edit:{example.id}"))


def example_list_row(example: Example, words: Words, *, may_decide: bool) -> ListingRow:
    """Renders an example as a row of a list; with buttons if the user `may_decide`."""
    texts = readable_texts(example.row)
    last_texts = list(texts.values())[-2:] or [words("example.no_text")]
    text = " → ".join(one_line(part, _MAX_TEXT_LENGTH) for part in last_texts)
    notes = [words(f"state.{example.state}"), words(f"origin.{example.origin}")]
    if example.held_out:
        notes.append(words("example.held_out"))
    if example.synthetic is not None:
        notes.append(words("example.synthetic", model=example.synthetic.model))
    if example.method is Method.DPO:
        notes.append(words("example.preference"))
    return ListingRow(
        id=str(example.id),
        text=text,
        note=" · ".join([*notes, *(f"#{tag}" for tag in example.tags)]),
        buttons=_list_buttons(example, words) if may_decide else (),
        facts=_cells(example, texts, words),
        tone=_TONES[example.state],
    )


def _list_buttons(example: Example, words: Words) -> tuple[Button, ...]:
    return (
        Button(words("button.edit"), f"example.edit:{example.id}"),
        Button(words("button.withdraw"), f"example.drop:{example_state_token(example)}"),
    )


def _cells(example: Example, texts: Mapping[str, str], words: Words) -> tuple[Fact, ...]:
    """Returns the cells of a table row, always in the same order; missing texts are empty."""
    answer = "preferred" if example.method is Method.DPO else "answer"
    return (
        Fact(words("part.question"), last_text_of_part(texts, "question"), "question"),
        Fact(words("part.answer"), last_text_of_part(texts, answer), "answer"),
        Fact(words("part.rejected"), last_text_of_part(texts, "rejected"), "rejected"),
        Fact(words("fact.state"), words(f"state.{example.state}"), "state"),
        Fact(words("fact.origin"), words(f"origin.{example.origin}"), "origin"),
        Fact(words("fact.authors"), ", ".join(example.authors), "authors"),
        Fact(words("fact.tags"), ", ".join(example.tags), "tags"),
    )
