"""Turns rows into tokens with the base's chat template, and weights the tokens to learn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.tool_calls import calls_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Most templates have no other roles.
_ROLES = {"developer": "system", "function": "tool"}

Messages = Sequence[Mapping[str, object]]


class TemplateError(ValueError):
    """The base's chat template cannot render this conversation."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """The tokens of an example, and each token's weight in the loss."""

    tokens: list[int]
    weights: list[float]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """The tokens of a prompt, and of the preferred and the other answer to the prompt."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


@dataclass(frozen=True, slots=True)
class _Turn:
    """The position of an answer in the rendered text, and its weight."""

    start: int
    end: int
    weight: float


class ChatTokenizer:
    """Renders conversations; answers have their `weight`, other tokens `prompt_weight`."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", *, longest: int, prompt_weight: float = 0.0
    ) -> None:
        self._tokenizer = tokenizer
        self._longest = longest
        self._prompt_weight = prompt_weight
        self._end_tokens = sorted(
            {*tokenizer.all_special_tokens, *_added_tokens(tokenizer)}, key=len
        )
        self.cut = 0

    def training_examples(self, row: Mapping[str, object]) -> list[TrainingExample]:
        """Returns the training examples of a row.

        A row is one example, or one for each answer if the template renders earlier answers in
        another way than the last one.
        """
        messages, tools = to_template_messages(row.get("messages"), with_thoughts=True), _tools(row)
        try:
            return self._with_loss([self._example(messages, tools, first=0)])
        except TemplateError:
            return self._with_loss(
                [
                    self._example(messages[: last + 1], tools, first=last)
                    for last, message in enumerate(messages)
                    if message["role"] == "assistant" and message.get("weight", 1) != 0
                ]
            )

    def pair(self, row: Mapping[str, object]) -> PreferencePair:
        """Returns a row's pair; long prompts are cut at the start, long answers at the end."""
        input_ = row["input"]
        conversation = input_ if isinstance(input_, Mapping) else {"messages": input_}
        messages, tools = to_template_messages(conversation.get("messages")), _tools(conversation)
        prompt = self.prompt(messages, tools)
        chosen, rejected = (
            self._answer_tokens(
                messages, tools, to_template_messages(row[name], with_thoughts=True)
            )
            for name in ("preferred_output", "non_preferred_output")
        )
        remaining = self._longest - max(len(chosen), len(rejected))
        if len(prompt) > remaining:
            self.cut += 1
        half = self._longest // 2
        return PreferencePair(prompt[-max(remaining, half) :], chosen[:half], rejected[:half])

    def prompt(
        self,
        messages: Messages,
        tools: Sequence[object],
        *,
        opener: str = "",
        is_thinking: bool = False,
    ) -> list[int]:
        """Returns the tokens of the prompt, which ends with `opener`, the start of the answer."""
        text = self.text(messages, tools, is_asking=True, is_thinking=is_thinking)
        return self.tokens(text + opener)

    def call_opening(self, tool: Mapping[str, object]) -> tuple[str, str]:
        """Returns the text before the JSON of a call of this tool, and the key of its arguments.

        Raises TemplateError for a family whose calls are not JSON.
        """
        function = {"name": _name_of(tool), "arguments": "{}"}
        calls = [{"id": "call_0000", "type": "function", "function": function}]
        message = {"role": "assistant", "tool_calls": calls}
        rendered = self._answer([{"role": "user", "content": "Look!"}], [tool], message)
        before, brace, call = rendered.partition("{")
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
        """Returns the rendered conversation.

        Raises TemplateError if the template fails or leaves something out.
        """
        try:
            rendered: str = self._tokenizer.apply_chat_template(
                list(messages),
                tools=list(tools) or None,
                tokenize=False,
                add_generation_prompt=is_asking,
                enable_thinking=is_thinking,
            )
        except Exception as error:
            # A template can raise any exception, its own or that of a filter.
            raise TemplateError(str(error)) from error
        _refuse_dropped(rendered, messages, tools)
        return rendered

    def _with_loss(self, examples: list[TrainingExample]) -> list[TrainingExample]:
        whole = [example for example in examples if any(example.weights[1:])]
        return [self._truncated(example) for example in whole]

    def _truncated(self, example: TrainingExample) -> TrainingExample:
        if len(example.tokens) <= self._longest:
            return example
        self.cut += 1
        return TrainingExample(example.tokens[: self._longest], example.weights[: self._longest])

    def _example(
        self, messages: Messages, tools: Sequence[object], *, first: int
    ) -> TrainingExample:
        """Returns the conversation as an example that trains the answers from `first` on."""
        is_thinking = _has_reasoning(messages)
        text = self.text(messages, tools, is_asking=False, is_thinking=is_thinking)
        turns = [
            self._turn(messages, tools, number, text, is_thinking=is_thinking)
            for number, message in enumerate(messages)
            if message["role"] == "assistant" and number >= first
        ]
        return self._with_weights(text, turns)

    def _turn(
        self,
        messages: Messages,
        tools: Sequence[object],
        number: int,
        text: str,
        *,
        is_thinking: bool,
    ) -> _Turn:
        """Returns the span from the generation prompt through the end token of the answer."""
        before_answer, with_answer = messages[:number], messages[: number + 1]
        before = self.text(before_answer, tools, is_asking=True, is_thinking=is_thinking)
        after = self.text(with_answer, tools, is_asking=False, is_thinking=is_thinking)
        if not text.startswith(after) or not after.startswith(before):
            raise TemplateError("Earlier turns are rendered otherwise than the last one.")
        _refuse_unread_calls(messages[number], after[len(before) :])
        weight_in_row = messages[number].get("weight", 1)
        weight = float(weight_in_row) if isinstance(weight_in_row, int | float) else 1.0
        return _Turn(len(before), self._end(after), weight)

    def _end(self, text: str) -> int:
        """Returns the end of an answer, without the line break that some templates add."""
        stripped = text.rstrip()
        return len(stripped) if stripped.endswith(tuple(self._end_tokens)) else len(text)

    def _with_weights(self, text: str, turns: Sequence[_Turn]) -> TrainingExample:
        """Tokenises a text; tokens of turns get the turn's weight, others the prompt weight."""
        parts, position = [], 0
        for turn in turns:
            parts.append((position, turn.start, self._prompt_weight))
            parts.append((turn.start, turn.end, turn.weight))
            position = turn.end
        parts.append((position, len(text), self._prompt_weight))
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens, weights = list(encoded["input_ids"]), []
        for start, end in encoded["offset_mapping"]:
            part = next((p for p in parts if p[0] <= start < p[1] or start == end == p[1]), None)
            if part is None or end > part[1]:
                return self._tokenize_parts(text, parts)
            weights.append(part[2])
        return TrainingExample(tokens, weights)

    def _tokenize_parts(
        self, text: str, parts: Sequence[tuple[int, int, float]]
    ) -> TrainingExample:
        """Tokenises each part separately, for a text with a token across two parts.

        In generation, prompt and answer are tokenised separately as well.
        """
        tokens: list[int] = []
        weights: list[float] = []
        for start, end, weight in parts:
            part_tokens = self.tokens(text[start:end])
            tokens += part_tokens
            weights += [weight] * len(part_tokens)
        return TrainingExample(tokens, weights)

    def _answer_tokens(
        self, messages: Messages, tools: Sequence[object], output: Messages
    ) -> list[int]:
        """Returns the tokens of an answer through its end token."""
        is_thinking = _has_reasoning(output)
        conversation = [*messages, *output]
        before = self.text(messages, tools, is_asking=True, is_thinking=is_thinking)
        after = self.text(conversation, tools, is_asking=False, is_thinking=is_thinking)
        if not after.startswith(before):
            raise TemplateError("An answer does not begin where the template asks for one.")
        return self.tokens(after[len(before) : self._end(after)])

    def tokens(self, text: str) -> list[int]:
        """Returns the tokens of a text, without the BOS token that some tokenizers add."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _refuse_dropped(rendered: str, messages: Messages, tools: Sequence[object]) -> None:
    """Raises TemplateError for tools or texts that a template left out."""
    for name in map(_name_of, tools):
        if name is not None and name not in rendered:
            raise TemplateError(f"It leaves out functions and their calls ('{name}').")
    for message in messages:
        # Templates may leave out reasoning of earlier answers, and white space around texts.
        text = str(message.get("content") or "").rpartition("</think>")[2].strip()
        if message.get("role") in ("user", "assistant", "system") and text not in rendered:
            raise TemplateError(f"It leaves out what is said by '{message.get('role')}'.")


def _refuse_unread_calls(message: Mapping[str, object], rendered: str) -> None:
    """Raises TemplateError if the tool calls to learn cannot be parsed from the rendered answer."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return
    names = [_name_of(call) for call in calls]
    parsed = [_name_of(call) for call in calls_in(rendered)[1]]
    if names != parsed:
        raise TemplateError(f"It leaves out calls of functions, or in a form not known: {names}.")


