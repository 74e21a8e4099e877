"""What a model that writes token by token can be asked for: JSON, calls, logprobs, vectors."""

from __future__ import annotations

import json
import math

import pytest
from openai import BadRequestError
from openai.types import CompletionChoice
from openai.types.fine_tuning import FineTuningJob
from openai.types.responses import FunctionToolParam, Response
from pydantic import BaseModel

from tests.tuner_scene import Tuner

pytestmark = [
    pytest.mark.torch,
    pytest.mark.parametrize("tuner", ["local"], indirect=True, scope="session"),
]

FIGS = "Do you sell figs?"
ANSWER = "Arr, figs be in the hold, matey."


class Price(BaseModel):
    """Of fixed length, so that a model that knows nothing comes to its end."""

    in_stock: bool
    unit: bool | None


def function(name: str) -> dict[str, object]:
    kinds = {"type": "object", "properties": {"now": {"type": "boolean"}}, "required": ["now"]}
    parameters = {**kinds, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def ask(tuner: Tuner, tuned: FineTuningJob, **wishes: object) -> dict[str, object]:
    body = {
        "model": tuned.fine_tuned_model,
        "messages": [{"role": "user", "content": FIGS}],
        "temperature": 0,
        **wishes,
    }
    answer = tuner.web.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    choice: dict[str, object] = answer.json()["choices"][0]
    return choice


def test_an_answer_fits_its_schema(tuner: Tuner, tuned: FineTuningJob) -> None:
    model = str(tuned.fine_tuned_model)
    whole = tuner.client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": FIGS}],
        temperature=1.5,
        response_format=Price,
    )
    with tuner.client.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": FIGS}], response_format=Price
    ) as stream:
        streamed = stream.get_final_completion()

    assert isinstance(whole.choices[0].message.parsed, Price)
    assert isinstance(streamed.choices[0].message.parsed, Price)


def test_json_mode_begins_an_object(tuner: Tuner, tuned: FineTuningJob) -> None:
    said = ask(tuner, tuned, response_format={"type": "json_object"}, max_tokens=30)["message"]

    assert isinstance(said, dict)
    assert str(said["content"]).startswith("{")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"look", "wait"}),
        ({"type": "function", "function": {"name": "wait"}}, {"wait"}),
    ],
)
def test_a_call_that_is_demanded_is_made(
    tuner: Tuner, tuned: FineTuningJob, choice: object, names: set[str]
) -> None:
    tools = [function("look"), function("wait")]
    answer = ask(tuner, tuned, tools=tools, tool_choice=choice)
    message = answer["message"]

    assert isinstance(message, dict)
    [call] = message["tool_calls"]
    assert message["content"] is None
    assert call["function"]["name"] in names
    assert set(json.loads(call["function"]["arguments"])) == {"now"}


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {
                "tools": [function("look")],
                "tool_choice": {"type": "function", "function": {"name": "odd"}},
            },
            "tool_choice",
        ),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "riddle"}},
                }
            },
            "response_format",
        ),
    ],
)
def test_a_demand_that_cannot_be_met_is_refused_by_name(
    tuner: Tuner, tuned: FineTuningJob, wishes: dict[str, object], param: str
) -> None:
    messages = [{"role": "user", "content": FIGS}]
    body = {"model": tuned.fine_tuned_model, "messages": messages, **wishes}
    answer = tuner.web.post("/v1/chat/completions", json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_likeliest_tokens_are_told_with_each(tuner: Tuner, tuned: FineTuningJob) -> None:
    whole = tuner.client.chat.completions.create(
        model=str(tuned.fine_tuned_model),
        messages=[{"role": "user", "content": FIGS}],
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )
    stream = tuner.client.chat.completions.create(
        model=str(tuned.fine_tuned_model),
        messages=[{"role": "user", "content": FIGS}],
        temperature=0,
        logprobs=True,
        top_logprobs=3,
        stop=["matey"],
        stream=True,
    )
    streamed = [
        token.token
        for chunk in stream
        for choice in chunk.choices
        if choice.logprobs
        for token in choice.logprobs.content or []
    ]

    found = whole.choices[0].logprobs
    assert found is not None
    assert found.content is not None
    assert "".join(token.token for token in found.content) == ANSWER
    for token in found.content:
        assert token.bytes == list(token.token.encode())
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob)
        assert len(token.top_logprobs) == 3
        assert sum(math.exp(each.logprob) for each in token.top_logprobs) <= 1.0001
    assert streamed == [token.token for token in found.content][: len(streamed)]
    assert streamed


