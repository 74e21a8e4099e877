"""Builds prompts: instructions, few-shot examples, history and question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from bot.attached_files import AttachedImage
from bot.domain import (
    Assistant,
    Example,
    Message,
    MessageId,
)

PromptMessage = Mapping[str, str]


class ImageMessage(dict[str, str]):
    """A prompt message with images beside its text, for a model that accepts images."""

    def __init__(self, content: str, pictures: Sequence[AttachedImage]) -> None:
        super().__init__(role="user", content=content)
        self.pictures = pictures

    def parts(self) -> Mapping[str, object]:
        """Returns the message with a list of content parts.

        https://platform.openai.com/docs/api-reference/chat/create
        """
        text = {"type": "text", "text": self["content"]}
        images = [{"type": "image_url", "image_url": {"url": p.data_url}} for p in self.pictures]
        return {"role": "user", "content": [text, *images]}


def build_prompt(
    assistant: Assistant,
    question: str,
    *,
    summary: str = "",
    history: Sequence[Message] = (),
    shots: Sequence[PromptMessage] = (),
    pictures: Mapping[MessageId | None, Sequence[AttachedImage]] = MappingProxyType({}),
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
            messages.append(ImageMessage(message.text, images))
        elif message.text.strip():
            messages.append({"role": role, "content": message.text})
    images = pictures.get(None)
    last = ImageMessage(question, images) if images else {"role": "user", "content": question}
    return [*messages, last]


def example_messages(nearest: Sequence[Example]) -> list[PromptMessage]:
    """Returns examples, the nearest first, as messages, the nearest last: next to the question."""
    return [message for example in reversed(nearest) for message in _pair(example)]


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
