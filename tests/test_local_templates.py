"""The chat templates of the families, as TRL ships them: exact answers and calls, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tuner.tool_calls import calls_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

pytestmark = pytest.mark.torch

ARGUMENTS = {"word": "figs & jam", "times": 2}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}, "times": {"type": "integer"}},
        },
    },
}
CALL = {
    "id": "call_0001",
    "type": "function",
    "function": {"name": "look_up", "arguments": json.dumps(ARGUMENTS)},
}
TALK: list[Mapping[str, object]] = [
    {"role": "user", "content": "What is it?"},
    {"role": "assistant", "content": "It is a fig."},
    {"role": "user", "content": "And that?"},
    {"role": "assistant", "content": "That is jam."},
]
CALLING: list[Mapping[str, object]] = [
    {"role": "user", "content": "What is it?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_0001", "content": "a fruit"},
    {"role": "assistant", "content": "It is a fruit."},
]
# Their templates open a thought where they ask, and drop it from answers; or take parts alone.
UNTRAINABLE = {"deepseek_r1_distill", "deepseekv3", "idefics3", "llava_next", "smolvlm"}
WITHOUT_CALLS = {
    *("cohere", "cohere2", "gemma", "gemma3", "lfm2", "llama3", "muse_glimmer"),
    *("phi3", "phi3_5", "qwen2_5_vl"),
}


def templates() -> list[Path]:
    """Those for serving; the others beside them are TRL's own changes for training."""
    spec = find_spec("trl")
    if spec is None or spec.origin is None:
        return []
    found = (Path(spec.origin).parent / "chat_templates").glob("*.jinja")
    return sorted(path for path in found if not path.stem.endswith("_training"))


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> PreTrainedTokenizerBase:
    from tuner.local.model_loading import load_tokenizer

    found = load_tokenizer(tiny_base)
    found.bos_token = "<|endoftext|>"
    return found


def learned(
    tokenizer: PreTrainedTokenizerBase,
    template: Path,
    messages: Sequence[Mapping[str, object]],
    tools: Sequence[object] = (),
) -> list[str] | None:
    """What carries loss, in each example made of the row; None where the row is refused."""
    from tuner.local.tokenizing import ChatTokenizer, TemplateError

    tokenizer.chat_template = template.read_text("utf-8")
    row = {"messages": messages, **({"tools": tools} if tools else {})}
    try:
        found = ChatTokenizer(tokenizer, longest=100_000).training_examples(row)
    except TemplateError:
        return None
    return [
        tokenizer.decode([t for t, w in zip(each.tokens, each.weights, strict=True) if w])
        for each in found
    ]


def test_there_are_templates_of_many_families() -> None:
    assert len(templates()) > 30


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.stem)
def test_the_answers_alone_are_learned_or_the_row_is_refused(
    tokenizer: PreTrainedTokenizerBase, template: Path
) -> None:
    found = learned(tokenizer, template, TALK)

    if template.stem in UNTRAINABLE:
        assert found is None
        return
    assert found is not None
    said = "".join(found)
    for message in TALK:
        assert said.count(str(message["content"])) == (message["role"] == "assistant")


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.stem)
def test_a_call_that_is_learned_is_read_back_or_the_row_is_refused(
    tokenizer: PreTrainedTokenizerBase, template: Path
) -> None:
    found = learned(tokenizer, template, CALLING[:2], [TOOL])

    if template.stem in UNTRAINABLE | WITHOUT_CALLS:
        assert found is None
        return
    assert found is not None
    _, [call] = calls_in(found[0])
    function = call["function"]
    assert isinstance(function, dict)
    assert (function["name"], json.loads(function["arguments"])) == ("look_up", ARGUMENTS)
    whole = learned(tokenizer, template, CALLING, [TOOL])
    assert whole is not None
    assert "It is a fruit." in "".join(whole)


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.stem)
def test_a_demanded_call_begins_as_the_family_begins_it(
    tokenizer: PreTrainedTokenizerBase, template: Path
) -> None:
    from tuner.local.tokenizing import ChatTokenizer, TemplateError

    tokenizer.chat_template = template.read_text("utf-8")
    try:
        opener, arguments = ChatTokenizer(tokenizer, longest=1000).call_opening(TOOL)
    except TemplateError as error:
        refused = str(error)
        assert template.stem not in ("qwen2_5", "qwen3", "llama3_1", "llama3_2")
        assert "'look_up'" in refused or "tool_choice" in refused
        return
    _, [call] = calls_in(f'{opener}{{"name": "look_up", "{arguments}": {{"a": 1}}}}')

    assert call["function"] == {"name": "look_up", "arguments": '{"a": 1}'}