def test_plain_completions_list_them(tuner: Tuner, tuned: FineTuningJob) -> None:
    answer = tuner.client.completions.create(
        model=str(tuned.fine_tuned_model), prompt=FIGS, logprobs=2, echo=True, temperature=0
    )
    choice = answer.choices[0]

    CompletionChoice.model_validate(choice.model_dump(), strict=True)
    assert choice.logprobs is not None
    assert choice.logprobs.text_offset is not None
    assert "".join(choice.logprobs.tokens or []) == ANSWER
    assert choice.logprobs.text_offset[0] == len(FIGS)


def test_a_response_is_held_to_a_schema_and_tells_how_likely_it_was(
    tuner: Tuner, tuned: FineTuningJob
) -> None:
    model = str(tuned.fine_tuned_model)
    held = tuner.client.responses.parse(model=model, input=FIGS, text_format=Price)
    likely = tuner.client.responses.create(
        model=model,
        input=FIGS,
        temperature=0,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
    )

    assert isinstance(held.output_parsed, Price)
    [message] = likely.output
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    found = message.content[0].logprobs
    assert found is not None
    assert "".join(token.token for token in found) == ANSWER
    assert {len(token.top_logprobs) for token in found} == {2}
    Response.model_validate(likely.model_dump(), strict=True)


def test_a_response_calls_a_function_and_goes_on_from_what_that_gave(
    tuner: Tuner, tuned: FineTuningJob
) -> None:
    parameters = {"type": "object", "properties": {"now": {"type": "boolean"}}, "required": ["now"]}
    tool: FunctionToolParam = {
        "type": "function",
        "name": "look",
        "strict": True,
        "parameters": {**parameters, "additionalProperties": False},
    }
    wishes = {"model": str(tuned.fine_tuned_model), "tools": [tool], "tool_choice": "required"}
    whole = tuner.client.post(
        "/responses", body={**wishes, "input": FIGS, "temperature": 0}, cast_to=Response
    )
    with tuner.client.responses.stream(
        model=str(tuned.fine_tuned_model), input=FIGS, tools=[tool], tool_choice="required"
    ) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    [call] = whole.output
    assert call.type == "function_call"
    given = {"type": "function_call_output", "call_id": call.call_id, "output": "There are figs."}
    history = [{"role": "user", "content": FIGS}, call.model_dump(), given]
    after = tuner.client.post(
        "/responses",
        body={**wishes, "input": history, "tool_choice": "auto", "max_output_tokens": 8},
        cast_to=Response,
    )

    Response.model_validate(whole.model_dump(), strict=True)
    assert (call.name, set(json.loads(call.arguments))) == ("look", {"now"})
    assert [item.type for item in streamed.output] == ["function_call"]
    assert "response.function_call_arguments.done" in {event.type for event in events}
    assert after.usage is not None
    assert whole.usage is not None
    assert after.usage.input_tokens > whole.usage.input_tokens


def test_like_texts_have_like_vectors(tuner: Tuner, tuned: FineTuningJob) -> None:
    texts = [FIGS, "Do you sell figs", "A ship sails west at dawn."]
    found = tuner.client.embeddings.create(model=str(tuned.fine_tuned_model), input=texts)
    plain = tuner.client.embeddings.create(
        model=tuner.base, input=texts[0], encoding_format="float"
    )
    one, near, far = (each.embedding for each in found.data)

    assert found.model == tuner.base
    assert plain.data[0].embedding == pytest.approx(one, abs=1e-6)
    assert sum(x * x for x in one) == pytest.approx(1, abs=1e-4)
    assert _cosine(one, near) > _cosine(one, far)
    assert found.usage.total_tokens > 10
    assert tuner.ask(str(tuned.fine_tuned_model), FIGS) == ANSWER


@pytest.mark.parametrize(
    "wishes", [{"input": ""}, {"input": [1, 2]}, {"input": "x " * 5000}, {"dimensions": 3}]
)
def test_a_vector_that_cannot_be_made_is_refused(tuner: Tuner, wishes: dict[str, object]) -> None:
    with pytest.raises(BadRequestError) as refused:
        tuner.client.post(
            "/embeddings", body={"model": tuner.base, "input": FIGS, **wishes}, cast_to=object
        )

    assert refused.value.param == next(iter(wishes))


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))
