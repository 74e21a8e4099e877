"""Builds prompts: instructions, few-shot examples, history and question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from time import perf_counter
from types import MappingProxyType

from bot.attached_files import Picture
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
from bot.rows import Method, search_terms, words_of

PromptMessage = Mapping[str, str]

_FIRST_EXAMPLES = 500
_TERMS = 4
_EXAMPLES_PER_TERM = 60
"""Limit of examples found for each search term of a question."""
_MAX_SEARCH_SECONDS = 0.2
"""Seconds after which no further term is searched for, because a user waits for the answer."""


class PictureMessage(dict[str, str]):
    """A prompt message with images beside its text, for a model that accepts images."""

    def __init__(self, content: str, pictures: Sequence[Picture]) -> None:
        super().__init__(role="user", content=content)
        self.pictures = pictures

    def parts(self) -> Mapping[str, object]:
        """Returns the message with a list of content parts.

        https://platform.openai.com/docs/api-reference/chat/create
        """
        text = {"type": "text", "text": self["content"]}
        images = [{"type": "image_url", "image_url": {"url": p.url}} for p in self.pictures]
        return {"role": "user", "content": [text, *images]}


def build_prompt(
    assistant: Assistant,
    question: str,
    *,
    summary: str = "",
    history: Sequence[Message] = (),
    shots: Sequence[PromptMessage] = (),
    pictures: Mapping[MessageId | None, Sequence[Picture]] = MappingProxyType({}),
) -> list[PromptMessage]:
    """Returns the messages in the order system, examples, history, question.

    `summary` is about the conversation before the history. `pictures` are by message id; the key
    None is the question.
    """
    messages: list[PromptMessage] = []
    if system := "\n\n".join(filter(None, (assistant.instructions.strip(), summary))):
        messages.append({"role": "system", "content": system})
    messages.extend(shots)
    for message in history:
        role = "assistant" if message.is_own else "user"
        if images := pictures.get(message.id):
            messages.append(PictureMessage(message.text, images))
        elif message.text.strip():
            messages.append({"role": role, "content": message.text})
    images = pictures.get(None)
    last = PictureMessage(question, images) if images else {"role": "user", "content": question}
    return [*messages, last]


async def few_shot(
    records: Records, place: Place, assistant: Assistant, question: str, *, count: int
) -> list[PromptMessage]:
    """Returns the allowed examples whose questions share most words with a question, as messages.

    Examples from a private, shared, direct or restricted channel are used only in that channel,
    unless an admin allows more.
    """
    if count <= 0:
        return []
    pool = await shot_pool(records, place, assistant, question=question)
    return nearest_shots(pool, question, count=count)


Shot = tuple[frozenset[str], Sequence[PromptMessage]]
"""The words of an example's question, and the example as two messages."""


async def shot_pool(
    records: Records,
    place: Place,
    assistant: Assistant,
    *,
    is_asked: bool = True,
    question: str = "",
) -> Sequence[Shot]:
    """Returns the first 500 examples that may be sent with a question in a channel.

    In a larger dataset also examples with one of the longest words of `question`, as many as are
    found in a short time. Without `is_asked` the examples that evaluations use are left out:
    held-out and must-answer ones, and synthetic wordings.
    """
    shots: dict[ExampleId, Shot] = {}

    async def collect(most: int, search: str | None = None) -> int:
        count = 0
        filters = ExampleFilter(held_out=None if is_asked else False, search=search)
        async for example in records.examples.trainable(
            place.workspace,
            assistant.id,
            Method.SUPERVISED,
            limit=most,
            shown_in=place.channel,
            filters=filters,
        ):
            count += 1
            pair = _pair(example)
            is_test = MUST_ANSWER in example.tags or example.synthetic is not None
            if pair and (is_asked or not is_test):
                shots[example.id] = words_in(pair[0]["content"]), pair
        return count

    if await collect(_FIRST_EXAMPLES) == _FIRST_EXAMPLES:
        started = perf_counter()
        for term in search_terms(question, _TERMS):
            if perf_counter() - started < _MAX_SEARCH_SECONDS:
                await collect(_EXAMPLES_PER_TERM, term)
    return list(shots.values())


def nearest_shots(pool: Sequence[Shot], question: str, *, count: int) -> list[PromptMessage]:
    """Returns the examples that share most words with a question as messages, nearest last."""
    question_words = words_in(question)
    ranked = sorted(pool, key=lambda shot: len(question_words & shot[0]), reverse=True)
    return [message for _, pair in reversed(ranked[:count]) for message in pair]


def last_exchange(example: Example) -> tuple[str, str] | None:
    """Returns the last question and answer of an example; None if it has no such pair."""
    pair = _pair(example)
    return (pair[0]["content"], pair[1]["content"]) if pair else None


def _pair(example: Example) -> list[PromptMessage]:
    """Returns the last question and answer of a row as messages; empty if there is none."""
    row = example.row or {}
    messages = row.get("messages")
    listed = [m for m in messages if isinstance(m, Mapping)] if isinstance(messages, list) else []
    last_pair: list[PromptMessage] = []
    for question, answer in pairwise(listed):
        if question.get("role") == "user" and answer.get("role") == "assistant":
            pair = (question.get("content"), answer.get("content"))
            if all(isinstance(text, str) and text for text in pair):
                last_pair = [
                    {"role": "user", "content": str(pair[0])},
                    {"role": "assistant", "content": str(pair[1])},
                ]
    return last_pair


def words_in(text: str) -> frozenset[str]:
    """Returns the words by which two questions are compared."""
    return frozenset(words_of(text))
