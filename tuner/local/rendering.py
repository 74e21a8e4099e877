"""Turns rows into tokens by the base's own chat template, and says which are to be learned."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.tool_calls import calls_in

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

    def training_examples(self, row: Mapping[str, object]) -> list[TrainingExample]:
        """One, or one for each answer where the template shows earlier answers otherwise."""
        messages, tools = to_template_messages(row.get("messages"), with_thoughts=True), _tools(row)
        try:
            return self._if_learned([self._example(messages, tools, first=0)])
        except TemplateError:
            return self._if_learned(
                [
                    self._example(messages[: last + 1], tools, first=last)
                    for last, message in enumerate(messages)
                    if message["role"] == "assistant" and message.get("weight", 1) != 0
                ]
            )

    def pair(self, row: Mapping[str, object]) -> PreferencePair:
        """The prompt is kept from its end, and the answers from their start."""
        given = row["input"]
        held = given if isinstance(given, Mapping) else {"messages": given}
        messages, tools = to_template_messages(held.get("messages")), _tools(held)
        prompt = self.prompt(messages, tools)
        chosen, rejected = (
            self._continued(messages, tools, to_template_messages(row[name], with_thoughts=True))
            for name in ("preferred_output", "non_preferred_output")
        )
        room = self._longest - max(len(chosen), len(rejected))
        if len(prompt) > room:
            self.cut += 1
        half = self._longest // 2
        return PreferencePair(prompt[-max(room, half) :], chosen[:half], rejected[:half])

    def prompt(
        self,
        messages: Messages,
        tools: Sequence[object],
        *,
        opener: str = "",
        is_thinking: bool = False,
    ) -> list[int]:
        """What the model sees before it answers; `opener` is how its answer must begin."""
        text = self.text(messages, tools, is_asking=True, is_thinking=is_thinking)
        return self.tokens(text + opener)

    def call_opening(self, tool: Mapping[str, object]) -> tuple[str, str]:
        """What stands before the JSON of a call of it, and what its arguments are called there.

        Raises TemplateError for a family that writes no JSON.
        """
        function = {"name": _name_of(tool), "arguments": "{}"}
        calls = [{"id": "call_0000", "type": "function", "function": function}]
        calling = {"role": "assistant", "tool_calls": calls}
        said = self._answer([{"role": "user", "content": "Look!"}], [tool], calling)
        before, brace, call = said.partition("{")
        names = [name for name in ("arguments", "parameters") if f'"{name}"' in call]
        if not brace or not names or "function=" in before:
            raise TemplateError("A call cannot be demanded in its form; use tool_choice 'auto'.")
        return before, names[0]

    def _answer(
        self, messages: Messages, tools: Sequence[object], answer: Mapping[str, object]
    ) -> str:
        before = self.text(messages, tools, is_asking=True)
        after = self.text([*messages, *to_template_messages([answer])], tools, is_asking=False)
        if not after.startswith(before):
            raise TemplateError("An answer does not begin where the template asks for one.")
        return after[len(before) :]

    def text(
        self,
        messages: Messages,
        tools: Sequence[object],
        *,
        is_asking: bool,
        is_thinking: bool = False,
    ) -> str:
        try:
            rendered: str = self._tokenizer.apply_chat_template(
                list(messages),
                tools=list(tools) or None,
                tokenize=False,
                add_generation_prompt=is_asking,
                enable_thinking=is_thinking,
            )
        except Exception as error:
            # Templates raise what they like: jinja's own errors, or anything a filter raises.
            raise TemplateError(str(error)) from error
        _refuse_dropped(rendered, messages, tools)
        return rendered

    def _if_learned(self, examples: list[TrainingExample]) -> list[TrainingExample]:
        whole = [example for example in examples if any(example.weights[1:])]
        return [self._shortened(example) for example in whole]

    def _shortened(self, example: TrainingExample) -> TrainingExample:
        if len(example.tokens) <= self._longest:
            return example
        self.cut += 1
        return TrainingExample(example.tokens[: self._longest], example.weights[: self._longest])

    def _example(
        self, messages: Messages, tools: Sequence[object], *, first: int
    ) -> TrainingExample:
        is_thinking = _has_reasoning(messages)
        text = self.text(messages, tools, is_asking=False, is_thinking=is_thinking)
        turns = [
            self._turn(messages, tools, number, text, is_thinking=is_thinking)
            for number, message in enumerate(messages)
            if message["role"] == "assistant" and number >= first
        ]
        return self._weighed(text, turns)

    def _turn(
        self,
        messages: Messages,
        tools: Sequence[object],
        number: int,
        text: str,
        *,
        is_thinking: bool,
    ) -> _Turn:
        """From where the model is asked to where it has said that it is done."""
        asked, answered = messages[:number], messages[: number + 1]
        before = self.text(asked, tools, is_asking=True, is_thinking=is_thinking)
        after = self.text(answered, tools, is_asking=False, is_thinking=is_thinking)
        if not text.startswith(after) or not after.startswith(before):
            raise TemplateError("Earlier turns are rendered otherwise than the last one.")
        _refuse_unread_calls(messages[number], after[len(before) :])
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
        is_thinking = _has_reasoning(output)
        whole = [*messages, *output]
        before = self.text(messages, tools, is_asking=True, is_thinking=is_thinking)
        after = self.text(whole, tools, is_asking=False, is_thinking=is_thinking)
        if not after.startswith(before):
            raise TemplateError("An answer does not begin where the template asks for one.")
        return self.tokens(after[len(before) : self._end(after)])

    def tokens(self, text: str) -> list[int]:
        """Of a text as it stands, without what some tokenizers put before it."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _refuse_dropped(rendered: str, messages: Messages, tools: Sequence[object]) -> None:
    """Templates leave out what they know nothing of, without a word."""
    for name in map(_name_of, tools):
        if name is not None and name not in rendered:
            raise TemplateError(f"It leaves out functions and their calls ('{name}').")
    for message in messages:
        # Of an earlier answer some leave out the thoughts; and of all texts blanks at the ends.
        text = str(message.get("content") or "").rpartition("</think>")[2].strip()
        if message.get("role") in ("user", "assistant", "system") and text not in rendered:
            raise TemplateError(f"It leaves out what is said by '{message.get('role')}'.")


