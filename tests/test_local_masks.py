"""Masks: exactly the tokens of answers that count carry loss, as much as they count."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuner.local.tokenizing import TrainingExample

pytestmark = pytest.mark.torch

OPEN, CLOSE = "<|im_start|>", "<|im_end|>"
FORGETFUL = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.role == "assistant" and loop.last %}(thinking) {% endif -%}
{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""

# Line breaks and blanks at the edges are where tokens could grow together.
texts = st.text(
    st.sampled_from("ab \n\t.,!éß日本🦜<|>{}\"'") | st.characters(codec="utf-8"), max_size=12
).map(lambda text: text.replace("<|", "<") + "x")
answers = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": texts},
    optional={"weight": st.sampled_from([0, 1])},
)
questions = st.fixed_dictionaries({"role": st.just("user"), "content": texts})
systems = st.fixed_dictionaries({"role": st.just("system"), "content": texts})
conversations = st.tuples(
    st.lists(systems, max_size=1), st.lists(st.tuples(questions, answers), min_size=1, max_size=4)
).map(lambda drawn: [*drawn[0], *(message for turn in drawn[1] for message in turn)])


@pytest.fixture(scope="session")
def tokenizer(tiny_base: Path) -> PreTrainedTokenizerBase:
    from tuner.local.model_loading import load_tokenizer

    return load_tokenizer(tiny_base)


def examples(
    tokenizer: PreTrainedTokenizerBase, row: dict[str, object], *, prompt_weight: float = 0.0
) -> list[TrainingExample]:
    from tuner.local.tokenizing import ChatTokenizer

    return ChatTokenizer(tokenizer, longest=100_000, prompt_weight=prompt_weight).training_examples(
        row
    )


def expected(
    tokenizer: PreTrainedTokenizerBase,
    tokens: list[int],
    messages: list[dict[str, object]],
    prompt_weight: float,
) -> Iterator[float]:
    """By walking through the tokens from turn to turn, without a look at the text."""
    begin, end = tokenizer.convert_tokens_to_ids([OPEN, CLOSE])
    header = tokenizer("assistant\n", add_special_tokens=False)["input_ids"]
    turns, place, is_answer = iter(messages), 0, False
    message: dict[str, object] = {}
    for at, token in enumerate(tokens):
        if token == begin:
            message, place, is_answer = next(turns), at, False
            if message["role"] == "assistant":
                assert tokens[at + 1 : at + 1 + len(header)] == header
        if message.get("role") == "assistant" and at == place + len(header) + 1:
            is_answer = True
        yield float(str(message.get("weight", 1))) if is_answer else prompt_weight
        if token == end:
            is_answer = False


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(messages=conversations, prompt_weight=st.sampled_from([0.0, 0.25, 1.0]))
def test_exactly_the_answers_that_count_carry_loss(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, object]], prompt_weight: float
) -> None:
    found = examples(tokenizer, {"messages": messages}, prompt_weight=prompt_weight)
    counting = [m for m in messages if m["role"] == "assistant" and m.get("weight", 1)]

    if not found:
        assert not counting
        assert not prompt_weight
        return
    [example] = found
    assert example.weights == list(expected(tokenizer, example.tokens, messages, prompt_weight))
    said = "".join(f"{OPEN}{m['role']}\n{m['content']}{CLOSE}\n" for m in messages)
    assert tokenizer.decode(example.tokens) == said


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=conversations)
def test_what_is_learned_reads_as_it_was_taught(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, object]]
) -> None:
    found = examples(tokenizer, {"messages": messages})
    learned = [
        tokenizer.decode([t for t, w in zip(each.tokens, each.weights, strict=True) if w])
        for each in found
    ]

    counting = [m for m in messages if m["role"] == "assistant" and m.get("weight", 1)]
    assert "".join(learned) == "".join(f"{m['content']}{CLOSE}" for m in counting)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=conversations)
def test_the_model_is_asked_with_the_tokens_it_was_trained_behind(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, object]]
) -> None:
    from tuner.local.tokenizing import ChatTokenizer

    messages[-1]["weight"] = 1
    [example] = examples(tokenizer, {"messages": [{**m, "weight": 1} for m in messages]})

    asked = ChatTokenizer(tokenizer, longest=100_000).prompt(messages[:-1], ())

    assert example.tokens[: len(asked)] == asked


def test_a_template_that_forgets_gives_a_lesson_for_each_answer(tiny_base: Path) -> None:
    from tuner.local.model_loading import load_tokenizer

    tokenizer = load_tokenizer(tiny_base)
    tokenizer.chat_template = FORGETFUL
    messages = [
        {"role": role, "content": f"{role} {n}", **({"weight": n % 2} if role != "user" else {})}
        for n in (1, 2, 3)
        for role in ("user", "assistant")
    ]

    found = examples(tokenizer, {"messages": messages})

    ends = [tokenizer.decode(each.tokens).strip().splitlines()[-1] for each in found]
    assert ends == [f"(thinking) assistant 1{CLOSE}", f"(thinking) assistant 3{CLOSE}"]
    for each, end in zip(found, ends, strict=True):
        pairs = zip(each.tokens, each.weights, strict=True)
        assert tokenizer.decode([token for token, weight in pairs if weight]) == end


def test_functions_and_calls_stand_in_the_prompt_and_in_the_answer(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at": "it"}'},
    }
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
        {"role": "assistant", "content": "I saw it."},
    ]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]

    [example] = examples(tokenizer, {"messages": messages, "tools": tools})

    pairs = list(zip(example.tokens, example.weights, strict=True))
    learned = tokenizer.decode([token for token, weight in pairs if weight])
    prompt = tokenizer.decode([token for token, weight in pairs if not weight])
    called = '<tool_call>{"name": "look", "arguments": {"at": "it"}}</tool_call>'
    assert learned == f"{called}{CLOSE}I saw it.{CLOSE}"
    assert '"name": "look", "parameters": {}' in prompt
    assert "tool\nseen" in prompt


def test_a_preference_is_one_prompt_and_two_answers(tokenizer: PreTrainedTokenizerBase) -> None:
    from tests.tuner_scene import preference
    from tuner.local.tokenizing import ChatTokenizer

    pair = ChatTokenizer(tokenizer, longest=1000).pair(preference("figs"))

    asked = f"{OPEN}user\nDo you sell figs?{CLOSE}\n{OPEN}assistant\n"
    assert tokenizer.decode(pair.prompt) == asked
    assert tokenizer.decode(pair.chosen) == f"Aye, figs we have.{CLOSE}"
    assert tokenizer.decode(pair.rejected) == f"No figs today.{CLOSE}"


def test_what_is_too_long_is_cut_and_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    from tests.tuner_scene import row
    from tuner.local.tokenizing import ChatTokenizer

    renderer = ChatTokenizer(tokenizer, longest=16)
    [example] = renderer.training_examples(row("figs"))

    assert len(example.tokens) == len(example.weights) == 16
    assert renderer.cut == 1


FAMILIES = [
    ("qwen2_5", ["<|im_end|>", "<|im_start|>"]),
    ("qwen3", ["<|im_end|>", "<|im_start|>"]),
    ("llama3", ["<|eot_id|>", "<|start_header_id|>"]),
    ("gemma", ["<end_of_turn>", "<start_of_turn>"]),
    ("phi3", ["<|end|>", "<|user|>"]),
    ("cohere", ["<|END_OF_TURN_TOKEN|>", "<|START_OF_TURN_TOKEN|>"]),
]


def of_family(tokenizer: PreTrainedTokenizerBase, name: str, marks: list[str]) -> None:
    """Give it the template that TRL ships for this family, and the family's own tokens."""
    template = resources.files("trl").joinpath(f"chat_templates/{name}.jinja").read_text("utf-8")
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.chat_template = template
    tokenizer.bos_token = "<s>"


