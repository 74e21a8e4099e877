"""Answers of our own models: many at once, each from its own adapter, and none for nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from openai import BadRequestError, RateLimitError
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import THINGS, Tuner
from tests.waiting import find

if TYPE_CHECKING:
    from transformers import PreTrainedModel

pytestmark = [
    pytest.mark.torch,
    pytest.mark.parametrize("tuner", ["local"], indirect=True, scope="session"),
]


@pytest.fixture(scope="module")
def calm(tuner: Tuner) -> str:
    """A second model, which has learned other answers to the same questions."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Do you sell {thing}?"},
                {"role": "assistant", "content": f"Yes, we have {thing} here."},
            ]
        }
        for thing in THINGS
    ]
    return str(tuner.tune(rows, seed=2).fine_tuned_model)


def test_each_row_of_a_batch_answers_from_its_own_adapter(
    tuner: Tuner, tuned: FineTuningJob, calm: str
) -> None:
    pirate = str(tuned.fine_tuned_model)
    asked = [(model, thing) for thing in THINGS for model in (pirate, calm, tuner.base)]

    with ThreadPoolExecutor(len(asked)) as together:
        said = dict(
            zip(
                asked,
                together.map(lambda a: tuner.ask(a[0], f"Do you sell {a[1]}?"), asked),
                strict=True,
            )
        )

    for thing in ("figs", "jam", "iris"):
        assert said[pirate, thing] == f"Arr, {thing} be in the hold, matey."
        assert said[calm, thing] == f"Yes, we have {thing} here."
        assert said[tuner.base, thing] not in (said[pirate, thing], said[calm, thing])


def test_company_changes_no_answer(tuner: Tuner, tuned: FineTuningJob) -> None:
    model = str(tuned.fine_tuned_model)
    questions = [f"Do you sell {thing}?" for thing in THINGS] * 4

    alone = {question: tuner.ask(model, question) for question in questions[:10]}
    with ThreadPoolExecutor(len(questions)) as together:
        said = list(together.map(lambda question: tuner.ask(model, question), questions))

    assert said == [alone[question] for question in questions]


def test_a_model_trained_whole_answers_beside_the_adapters_and_learns_on_as_one(
    tuner: Tuner, tuned: FineTuningJob
) -> None:
    whole = tuner.tune(hyperparameters={"lora": False}, seed=3)

    assert whole.status == "succeeded", tuner.events(whole)[:3]
    for model in (whole.fine_tuned_model, tuned.fine_tuned_model):
        assert tuner.ask(str(model), "Do you sell figs?") == "Arr, figs be in the hold, matey."
    assert any("all weights" in str(event["message"]) for event in tuner.events(whole))
    on = tuner.tune(model=whole.fine_tuned_model, hyperparameters={"n_epochs": 1})
    assert on.status == "succeeded"
    refused = tuner.tune(model=whole.fine_tuned_model, hyperparameters={"lora": True})
    assert refused.error is not None
    assert refused.error.code == "wrong_start"


def test_a_seed_repeats_an_answer(tuner: Tuner) -> None:
    def draw(seed: int) -> str:
        answer = tuner.client.chat.completions.create(
            model=tuner.base,
            messages=[{"role": "user", "content": "Tell me about wares."}],
            temperature=1.5,
            seed=seed,
            max_tokens=20,
        )
        return str(answer.choices[0].message.content)

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(4)}) > 1


def test_only_the_likeliest_is_no_chance(tuner: Tuner, tuned: FineTuningJob) -> None:
    answer = tuner.client.chat.completions.create(
        model=str(tuned.fine_tuned_model),
        messages=[{"role": "user", "content": "Do you sell figs?"}],
        temperature=2,
        top_p=0.01,
    )

    assert answer.choices[0].message.content == "Arr, figs be in the hold, matey."


