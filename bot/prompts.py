"""Prompts: instructions, a few examples, what was said before, the question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from bot.domain import MUST_ANSWER, Assistant, Example, ExampleFilter, Message, Place
from bot.ports.store import Records
from bot.rows import Method, words_of

PromptMessage = Mapping[str, str]

_LOOKED_AT = 500


def prompt(
    assistant: Assistant,
    question: str,
    *,
    history: Sequence[Message] = (),
    shots: Sequence[PromptMessage] = (),
) -> list[PromptMessage]:
    """In the order every host expects: system, examples, history, question."""
    messages: list[PromptMessage] = []
    if assistant.instructions.strip():
        messages.append({"role": "system", "content": assistant.instructions})
    messages.extend(shots)
    for said in history:
        role = "assistant" if said.is_own else "user"
        if said.text.strip():
            messages.append({"role": role, "content": said.text})
    messages.append({"role": "user", "content": question})
    return messages


async def few_shot(
    records: Records, place: Place, assistant: Assistant, question: str, *, count: int
) -> list[PromptMessage]:
    """The permitted examples whose questions share most words with this one, as turns.

    What was said in a private, shared, direct or restricted channel goes along in that channel
    alone, unless an admin allows more.
    """
    if count <= 0:
        return []
    return nearest(await shot_pool(records, place, assistant), question, count=count)


Shot = tuple[frozenset[str], Sequence[PromptMessage]]
"""The words of an example's question, and the example as two turns."""


async def shot_pool(
    records: Records, place: Place, assistant: Assistant, *, is_asked: bool = True
) -> Sequence[Shot]:
    """The first 500 examples that may go along with a question in that place.

    Without `is_asked` those are left out that evaluations ask: held-out and must-answer ones.
    """
    found: list[Shot] = []
    looked = 0
    filters = None if is_asked else ExampleFilter(held_out=False)
    permitted = records.examples.trainable(
        place.workspace, assistant.id, Method.SUPERVISED, shown_in=place.channel, filters=filters
    )
    async for example in permitted:
        pair = _pair(example)
        if pair and (is_asked or MUST_ANSWER not in example.tags):
            found.append((_words(pair[0]["content"]), pair))
        looked += 1
        if looked == _LOOKED_AT:
            break
    return found


def nearest(pool: Sequence[Shot], question: str, *, count: int) -> list[PromptMessage]:
    """Those that share most words with the question as turns, the nearest last."""
    asked = _words(question)
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


def _words(text: str) -> frozenset[str]:
    return frozenset(words_of(text))