def _refuse_unread_calls(message: Mapping[str, object], rendered: str) -> None:
    """What a model learns to call must be found in its answer again."""
    taught = message.get("tool_calls")
    if not isinstance(taught, list):
        return
    names = [_name_of(call) for call in taught]
    found = [_name_of(call) for call in calls_in(rendered)[1]]
    if names != found:
        raise TemplateError(f"It leaves out calls of functions, or in a form not known: {names}.")


def _name_of(tool: object) -> str | None:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def to_template_messages(value: object, *, with_thoughts: bool = False) -> list[dict[str, object]]:
    """Messages as templates expect them: text as one string, arguments of calls as objects.

    An answer's `reasoning_content` is left to templates that know it; with `with_thoughts`, for
    learning, it stands in the answer as models write it.
    """
    listed = value if isinstance(value, list | tuple) else []
    found = [_plain(message) for message in listed if isinstance(message, Mapping)]
    return [_thinking(message) for message in found] if with_thoughts else found


def _thinking(message: dict[str, object]) -> dict[str, object]:
    thoughts = str(message.pop("reasoning_content", None) or "").strip()
    if not thoughts:
        return message
    return {**message, "content": f"<think>\n{thoughts}\n</think>\n\n{message['content']}"}


def _plain(message: Mapping[str, object]) -> dict[str, object]:
    role = str(message.get("role", "assistant"))
    said = {**message, "role": _ROLES.get(role, role), "content": _text(message)}
    old_call = message.get("function_call")
    calls = [{"function": old_call}] if old_call else message.get("tool_calls")
    if isinstance(calls, Sequence) and calls:
        said["tool_calls"] = [_call(call) for call in calls if isinstance(call, Mapping)]
    return said


def _has_reasoning(messages: Messages) -> bool:
    """Whether an answer shows what was thought before it: `<think>…</think>`."""
    return any(
        message["role"] == "assistant" and "</think>" in str(message["content"])
        for message in messages
    )


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