def _name_of(tool: object) -> str | None:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def to_template_messages(value: object, *, with_thoughts: bool = False) -> list[dict[str, object]]:
    """Returns messages as templates expect them: text as a string, call arguments as objects.

    `reasoning_content` is kept for templates that use it; with `with_thoughts`, for training, it is
    put into the answer as `<think>…</think>`.
    """
    items = value if isinstance(value, list | tuple) else []
    messages = [_plain(message) for message in items if isinstance(message, Mapping)]
    return [_with_reasoning(message) for message in messages] if with_thoughts else messages


def _with_reasoning(message: dict[str, object]) -> dict[str, object]:
    thoughts = str(message.pop("reasoning_content", None) or "").strip()
    if not thoughts:
        return message
    return {**message, "content": f"<think>\n{thoughts}\n</think>\n\n{message['content']}"}


def _plain(message: Mapping[str, object]) -> dict[str, object]:
    role = str(message.get("role", "assistant"))
    plain = {**message, "role": _ROLES.get(role, role), "content": _text(message)}
    old_call = message.get("function_call")
    calls = [{"function": old_call}] if old_call else message.get("tool_calls")
    if isinstance(calls, Sequence) and calls:
        plain["tool_calls"] = [_call(call) for call in calls if isinstance(call, Mapping)]
    return plain


def _has_reasoning(messages: Messages) -> bool:
    """Whether an answer has reasoning as `<think>…</think>`."""
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
    encoded = function.get("arguments")
    arguments = json.loads(encoded) if isinstance(encoded, str) else encoded
    return {**call, "function": {**function, "arguments": arguments}}


def _tools(row: Mapping[str, object]) -> list[object]:
    tools = row.get("tools")
    return tools if isinstance(tools, list) else []


def _added_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    return [str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values()]
