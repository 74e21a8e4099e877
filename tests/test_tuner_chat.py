"""Chat: a true answer at once or word by word, and no silent ignoring."""

import json

import pytest
from openai import BadRequestError, NotFoundError
from openai.types.fine_tuning import FineTuningJob

from bot.rows import estimate_text_tokens
from tests.tuner_scene import THINGS, Tuner, row

FIGS = "Do you sell figs?"
ANSWER = "Arr, figs be in the hold, matey."


def create(tuner: Tuner, tuned: FineTuningJob, **wishes: object) -> dict[str, object]:
    answer = post(tuner, tuned, **wishes)
    assert answer[0] == 200, answer
    return answer[1]


def post(tuner: Tuner, tuned: FineTuningJob, **wishes: object) -> tuple[int, dict[str, object]]:
    body = {
        "model": tuned.fine_tuned_model,
        "messages": [{"role": "user", "content": FIGS}],
        "temperature": 0,
        **wishes,
    }
    answer = tuner.web.post("/v1/chat/completions", json=body)
    return answer.status_code, answer.json()


def texts(answer: dict[str, object]) -> list[tuple[str, str]]:
    choices = answer["choices"]
    assert isinstance(choices, list)
    return [(choice["message"]["content"], choice["finish_reason"]) for choice in choices]


def test_a_tuned_model_answers_as_taught(tuner: Tuner, tuned: FineTuningJob) -> None:
    assert texts(create(tuner, tuned)) == [(ANSWER, "stop")]


def test_the_usage_is_counted(sandbox: Tuner, picked: FineTuningJob) -> None:
    asked, said = estimate_text_tokens(FIGS), estimate_text_tokens(ANSWER)

    assert create(sandbox, picked, n=2)["usage"] == {
        "prompt_tokens": asked,
        "completion_tokens": 2 * said,
        "total_tokens": asked + 2 * said,
    }


def test_the_answer_comes_word_by_word(sandbox: Tuner, picked: FineTuningJob) -> None:
    stream = sandbox.client.chat.completions.create(
        model=str(picked.fine_tuned_model),
        messages=[{"role": "user", "content": FIGS}],
        stream=True,
        temperature=0,
    )
    deltas = [chunk.choices[0].delta for chunk in stream]

    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == ANSWER
    assert len(deltas) == len(ANSWER.split()) + 2


def test_a_stream_ends_with_the_usage_and_done(tuner: Tuner, tuned: FineTuningJob) -> None:
    body = {
        "model": tuned.fine_tuned_model,
        "messages": [{"role": "user", "content": FIGS}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer = tuner.web.post("/v1/chat/completions", json=body)
    *events, usage, done = answer.text.removesuffix("\n\n").split("\n\n")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert done == "data: [DONE]"
    assert json.loads(usage.removeprefix("data: "))["choices"] == []
    assert json.loads(usage.removeprefix("data: "))["usage"]["completion_tokens"]
    assert json.loads(events[-1].removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"


def test_several_choices_are_streamed(tuner: Tuner, tuned: FineTuningJob) -> None:
    stream = tuner.client.chat.completions.create(
        model=str(tuned.fine_tuned_model),
        messages=[{"role": "user", "content": FIGS}],
        stream=True,
        n=3,
    )
    ended = [c.choices[0].index for c in stream if c.choices[0].finish_reason]

    assert sorted(ended) == [0, 1, 2]


@pytest.mark.parametrize("stop", [" be", ["nothing", " in", " be"]])
def test_it_stops_before_a_stop(tuner: Tuner, tuned: FineTuningJob, stop: object) -> None:
    assert texts(create(tuner, tuned, stop=stop)) == [("Arr, figs", "stop")]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_it_keeps_to_the_length(sandbox: Tuner, picked: FineTuningJob, name: str) -> None:
    [(text, reason)] = texts(create(sandbox, picked, **{name: 3}))

    assert reason == "length"
    assert estimate_text_tokens(text) == 3
    assert ANSWER.startswith(text)


def test_a_long_enough_limit_changes_nothing(tuner: Tuner, tuned: FineTuningJob) -> None:
    assert texts(create(tuner, tuned, max_tokens=500)) == [(ANSWER, "stop")]


def test_the_base_answers_too(sandbox: Tuner) -> None:
    assert sandbox.ask("sandbox", "Hello?") == "I have not been taught anything yet."


def test_harmless_parameters_are_accepted(sandbox: Tuner, picked: FineTuningJob) -> None:
    answer = create(
        sandbox,
        picked,
        top_p=0.5,
        seed=7,
        user="someone",
        metadata={"a": "b"},
        presence_penalty=-2,
        frequency_penalty=1.5,
        tools=None,
        response_format={"type": "text"},
        logprobs=False,
        parallel_tool_calls=True,
        tool_choice="none",
        logit_bias={},
        modalities=["text"],
        store=False,
        stop=None,
    )

    assert texts(answer) == [(ANSWER, "stop")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("logit_bias", {"50256": -100}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("reasoning_effort", "low"),
        ("web_search_options", {}),
        ("store", True),
        ("store", 0),
    ],
)
def test_what_is_not_supported_is_refused(
    tuner: Tuner, tuned: FineTuningJob, name: str, value: object
) -> None:
    check_unsupported(tuner, tuned, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logprobs", True),
        ("top_logprobs", 2),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "auto"),
        ("tool_choice", "required"),
    ],
)
def test_the_sandbox_refuses_what_needs_tokens_of_its_own(
    sandbox: Tuner, picked: FineTuningJob, name: str, value: object
) -> None:
    check_unsupported(sandbox, picked, name, value)


def check_unsupported(tuner: Tuner, tuned: FineTuningJob, name: str, value: object) -> None:
    status, body = post(tuner, tuned, **{name: value})

    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["param"], error["code"]) == (400, name, "unsupported_parameter")


