"""Turns rows into tokens by the base's own chat template, and says which are to be learned."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Most templates know no other names.
_ROLES = {"developer": "system", "function": "tool"}

Messages = Sequence[Mapping[str, object]]


class TemplateError(ValueError):
    """The base's chat template cannot render this conversation."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """Tokens, and how much each of them counts in the loss."""

    tokens: list[int]
    weights: list[float]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """One prompt with the tokens that follow it in the preferred and in the other answer."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


@dataclass(frozen=True, slots=True)
class _Turn:
    """An answer's place in the rendered text."""

    start: int
    end: int
    weight: float


class Renderer:
    """Answers count by their `weight`, and all else by `prompt_weight`."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", *, longest: int, prompt_weight: float = 0.0
    ) -> None:
        self._tokenizer = tokenizer
        self._longest = longest
        self._prompt_weight = prompt_weight
        self._enders = sorted({*tokenizer.all_special_tokens, *_added(tokenizer)}, key=len)
        self.cut = 0

    def lessons(self, row: Mapping[str, object]) -> list[TrainingExample]:
        """One, or one for each answer where the template shows earlier answers otherwise."""
        messages, tools = plain(row.get("messages")), _tools(row)
        try:
            return self._if_learned([self._lesson(messages, tools, first=0)])
        except TemplateError:
            return self._if_learned(
                [
                    self._lesson(messages[: last + 1], tools, first=last)
                    for last, message in enumerate(messages)
                    if message["role"] == "assistant" and message.get("weight", 1) != 0
                ]
            )

    def pair(self, row: Mapping[str, object]) -> PreferencePair:
        """The prompt is kept from its end, and the answers from their start."""
        given = row["input"]
        held = given if isinstance(given, Mapping) else {"messages": given}
        messages, tools = plain(held.get("messages")), _tools(held)
        prompt = self.prompt(messages, tools)
        chosen, rejected = (
            self._continued(messages, tools, plain(row[name]))
            for name in ("preferred_output", "non_preferred_output")
        )
        room = self._longest - max(len(chosen), len(rejected))
        if len(prompt) > room:
            self.cut += 1
        half = self._longest // 2
        return PreferencePair(prompt[-max(room, half) :], chosen[:half], rejected[:half])

    def prompt(self, messages: Messages, tools: Sequence[object], *, opener: str = "") -> list[int]:
        """What the model sees before it answers; `opener` is how its answer must begin."""
        return self.tokens(self.text(messages, tools, is_asking=True) + opener)

    def text(self, messages: Messages, tools: Sequence[object], *, is_asking: bool) -> str:
        try:
            rendered: str = self._tokenizer.apply_chat_template(
                list(messages),
                tools=list(tools) or None,
                tokenize=False,
                add_generation_prompt=is_asking,
            )
        except Exception as error:
            # Templates raise what they like: jinja's own errors, or anything a filter raises.
            raise TemplateError(str(error)) from error
        return rendered

    def _if_learned(self, lessons: list[TrainingExample]) -> list[TrainingExample]:
        whole = [lesson for lesson in lessons if any(lesson.weights[1:])]
        return [self._shortened(lesson) for lesson in whole]

    def _shortened(self, lesson: TrainingExample) -> TrainingExample:
        if len(lesson.tokens) <= self._longest:
            return lesson
        self.cut += 1
        return TrainingExample(lesson.tokens[: self._longest], lesson.weights[: self._longest])

    def _lesson(
        self, messages: Messages, tools: Sequence[object], *, first: int
    ) -> TrainingExample:
        text = self.text(messages, tools, is_asking=False)
        turns = [
            self._turn(messages, tools, number, text)
            for number, message in enumerate(messages)
            if message["role"] == "assistant" and number >= first
        ]
        return self._weighed(text, turns)

    def _turn(self, messages: Messages, tools: Sequence[object], number: int, text: str) -> _Turn:
        """From where the model is asked to where it has said that it is done."""
        before = self.text(messages[:number], tools, is_asking=True)
        after = self.text(messages[: number + 1], tools, is_asking=False)
        if not text.startswith(after) or not after.startswith(before):
            raise TemplateError("Earlier turns are rendered otherwise than the last one.")
        said = messages[number].get("weight", 1)
        weight = float(said) if isinstance(said, int | float) else 1.0
        return _Turn(len(before), self._end(after), weight)

    def _end(self, text: str) -> int:
        """Without the line break that some templates put behind the token that ends a turn."""
        bare = text.rstrip()
        return len(bare) if bare.endswith(tuple(self._enders)) else len(text)

    def _weighed(self, text: str, turns: Sequence[_Turn]) -> TrainingExample:
        parts, at = [], 0
        for turn in turns:
            parts.append((at, turn.start, self._prompt_weight))
            parts.append((turn.start, turn.end, turn.weight))
            at = turn.end
        parts.append((at, len(text), self._prompt_weight))
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens, weights = list(found["input_ids"]), []
        for start, end in found["offset_mapping"]:
            part = next((p for p in parts if p[0] <= start < p[1] or start == end == p[1]), None)
            if part is None or end > part[1]:
                return self._apart(text, parts)
            weights.append(part[2])
        return TrainingExample(tokens, weights)

    def _apart(self, text: str, parts: Sequence[tuple[int, int, float]]) -> TrainingExample:
        """A token would reach over the edge of a turn; the model, asked, begins at the edge."""
        tokens: list[int] = []
        weights: list[float] = []
        for start, end, weight in parts:
            found = self.tokens(text[start:end])
            tokens += found
            weights += [weight] * len(found)
        return TrainingExample(tokens, weights)

    def _continued(
        self, messages: Messages, tools: Sequence[object], output: Messages
    ) -> list[int]:
        before = self.text(messages, tools, is_asking=True)
        after = self.text([*messages, *output], tools, is_asking=False)
        if not after.startswith(before):
            raise TemplateError("An answer does not begin where the template asks for one.")
        return self.tokens(after[len(before) : self._end(after)])

    def tokens(self, text: str) -> list[int]:
        """Of a text as it stands, without what some tokenizers put before it."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def plain(value: object) -> list[dict[str, object]]:
    """Messages as templates expect them: text as one string, arguments of calls as objects."""
    listed = value if isinstance(value, list | tuple) else []
    return [_plain(message) for message in listed if isinstance(message, Mapping)]


def _plain(message: Mapping[str, object]) -> dict[str, object]:
    role = str(message.get("role", "assistant"))
    said = {**message, "role": _ROLES.get(role, role), "content": _text(message)}
    old_call = message.get("function_call")
    calls = [{"function": old_call}] if old_call else message.get("tool_calls")
    if isinstance(calls, Sequence) and calls:
        said["tool_calls"] = [_call(call) for call in calls if isinstance(call, Mapping)]
    return said


def _text(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping)]
        if any(part.get("type") != "text" for part in parts):
            raise TemplateError("This base reads text only, and there is something else.")
        return "".join(str(part.get("text", "")) for part in parts)
    return str(content or message.get("refusal") or "")


def _call(call: Mapping[str, object]) -> dict[str, object]:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return {**call}
    said = function.get("arguments")
    arguments = json.loads(said) if isinstance(said, str) else said
    return {**call, "function": {**function, "arguments": arguments}}


def _tools(row: Mapping[str, object]) -> list[object]:
    tools = row.get("tools")
    return tools if isinstance(tools, list) else []


def _added(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    return [str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values()]