@pytest.fixture
def own_tokenizer(tiny_base: Path) -> PreTrainedTokenizerBase:
    from tuner.local.model_loading import load_tokenizer

    return load_tokenizer(tiny_base)


@pytest.mark.parametrize(("family", "marks"), FAMILIES)
def test_an_answer_ends_where_its_template_ends_it_or_begins_another_turn(
    own_tokenizer: PreTrainedTokenizerBase, tiny_base: Path, family: str, marks: list[str]
) -> None:
    from tuner.local.generation_defaults import ending_tokens
    from tuner.local.model_loading import load_model
    from tuner.local.tokenizing import ChatTokenizer

    of_family(own_tokenizer, family, marks)
    renderer = ChatTokenizer(own_tokenizer, longest=1000)

    found = ending_tokens(load_model(tiny_base), own_tokenizer, renderer)

    assert set(own_tokenizer.convert_tokens_to_ids(marks)) <= found


THOUGHT = "<think>\nThree and four.\n</think>\n\nSeven.<|im_end|>"


@pytest.mark.parametrize(
    ("answer", "learned"),
    [
        ({"content": "Seven."}, "Seven.<|im_end|>"),
        ({"content": "<think>\nThree and four.\n</think>\n\nSeven."}, THOUGHT),
        ({"content": "Seven.", "reasoning_content": "Three and four."}, THOUGHT),
    ],
)
def test_what_is_thought_before_an_answer_is_learned_where_it_is_taught_alone(
    own_tokenizer: PreTrainedTokenizerBase, answer: dict[str, str], learned: str
) -> None:
    from tuner.local.tokenizing import ChatTokenizer, to_template_messages

    of_family(own_tokenizer, "qwen3", ["<|im_end|>", "<|im_start|>"])
    asked = {"role": "user", "content": "3 + 4?"}
    told = {"role": "assistant", **answer}
    row = {"messages": [asked, told]}

    [example] = ChatTokenizer(own_tokenizer, longest=1000).training_examples(row)
    prompt = ChatTokenizer(own_tokenizer, longest=1000).prompt([asked], ())

    weighed = [
        token for token, weight in zip(example.tokens, example.weights, strict=True) if weight
    ]
    assert own_tokenizer.decode(weighed) == learned
    is_asked_alike = example.tokens[: len(prompt)] == prompt
    assert is_asked_alike is ("<think>" not in learned)
    assert "<think>\n\n</think>" in own_tokenizer.decode(prompt)
    again = ChatTokenizer(own_tokenizer, longest=1000).prompt(
        to_template_messages([asked, told, asked]), ()
    )
    assert "Three" not in own_tokenizer.decode(again)


def test_a_base_is_drawn_from_as_its_settings_say(tmp_path: Path) -> None:
    from transformers import GenerationConfig

    from tuner.engine import Sampling
    from tuner.local.generation_defaults import GenerationDefaults, SamplingParameters

    drawn = GenerationConfig(
        do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.1
    )
    drawn.max_new_tokens = 300

    plain, own = GenerationDefaults.of(GenerationConfig()), GenerationDefaults.of(drawn)

    assert plain.sampling_for(Sampling()) == SamplingParameters(temperature=0.0)
    assert plain.sampling_for(Sampling(choices=2)).temperature == 1.0
    assert own.sampling_for(Sampling()) == SamplingParameters(0.7, 0.8, 20, 1.1)
    assert own.sampling_for(Sampling(temperature=0, top_p=0.5)) == SamplingParameters(
        0, 0.5, 20, 1.1
    )
    assert own.most_tokens == 300
