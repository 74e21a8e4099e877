"""Cards about examples after a decision: inert where they stand, fresh for the latecomer."""

from __future__ import annotations

from bot.domain import Example, ExampleState, Notice, Role
from bot.examples.editing import line_of
from bot.examples.exchange import names_of
from bot.examples.review import review_buttons, spoken_lines
from bot.examples.shown import stamp
from bot.ports.dependencies import Surfaces
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Listing, Refused
from bot.request import Request
from bot.words import Words


async def refuse_outdated(ask: Request, example: Example, *, surfaces: Surfaces) -> Refused:
    """What the example is now and who decided, with buttons for that."""
    words, by = ask.words, ""
    if example.decided_by is not None:
        by = await names_of(ask, [example.decided_by], surfaces)
    text = words("example.outdated", decided=_decided(example, by, words))
    buttons = _ways(example, words) if ask.role >= Role.CURATOR else ()
    card = Card(
        title=words("example.title", id=example.id),
        lines=(text, *spoken_lines(example, words)),
        buttons=buttons,
        private=True,
    )
    return Refused(text, card)


async def word_standing(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """A message that shows examples, as they are now: what is decided has no buttons any more."""
    if notice.message is None:
        return None
    workspace, channel = notice.place.workspace, notice.place.channel
    shown = await records.example_cards.shown(workspace, channel, notice.message)
    examples = [await records.examples.get(workspace, one) for one in shown]
    if not examples:
        return None
    if len(examples) > 1:
        lines = tuple(line_of(example, words, may_decide=True) for example in examples)
        return Listing(words("examples.title"), lines)
    return _standing(examples[0], str(notice.details.get("by") or ""), words)


def _standing(example: Example, by: str, words: Words) -> Card:
    is_waiting = example.state is ExampleState.PROPOSED
    return Card(
        title=words("example.title", id=example.id),
        lines=(_decided(example, by, words), *spoken_lines(example, words)),
        buttons=review_buttons(example, words) if is_waiting else (),
    )


def _decided(example: Example, by: str, words: Words) -> str:
    state = words(f"state.{example.state}")
    if not by:
        return words("example.is_now", id=example.id, state=state)
    return words("example.is_now_by", id=example.id, state=state, name=by)


def _ways(example: Example, words: Words) -> tuple[Button, ...]:
    if example.state is ExampleState.PROPOSED:
        return review_buttons(example, words)
    back = Button(words("button.restore"), f"example.undo:{stamp(example)}")
    return (back, Button(words("button.edit"), f"example.edit:{example.id}"))