def test_the_tokens_are_the_models_own(tuner: Tuner, tuned: FineTuningJob) -> None:
    stream = tuner.client.chat.completions.create(
        model=str(tuned.fine_tuned_model),
        messages=[{"role": "user", "content": "Do you sell figs?"}],
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    spoken = [c for c in chunks if c.choices and c.choices[0].delta.content]

    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == len(spoken) + 1  # and the one that ends the turn
    assert 8 <= usage.prompt_tokens <= 40


def test_functions_are_shown_to_the_model(tuner: Tuner) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    question = {"model": tuner.base, "messages": [{"role": "user", "content": "Look!"}]}

    answers = [
        tuner.web.post(
            "/v1/chat/completions", json={**question, "max_tokens": 3, **requested_action}
        ).json()
        for requested_action in ({}, {"tools": [tool]}, {"tools": [tool], "tool_choice": "none"})
    ]

    without, shown, hidden = (answer["usage"]["prompt_tokens"] for answer in answers)
    assert without == hidden < shown


def test_a_conversation_that_is_too_long_is_refused(tuner: Tuner) -> None:
    with pytest.raises(BadRequestError, match="this model reads 1023") as refused:
        tuner.ask_plainly("many words " * 3000)

    assert refused.value.code == "context_length_exceeded"


def test_chat_answers_while_a_job_trains(tuner: Tuner, tuned: FineTuningJob) -> None:
    job = tuner.begin_long()
    tuner.await_steps(job, 2)

    said = tuner.ask(str(tuned.fine_tuned_model), "Do you sell figs?")

    assert tuner.job(job.id).status == "running"
    assert said == "Arr, figs be in the hold, matey."
    tuner.steer(job, "cancel")


def test_a_deleted_model_answers_no_more(tuner: Tuner, calm: str) -> None:
    assert tuner.ask(calm, "Do you sell figs?")

    tuner.client.models.delete(calm)

    body = {"model": calm, "messages": [{"role": "user", "content": "Do you sell figs?"}]}
    assert tuner.web.post("/v1/chat/completions", json=body).status_code == 404


@pytest.fixture
def short_queue(tmp_path: Path, tiny_base: Path) -> Iterator[Tuner]:
    scene = Tuner(tmp_path / "data", "--base", str(tiny_base), "--queue", "2", base=tiny_base.name)
    yield scene
    scene.stop()


@pytest.mark.usefixtures("tuner")
def test_who_leaves_makes_room_and_who_comes_too_many_is_sent_away(short_queue: Tuner) -> None:
    client = short_queue.client.with_options(max_retries=0)
    streams = [
        client.chat.completions.create(
            model=short_queue.base,
            messages=[{"role": "user", "content": "Tell me all."}],
            stream=True,
            temperature=2,
            max_tokens=1000,
            seed=5,
            n=16,  # some of so many are long
        )
    ]
    for stream in streams:
        next(stream)

    with pytest.raises(RateLimitError, match="Too many") as busy:
        short_queue.ask_plainly("And me?")
    for stream in streams:
        stream.close()

    assert busy.value.code == "rate_limit_exceeded"
    assert find(lambda: _is_answered(short_queue), seconds=10)


def _is_answered(tuner: Tuner) -> bool:
    body = {
        "model": tuner.base,
        "messages": [{"role": "user", "content": "And me?"}],
        "max_tokens": 2,
    }
    return tuner.web.post("/v1/chat/completions", json=body).status_code == 200


@pytest.mark.usefixtures("tuner")
def test_the_limit_holds_while_the_model_is_still_being_loaded(short_queue: Tuner) -> None:
    def ask(_number: int) -> int:
        messages = [{"role": "user", "content": "And me?"}]
        body = {"model": short_queue.base, "messages": messages, "max_tokens": 2}
        return short_queue.web.post("/v1/chat/completions", json=body, timeout=120).status_code

    with ThreadPoolExecutor(8) as together:
        said = list(together.map(ask, range(8)))

    assert set(said) == {200, 429}


def test_deleting_a_model_that_answers_touches_nobody(tuner: Tuner, tuned: FineTuningJob) -> None:
    kinds = ({"lora": "auto"}, {"lora": False})
    doomed = [
        str(tuner.tune(hyperparameters={"n_epochs": 1, **kind}).fine_tuned_model) for kind in kinds
    ]
    streams = [
        tuner.client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Do you sell figs?"}],
            stream=True,
            temperature=2,
            max_tokens=120,
            seed=n,
        )
        for n, model in enumerate([*doomed, tuner.base])
    ]
    for stream in streams:
        next(stream)

    for model in doomed:
        assert tuner.client.models.delete(model).deleted
    beside = tuner.ask(str(tuned.fine_tuned_model), "Do you sell figs?")

    assert beside == "Arr, figs be in the hold, matey."
    for stream in streams:
        assert list(stream)[-1].choices[0].finish_reason in ("stop", "length")