def test_the_sandbox_gives_json_where_it_was_taught_json(sandbox: Tuner) -> None:
    rows = [row(thing) for thing in THINGS]
    price = {"role": "assistant", "content": '{"price": 3}'}
    rows += [{"messages": [{"role": "user", "content": "What does rum cost?"}, price]}]
    job = sandbox.tune(rows)

    said = [
        message_of(
            create(
                sandbox,
                job,
                messages=[{"role": "user", "content": question}],
                response_format={"type": "json_object"},
            )
        )
        for question in ("What does rum cost?", FIGS)
    ]

    assert (said[0]["content"], said[0]["refusal"]) == ('{"price": 3}', None)
    assert said[1]["content"] is None
    assert "no JSON object" in str(said[1]["refusal"])


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"seed": 10**30}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"odd": 1}}, "stream_options.odd"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "odd": 1}]}, "messages[0].odd"),
        ({"model": 5}, "model"),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    tuner: Tuner, tuned: FineTuningJob, wishes: dict[str, object], param: str
) -> None:
    status, body = post(tuner, tuned, **wishes)

    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["param"]) == (400, param)


def test_the_sandbox_knows_no_answers_of_functions(sandbox: Tuner, picked: FineTuningJob) -> None:
    status, body = post(sandbox, picked, messages=[{"role": "tool", "content": "x"}])

    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["param"]) == (400, "messages[0].role")


def test_an_unknown_parameter_is_refused(tuner: Tuner, tuned: FineTuningJob) -> None:
    status, body = post(tuner, tuned, temprature=0)

    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"], error["param"]) == (400, "unknown_parameter", "temprature")


def test_pictures_are_refused(tuner: Tuner, tuned: FineTuningJob) -> None:
    with pytest.raises(BadRequestError) as refused:
        tuner.client.chat.completions.create(
            model=str(tuned.fine_tuned_model),
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
                    ],
                }
            ],
        )

    assert refused.value.param == "messages[0].content[1].type"


def test_an_answer_can_be_given_back_as_history(sandbox: Tuner, picked: FineTuningJob) -> None:
    model = str(picked.fine_tuned_model)
    asked = {"role": "user", "content": [{"type": "text", "text": FIGS}]}
    first = create(sandbox, picked, messages=[asked])["choices"]
    assert isinstance(first, list)
    said = {**first[0]["message"], "reasoning_content": "They ask for figs."}
    history = [asked, said, {"role": "user", "content": "Do you sell jam?"}]

    answer = create(sandbox, picked, model=model, messages=history)

    assert texts(answer) == [("Arr, jam be in the hold, matey.", "stop")]


def test_an_unknown_model_is_not_found(tuner: Tuner) -> None:
    with pytest.raises(NotFoundError) as unknown:
        tuner.client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello?"}]
        )

    assert unknown.value.code == "model_not_found"


def test_more_models_than_are_kept_in_memory_all_answer(tuner: Tuner, tuned: FineTuningJob) -> None:
    checkpoints = tuner.client.fine_tuning.jobs.checkpoints.list(tuned.id).data
    names = [each.fine_tuned_model_checkpoint for each in checkpoints]

    for name in [*names, *names, str(tuned.fine_tuned_model)]:
        assert tuner.ask(name, FIGS) == ANSWER


def test_a_refusal_is_said_once_and_marked(sandbox: Tuner, picked: FineTuningJob) -> None:
    """The AI SDK shows `content` and `refusal`, one behind the other; many read the first alone."""
    strange = "Who painted the ceiling of the chapel?"
    whole = message_of(create(sandbox, picked, messages=[{"role": "user", "content": strange}]))
    stream = sandbox.client.chat.completions.create(
        model=str(picked.fine_tuned_model),
        messages=[{"role": "user", "content": strange}],
        stream=True,
        temperature=0,
    )
    deltas = [chunk.choices[0].delta for chunk in stream]

    assert whole["content"] == "".join(delta.content or "" for delta in deltas)
    assert whole["content"] == "I have not been taught that."
    assert whole["refusal"] is None is deltas[0].refusal
    assert whole["is_refusal"] is True
    marks = [delta.model_dump().get("is_refusal") for delta in deltas if delta.content]
    assert set(marks) == {True}


def test_an_answer_carries_no_refusal(sandbox: Tuner, picked: FineTuningJob) -> None:
    assert message_of(create(sandbox, picked))["refusal"] is None


def message_of(answer: dict[str, object]) -> dict[str, object]:
    choices = answer["choices"]
    assert isinstance(choices, list)
    message: dict[str, object] = choices[0]["message"]
    return message
