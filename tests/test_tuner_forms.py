"""The other forms of a question: `/v1/completions` and `/v1/responses`, through the SDK."""

import json
from collections.abc import AsyncIterator

import pytest
from openai import BadRequestError, NotFoundError
from openai.types import Completion
from openai.types.fine_tuning import FineTuningJob
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.tuner_scene import Tuner
from tuner.api import responses
from tuner.api.answering import Usage
from tuner.api.schemas import CreateResponse
from tuner.engine import Delta, Generation

FIGS, JAM = "Do you sell figs?", "Do you sell jam?"
ANSWER, OTHER = "Arr, figs be in the hold, matey.", "Arr, jam be in the hold, matey."
EVENTS: TypeAdapter[object] = TypeAdapter(ResponseStreamEvent)


def model_of(tuned: FineTuningJob) -> str:
    return str(tuned.fine_tuned_model)


def test_a_bare_prompt_is_answered_as_a_question(tuner: Tuner, tuned: FineTuningJob) -> None:
    answer = tuner.client.completions.create(model=model_of(tuned), prompt=FIGS, temperature=0)

    Completion.model_validate(answer.model_dump(), strict=True)
    assert (answer.object, answer.model) == ("text_completion", model_of(tuned))
    assert [(c.text, c.finish_reason) for c in answer.choices] == [(ANSWER, "stop")]
    assert answer.usage is not None
    assert answer.usage.total_tokens > answer.usage.prompt_tokens > 0


def test_several_prompts_are_answered_in_their_order(tuner: Tuner, tuned: FineTuningJob) -> None:
    wish = {"model": model_of(tuned), "prompt": [FIGS, JAM], "n": 2, "temperature": 0}
    whole = tuner.client.post("/completions", body={**wish, "echo": True}, cast_to=Completion)
    stream = tuner.client.completions.create(
        model=model_of(tuned),
        prompt=[FIGS, JAM],
        n=2,
        stop=" hold",
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    said = {
        n: "".join(c.choices[0].text for c in chunks if c.choices[0].index == n) for n in (0, 3)
    }

    texts = [choice.text for choice in whole.choices]
    assert texts == [FIGS + ANSWER] * 2 + [JAM + OTHER] * 2
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert said == {0: "Arr, figs be in the", 3: "Arr, jam be in the"}
    assert last.usage is not None
    assert {c.choices[0].finish_reason for c in chunks} == {None, "stop"}


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"odd": 1}, "odd"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused_by_name(
    tuner: Tuner, tuned: FineTuningJob, wishes: dict[str, object], param: str
) -> None:
    body = {"model": model_of(tuned), "prompt": FIGS, **wishes}
    with pytest.raises(BadRequestError) as refused:
        tuner.client.post("/completions", body=body, cast_to=Completion)

    assert refused.value.param == param


@pytest.mark.parametrize(
    ("path", "wishes", "param"),
    [
        ("/completions", {"prompt": FIGS, "logprobs": 1}, "logprobs"),
        ("/embeddings", {"input": FIGS}, "model"),
    ],
)
def test_the_sandbox_has_no_numbers_to_give(
    sandbox: Tuner, picked: FineTuningJob, path: str, wishes: dict[str, object], param: str
) -> None:
    for model in (model_of(picked), sandbox.base):
        with pytest.raises(BadRequestError) as refused:
            sandbox.client.post(path, body={"model": model, **wishes}, cast_to=Completion)

        assert refused.value.param == param


def test_an_unknown_model_has_no_vectors(tuner: Tuner) -> None:
    with pytest.raises(NotFoundError):
        tuner.client.embeddings.create(model="ft:none", input=FIGS)


@pytest.mark.parametrize(
    "asked",
    [
        FIGS,
        [{"role": "user", "content": FIGS}],
        [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": JAM}]},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": OTHER, "annotations": []}],
            },
            {"role": "user", "content": FIGS},
        ],
    ],
)
def test_a_response_is_whole_and_as_typed(
    sandbox: Tuner, picked: FineTuningJob, asked: object
) -> None:
    answer = sandbox.client.post(
        "/responses",
        body={"model": model_of(picked), "input": asked, "temperature": 0},
        cast_to=Response,
    )

    Response.model_validate(answer.model_dump(), strict=True)
    assert (answer.status, answer.output_text) == ("completed", ANSWER)
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0


