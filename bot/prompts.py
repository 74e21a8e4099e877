"""Prompts: instructions, a few examples, what was said before, the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from time import perf_counter
from types import MappingProxyType

from bot.domain import (
    MUST_ANSWER,
    Assistant,
    Example,
    ExampleFilter,
    ExampleId,
    Message,
    MessageId,
    Place,
)
from bot.ports.store import Records
from bot.question_files import Picture
from bot.rows import Method, search_terms, words_of

PromptMessage = Mapping[str, str]

_LOOKED_AT = 500
_PIECES = 4
_ALIKE = 60
"""So many examples are looked at for each telling piece of a question."""
_LONGEST_SEARCH = 0.2
"""Seconds after which no further piece is looked for: somebody waits for the answer."""


class PictureMessage(dict[str, str]):
    """A message of a prompt that has pictures beside its text, for a model that sees."""

    def __init__(self, content: str, pictures: Sequence[Picture]) -> None:
        super().__init__(role="user", content=content)
        self.pictures = pictures

    def parts(self) -> Mapping[str, object]:
        """https://platform.openai.com/docs/api-reference/chat/create: content as parts."""
        text = {"type": "text", "text": self["content"]}
        shown = [{"type": "image_url", "image_url": {"url": one.url}} for one in self.pictures]
        return {"role": "user", "content": [text, *shown]}


def build_prompt(
    assistant: Assistant,
    question: str,
    *,
    summary: str = "",
    history: Sequence[Message] = (),
    shots: Sequence[PromptMessage] = (),
    pictures: Mapping[MessageId | None, Sequence[Picture]] = MappingProxyType({}),
) -> list[PromptMessage]:
    """In the order every host expects: system, examples, history, question.

    `summary` is of what came before the history. `pictures` are those of each message, of the
    question by None.
    """
    messages: list[PromptMessage] = []
    if told := "\n\n".join(filter(None, (assistant.instructions.strip(), summary))):
        messages.append({"role": "system", "content": told})
    messages.extend(shots)
    for said in history:
        role = "assistant" if said.is_own else "user"
        if shown := pictures.get(said.id):
            messages.append(PictureMessage(said.text, shown))
        elif said.text.strip():
            messages.append({"role": role, "content": said.text})
    shown = pictures.get(None)
    asked = PictureMessage(question, shown) if shown else {"role": "user", "content": question}
    return [*messages, asked]


async def few_shot(
    records: Records, place: Place, assistant: Assistant, question: str, *, count: int
) -> list[PromptMessage]:
    """The permitted examples whose questions share most words with this one, as turns.

    What was said in a private, shared, direct or restricted channel goes along in that channel
    alone, unless an admin allows more.
    """
    if count <= 0:
        return []
    pool = await shot_pool(records, place, assistant, question=question)
    return nearest_shots(pool, question, count=count)


Shot = tuple[frozenset[str], Sequence[PromptMessage]]
"""The words of an example's question, and the example as two turns."""


async def shot_pool(
    records: Records,
    place: Place,
    assistant: Assistant,
    *,
    is_asked: bool = True,
    question: str = "",
) -> Sequence[Shot]:
    """The first 500 examples that may go along with a question in that place.

    Of a larger dataset also those, of all its examples, with one of the longest words of a given
    question, as far as that is quickly found. Without `is_asked` those are left out that
    evaluations ask, held-out and must-answer ones, and other wordings of these.
    """
    found: dict[ExampleId, Shot] = {}

    async def look(most: int, search: str | None = None) -> int:
        looked = 0
        filters = ExampleFilter(held_out=None if is_asked else False, search=search)
        async for example in records.examples.trainable(
            place.workspace,
            assistant.id,
            Method.SUPERVISED,
            limit=most,
            shown_in=place.channel,
            filters=filters,
        ):
            looked += 1
            pair = _pair(example)
            is_test = MUST_ANSWER in example.tags or example.synthetic is not None
            if pair and (is_asked or not is_test):
                found[example.id] = words_in(pair[0]["content"]), pair
        return looked

    if await look(_LOOKED_AT) == _LOOKED_AT:
        began = perf_counter()
        for piece in search_terms(question, _PIECES):
            if perf_counter() - began < _LONGEST_SEARCH:
                await look(_ALIKE, piece)
    return list(found.values())


def nearest_shots(pool: Sequence[Shot], question: str, *, count: int) -> list[PromptMessage]:
    """Those that share most words with the question as turns, the nearest last."""
    asked = words_in(question)
    ranked = sorted(pool, key=lambda shot: len(asked & shot[0]), reverse=True)
    return [message for _, pair in reversed(ranked[:count]) for message in pair]


def last_exchange(example: Example) -> tuple[str, str] | None:
    """The last question and answer of an example, where it has them."""
    pair = _pair(example)
    return (pair[0]["content"], pair[1]["content"]) if pair else None


def _pair(example: Example) -> list[PromptMessage]:
    """The last question and answer of a row; empty if it has no such pair."""
    row = example.row or {}
    messages = row.get("messages")
    listed = [m for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    found: list[PromptMessage] = []
    for asked, told in pairwise(listed):
        if asked.get("role") == "user" and told.get("role") == "assistant":
            pair = (asked.get("content"), told.get("content"))
            if all(isinstance(text, str) and text for text in pair):
                found = [
                    {"role": "user", "content": str(pair[0])},
                    {"role": "assistant", "content": str(pair[1])},
                ]
    return found


def words_in(text: str) -> frozenset[str]:
    """The words by which two questions are compared."""
    return frozenset(words_of(text))