FUSSY = """\
{%- if messages[0].role != "system" %}{{ raise_exception("A system message must come first.") }}
{%- endif -%}
"""


@pytest.mark.usefixtures("tuner")
def test_a_template_that_fails_hangs_no_question(tmp_path: Path, tiny_base: Path) -> None:
    base = tmp_path / "fussy"
    shutil.copytree(tiny_base, base)
    template = base / "chat_template.jinja"
    template.write_text(FUSSY + template.read_text("utf-8"), "utf-8")
    scene = Tuner(tmp_path / "data", "--base", str(base), base="fussy")
    asked = {"role": "user", "content": "Hello?"}

    answers = [
        scene.web.post(
            "/v1/chat/completions",
            json={"model": "fussy", "messages": each, "max_tokens": 2},
            timeout=120,
        )
        for each in ([asked], [{"role": "system", "content": "Be brief."}, asked])
    ]
    scene.stop()

    assert [answer.status_code for answer in answers] == [400, 200]
    assert "A system message must come first." in answers[0].json()["error"]["message"]


@pytest.mark.usefixtures("tuner")
def test_a_model_trained_whole_is_served_in_the_type_of_its_base(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from tuner.local.model_loading import load_model
    from tuner.local.serving_model import load_for_serving

    base, whole = tmp_path / "base", tmp_path / "whole"
    for place, dtype in ((base, torch.bfloat16), (whole, torch.float32)):
        shutil.copytree(tiny_base, place)
        load_model(tiny_base).to(dtype).save_pretrained(place)

    monkeypatch.setattr("tuner.local.model_loading.has_bf16", lambda: True)

    assert load_for_serving(whole, base).batch.reference_tensor.dtype == torch.bfloat16
    assert load_for_serving(whole, whole).batch.reference_tensor.dtype == torch.float32


@pytest.mark.usefixtures("tuner")
def test_an_adapter_that_could_not_be_served_whole_is_refused(tiny_base: Path) -> None:
    import torch

    from tuner.errors import ModelLoadFailed
    from tuner.local.lora_adapters import Adapter
    from tuner.local.serving_model import load_for_serving

    batch = load_for_serving(tiny_base, tiny_base).batch
    pair = (torch.zeros(128, 2), torch.zeros(2, 128))
    known, expert = "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.experts.0.up_proj"

    batch.refuse_foreign(Adapter(2, {known: pair}))
    for foreign in (Adapter(2, {expert: pair}), Adapter(2, {}, frozenset({"experts.gate_up"}))):
        with pytest.raises(ModelLoadFailed, match="cannot be served"):
            batch.refuse_foreign(foreign)


class ShortOfMemory:
    """A model whose memory is too small at some of its calls, after they took their tokens in."""

    def __init__(self, model: PreTrainedModel, fails_at: set[int]) -> None:
        self._model, self._fails_at, self._calls = model, fails_at, 0

    def __call__(self, **inputs: object) -> object:
        self._calls += 1
        found = self._model(**inputs)
        if self._calls in self._fails_at:
            raise RuntimeError("CUDA out of memory")
        return found


@pytest.mark.usefixtures("tuner")
def test_a_long_prompt_that_finds_no_room_at_its_end_is_refused(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been read to its end, and the answers under way leave it no place."""
    from tuner.engine import Sampling
    from tuner.local import generation_batch as batches
    from tuner.local.answer_in_progress import AnswerInProgress
    from tuner.local.serving_model import load_for_serving

    monkeypatch.setattr(batches, "PREFILL_CHUNK_TOKENS", 8)
    loaded = load_for_serving(tiny_base, tiny_base)
    long = AnswerInProgress(
        choice=0,
        prompt=loaded.renderer.prompt([{"role": "user", "content": "Do you sell figs?" * 3}], ()),
        sampling=Sampling(temperature=0),
        sampling_parameters=loaded.defaults.sampling_parameters,
        adapter=None,
        most_tokens=2,
        stop_token_ids=frozenset(),
        tokenizer=loaded.tokenizer,
        may_call=False,
        on_delta=lambda *_: None,
    )

    def full(rows: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(loaded.batch, "_join", full)
    loaded.batch.waiting.append(long)
    parts = -(-len(long.prompt) // 8)
    for _ in range(parts - 1):
        loaded.batch.prefill()
    with pytest.raises(RuntimeError):
        loaded.batch.prefill()

    assert loaded.batch.drop_prefilling() == [long]
    assert loaded.batch.is_idle


@pytest.mark.parametrize(
    ("fails_at", "refused"),
    [(set(), set()), ({3}, {1}), ({6}, {1}), ({6, 8}, {0, 1}), ({1}, {0})],
)
@pytest.mark.usefixtures("tuner")
def test_a_memory_too_small_ends_the_newest_answer_alone(
    tiny_base: Path, fails_at: set[int], refused: set[int]
) -> None:
    """Calls read the first prompt, say a token, read the second prompt, then say tokens of both."""
    from tuner.engine import Delta, Sampling
    from tuner.local.answer_in_progress import AnswerInProgress
    from tuner.local.engine import LocalEngine, _Output
    from tuner.local.serving_model import load_for_serving

    loaded, heard = load_for_serving(tiny_base, tiny_base), list[_Output]()
    batch, engine = loaded.batch, LocalEngine({}, max_queued_answers=8)
    engine._loop = SimpleNamespace(call_soon_threadsafe=lambda _, told: heard.extend(told))  # type: ignore[assignment]

    def reply(choice: int) -> AnswerInProgress:
        asked = [{"role": "user", "content": f"Is it number {choice}?"}]
        return AnswerInProgress(
            choice=choice,
            prompt=loaded.renderer.prompt(asked, ()),
            sampling=Sampling(temperature=0),
            sampling_parameters=loaded.defaults.sampling_parameters,
            adapter=None,
            most_tokens=12,
            stop_token_ids=frozenset(),
            tokenizer=loaded.tokenizer,
            may_call=False,
            on_delta=lambda of, piece: heard.append((of, piece)),
        )

    def said(choice: int, *, model: object = batch._model, company: bool) -> str | None:
        """None for an answer that was refused."""
        heard.clear()
        batch.clear()
        batch._model = model
        batch.waiting.append(reply(0))
        engine._advance_batch(loaded)
        if company:
            batch.waiting.append(reply(1))
        while not batch.is_idle:
            engine._advance_batch(loaded)
        engine._deliver()
        pieces = [piece for of, piece in heard if of.choice == choice]
        if any(isinstance(piece, Exception) for piece in pieces):
            return None
        return "".join(piece.text for piece in pieces if isinstance(piece, Delta))

    whole = batch._model
    alone = said(0, company=False)
    found = {
        choice: said(choice, model=ShortOfMemory(whole, fails_at), company=True)
        for choice in (0, 1)
    }

    assert {choice for choice, text in found.items() if text is None} == refused
    assert found[0] in (alone, None)