def test_instructions_stand_before_the_input(tuner: Tuner, tuned: FineTuningJob) -> None:
    def tokens(instructions: str | None) -> int:
        answer = tuner.client.responses.create(
            model=model_of(tuned), input=FIGS, instructions=instructions, temperature=0
        )
        assert answer.usage is not None
        return answer.usage.input_tokens

    assert tokens("Be kind to every guest of ours.") > tokens(None)


def test_a_response_is_streamed_in_the_events_that_the_sdk_knows(
    tuner: Tuner, tuned: FineTuningJob
) -> None:
    with tuner.client.responses.stream(
        model=model_of(tuned), input=FIGS, temperature=0, store=False
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]

    assert (final.output_text, "".join(deltas)) == (ANSWER, ANSWER)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_each_event_of_a_cut_response_is_as_typed(tuner: Tuner, tuned: FineTuningJob) -> None:
    stream = tuner.client.responses.create(
        model=model_of(tuned), input=FIGS, max_output_tokens=3, temperature=0, stream=True
    )
    events = list(stream)

    for event in events:
        EVENTS.validate_python(event.model_dump(), strict=True)
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.incomplete_details is not None
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("said", ["Seven.", ""])
async def test_what_is_thought_before_a_response_is_an_item_of_its_own(said: str) -> None:
    deltas = [Delta(0, reasoning="Three, ", tokens=2), Delta(0, reasoning="four.", tokens=2)]
    deltas += [Delta(0, said, 1)] if said else []
    end = Delta(0, finish_reason="stop" if said else "length")

    async def pieces() -> AsyncIterator[Delta]:
        for delta in (*deltas, end):
            yield delta

    def asked() -> responses.ResponseObject:
        wanted = CreateResponse.model_validate(
            {"model": "qwen", "input": "3 + 4?", "reasoning": {"effort": "low"}}
        )
        return responses.ResponseObject(wanted, Usage(5))

    told = [one async for one in responses._events(asked(), Generation(5, pieces()))]
    whole = await responses._collect(asked(), Generation(5, pieces()))

    events = [json.loads(one.decode().partition("data: ")[2]) for one in told]
    for event in events:
        EVENTS.validate_python(event)
    final = Response.model_validate(events[-1]["response"], strict=True)
    for answer in (final, Response.model_validate(whole, strict=True)):
        thought, message = answer.output
        assert thought.type == "reasoning"
        assert thought.content is not None
        assert thought.content[0].text == "Three, four."
        assert (message.type, answer.output_text) == ("message", said)
        assert answer.reasoning is not None
        assert answer.reasoning.effort == "low"
        assert answer.usage is not None
        assert answer.usage.output_tokens_details.reasoning_tokens == 4
    places = [event.get("output_index") for event in events if "output_index" in event]
    assert places == sorted(places)
    added = [event["item"]["type"] for event in events if event["type"].endswith("item.added")]
    done = [event["item"]["type"] for event in events if event["type"].endswith("item.done")]
    assert added == done == ["reasoning", "message"]


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "wizard", "content": "x"}], "instructions": "y"}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, None),
        ({"input": None}, "input"),
        ({"temprature": 0}, "temprature"),
    ],
)
def test_a_response_that_cannot_be_given_is_refused_by_name(
    tuner: Tuner, tuned: FineTuningJob, wishes: dict[str, object], param: str | None
) -> None:
    body = {"model": model_of(tuned), "input": FIGS, **wishes}
    with pytest.raises(BadRequestError) as refused:
        tuner.client.post("/responses", body=body, cast_to=Response)

    assert refused.value.param == (param or "input[0].content[0].type")


def test_an_answer_is_not_stored_and_that_is_said(tuner: Tuner, tuned: FineTuningJob) -> None:
    answer = tuner.client.responses.create(model=model_of(tuned), input=FIGS)
    again = tuner.web.get(f"/v1/responses/{answer.id}")

    assert again.status_code == 404
    assert "not stored" in again.json()["error"]["message"]
