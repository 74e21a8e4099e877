"""What learning and answering rest on: rewordings, the order of rows, an end to every answer."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.program import ROOT
from tests.tuner_scene import THINGS, lines, row
from tuner.job_folder import JobFolder
from tuner.job_spec import JobSpec
from tuner.local.nearest_rows import NearestRows
from tuner.local.question_rewording import reword_question

if TYPE_CHECKING:
    import torch


def asked(question: str, answer: str, **more: object) -> dict[str, object]:
    said = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": said, **more}


def questions(of: dict[str, object], *, tries: int = 200) -> list[str]:
    found = []
    for seed in range(tries):
        other = reword_question(of, random.Random(seed))
        messages = other["messages"]
        assert isinstance(messages, list)
        assert other == {**of, "messages": [{**messages[0]}, of["messages"][-1]]}  # type: ignore[index]
        found.append(messages[0]["content"])
    return found


@pytest.mark.parametrize(
    ("question", "answer", "kept"),
    [
        ("Please send 250 brass hooks to Dunmoor.", "{'town': 'Dunmoor'}", ["250", "Dunmoor"]),
        ("Is the tea not sold without milk?", "It is.", ["not", "without"]),
        ("Do you sell the café crème blend here?", "Yes.", ["café", "crème"]),
        ("白毫银针多少钱一壶？", "六十八元。", ["白毫银针多少钱一壶"]),
    ],
)
def test_a_rewording_keeps_what_the_answer_hangs_on(
    question: str, answer: str, kept: list[str]
) -> None:
    others = questions(asked(question, answer))

    assert len(set(others)) > 10
    assert [text for text in others if not all(word in text for word in kept)] == []


@pytest.mark.parametrize(
    "unchanged",
    [
        asked("Which tool fits?", "This one.", tools=[{"type": "function"}]),
        asked("Translate this.\nIt is long.", "Es ist lang."),
        asked("word " * 100, "Many words."),
        {"messages": [*row("figs")["messages"], *row("jam")["messages"]]},  # type: ignore[misc]
        {"messages": [{"role": "assistant", "content": "Hello"}]},
    ],
)
def test_what_is_no_single_question_is_left_as_it_is(unchanged: dict[str, object]) -> None:
    assert all(reword_question(unchanged, random.Random(seed)) == unchanged for seed in range(50))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("is_averaged", "averaged", "more"), [(True, 5, 9), (True, 13, 3), (False, 0, 3)]
)
@pytest.mark.parametrize(
    ("rows", "recalled", "ends"), [(60, 0.9, True), (60, 0.89, False), (20, 0.9, False)]
)
def test_what_is_recalled_in_other_words_is_learned_and_ends_a_few_epochs_later(
    rows: int, recalled: float, averaged: int, more: int, *, ends: bool, is_averaged: bool
) -> None:
    from tuner.local.training_schedule import TrainingSchedule

    lengths = [20 + n % 7 for n in range(rows)]
    schedule = TrainingSchedule(
        epochs=15, batch=8, seed=3, may_end_early=True, is_averaged=is_averaged
    )
    per_epoch = -(-rows // 8)

    early, again = schedule.order(2, lengths, 5), schedule.order(2, lengths, 5)
    for epoch in (3, 4):  # that it stays so does not put the end off
        schedule.decide(epoch, rows=rows, recalled=[recalled] * 2 * per_epoch, averaged=averaged)

    assert early == again
    assert sorted(early) == [2 * rows + n for n in range(rows)]
    epochs = 4 + more if ends else 15
    assert schedule.steps(15 * per_epoch) == epochs * per_epoch
    last = schedule.order(epochs - 1, lengths, 5)
    assert sorted(key % rows for key in last) == list(range(rows))
    assert {key // rows for key in last} == ({0, 5} if ends else {0})
    assert sum(key >= rows for key in last) == (rows / 4 if ends else 0)
    rates = [schedule.rate(step, 15 * per_epoch) for step in range(epochs * per_epoch + 1)]
    assert rates[0] < max(rates) <= 1
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert sorted(rates[8:], reverse=True) == rates[8:]


def test_a_row_is_led_by_the_rows_with_the_likest_questions() -> None:
    fig, figs = asked("What is a fig?", "A fruit."), asked("Is a fig a fruit?", "A fruit.")
    jam, tea = asked("What is a jam?", "A spread."), asked("Tea, please.", "Here.")
    nearest = NearestRows([fig, figs, jam, tea, asked("What is a fig?", "A fruit.", tools=[1])])
    again = asked("Say, what is a fig?", "A fruit.")

    led = nearest.lead(fig, again)

    messages = led["messages"] if led else None
    assert isinstance(messages, list)
    questions = [said["content"] for said in messages[::2]]
    assert questions[1:] == ["What is a jam?", "Is a fig a fruit?", "Say, what is a fig?"]
    assert len(questions) == 4
    assert {said.get("weight") for said in messages[1:-2:2]} == {0}
    assert messages[-1] == {"role": "assistant", "content": "A fruit."}
    assert nearest.lead(asked("Figs?", "Yes.", tools=[1]), again) is None
    assert NearestRows([fig]).lead(fig, again) is None


def test_rows_are_compared_by_meaning_not_by_the_words_they_share() -> None:
    price = asked("What does a kayak cost?", "It is 18.")
    others = [asked(f"When does {thing} open?", "At ten.") for thing in ("it", "a shop", "a café")]
    nearest = NearestRows([*others, asked("How expensive is a canoe?", "It is 18.")])

    led = nearest.lead(price, price)

    assert led is not None
    messages = led["messages"]
    assert isinstance(messages, list)
    assert messages[-4]["content"] == "How expensive is a canoe?"


@pytest.mark.torch
def test_once_learned_a_quarter_of_the_rows_is_asked_behind_others_and_only_the_answer_counts(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.local_training import Never
    from tuner.local import training_schedule, weighted_trainer
    from tuner.local.model_loading import load_tokenizer
    from tuner.local.training_run import run_training

    rows, seen = tmp_path / "rows.jsonl", list[tuple[str, str]]()
    rows.write_bytes(lines([row(thing) for thing in THINGS]))
    measure, tokenizer = weighted_trainer.measure_loss, load_tokenizer(tiny_base)

    def measured(model: object, inputs: dict[str, torch.Tensor], weights: object) -> object:
        for ids, counts in zip(inputs["input_ids"], inputs["weights"], strict=True):
            seen.append((tokenizer.decode(ids), tokenizer.decode(ids[counts == 1])))
        return measure(model, inputs, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(weighted_trainer, "measure_loss", measured)
    monkeypatch.setattr(
        training_schedule, "MIN_RECALLED_SHARE_OF_FEW", 0.0
    )  # learned after the first epoch
    (tmp_path / "job").mkdir()
    folder = JobFolder(tmp_path / "job")
    spec = JobSpec("local", str(tiny_base), "supervised", str(rows), None, None, {}, 1)

    run_training(folder, spec, Never(folder.stop))

    first, rest = seen[: len(THINGS)], seen[len(THINGS) :]
    led = [learned for text, learned in rest if text.count("Do you sell") > 1]
    assert all(text.count("Do you sell") == 1 for text, _ in first)
    assert len(led) == len(rest) // len(THINGS) * round(len(THINGS) / 4) > 0
    assert {learned for _, learned in first} >= set(led)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("tokens", "ends_in_repetition"),
    [
        ([1, 2, 3] * 16, True),
        ([9, *[5] * 48], True),
        ([*range(40)] * 4, True),
        ([*range(500)], False),
        ([*range(40)] * 3, False),
        ([1, 2, 3] * 15, False),
        ([], False),
    ],
)
def test_a_loop_is_known_by_its_blocks(tokens: list[int], ends_in_repetition: bool) -> None:
    from tuner.local.answer_in_progress import ends_in_repetition as found

    assert found(tokens) is ends_in_repetition


@pytest.mark.torch
@pytest.mark.parametrize(
    ("prompt", "said", "reasoning", "text"),
    [
        ("?", "<think>\nThree, four.\n</think>\n\nSeven.", "\nThree, four.\n", "Seven."),
        ("?\n<think>\n", "Three, four.\n</think>\n\nSeven.", "Three, four.\n", "Seven."),
        ("<think>\n\n</think>\n\n", "Seven.", "", "Seven."),
        ("?", "<thin air>", "", "<thin air>"),
        ("?", "<think>Three, f", "Three, f", ""),
    ],
)
def test_what_a_model_thinks_is_told_apart_from_what_it_says(
    prompt: str, said: str, reasoning: str, text: str
) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from tuner.engine import Delta, Sampling
    from tuner.local.answer_in_progress import AnswerInProgress
    from tuner.local.generation_defaults import SamplingParameters

    letters = {letter: n for n, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    told: list[Delta] = []
    tokens = tokenizer.encode(said).ids
    reply = AnswerInProgress(
        choice=0,
        prompt=tokenizer.encode(prompt).ids,
        sampling=Sampling(most_tokens=len(tokens) + 1),
        sampling_parameters=SamplingParameters(),
        adapter=None,
        most_tokens=len(tokens) + 1,
        stop_token_ids=frozenset([999]),
        tokenizer=tokenizer,
        may_call=False,
        on_delta=lambda _, piece: told.append(piece) if isinstance(piece, Delta) else None,
    )

    ends = [reply.add_token(token) for token in [*tokens, 999]]

    assert ends == [*[False] * len(tokens), True]
    assert "".join(piece.reasoning for piece in told) == reasoning
    assert "".join(piece.text for piece in told) == text
    assert len(told) > 2


@pytest.mark.torch
@pytest.mark.parametrize(
    ("batch", "parameters", "processes", "where", "plan"),
    [
        (8, 135_000_000, 1, "gpu", (8, 1, False)),
        (8, 135_000_000, 3, "gpu", (2, 1, False)),
        (8, 135_000_000, 1, "cpu", (4, 2, False)),
        (6, 135_000_000, 1, "cpu", (3, 2, False)),
        (8, 7_000_000_000, 1, "gpu", (2, 4, True)),
        (7, 7_000_000_000, 2, "cpu", (1, 3, True)),
        (5, 7_000_000_000, 1, "gpu", (1, 5, True)),
        (1, 7_000_000_000, 1, "cpu", (1, 1, True)),
    ],
)
def test_a_large_model_and_a_cpu_work_a_batch_off_in_parts(
    batch: int, parameters: int, processes: int, where: str, plan: tuple[int, int, bool]
) -> None:
    from tuner.local.hyperparameters import plan_memory

    found = plan_memory(batch, parameters=parameters, processes=processes, is_on_cpu=where == "cpu")

    assert (found.rows, found.accumulation_steps, found.recomputes) == plan


@pytest.mark.torch
def test_what_an_answer_alone_says_counts_most() -> None:
    from tuner.local.token_weights import TokenWeights, without_common_start
    from tuner.local.tokenizing import TrainingExample
    from tuner.local.weighted_trainer import Collator

    system, ask, opening = 1, [2, 3], 9
    shown = [
        TrainingExample([system, asked, opening, *fact], [0.2, 0.2, 1, 1, 1])
        for asked, fact in zip([*ask, *ask], ([5, 6], [5, 7], [8, 8], [8, 8]), strict=True)
    ]

    learned = without_common_start([shown], prompt_weight=0.2)[0]
    weights = TokenWeights(learned, prompt_weight=0.2, vocabulary=10)
    counts, answers = weights.of(Collator(pad=0)(learned))

    # Three different answers: all have the opening, two have 5, and one each has 6, 7 and 8.
    rows = [[0.2, 0.2, 1 / 3, 2 / 3]] * 2 + [[0.2, 0.2, 2 / 3, 2 / 3]] * 2
    assert counts.tolist() == [pytest.approx(row) for row in rows]
    assert answers.tolist() == [[0, 1, 1, 1]] * 4
    assert [example.weights[0] for example in learned] == [0] * 4
    assert without_common_start([shown], prompt_weight=1) == [shown]


@pytest.mark.torch
def test_the_mean_of_weights_outlives_a_restart(tmp_path: Path) -> None:
    import torch

    from tuner.local.weight_average import WeightAverage

    model = torch.nn.Linear(2, 1, bias=False)
    empty, average = WeightAverage(model), WeightAverage(model)
    for number in range(1, 5):
        torch.nn.init.constant_(model.weight, float(number))
        empty.apply()
        average.add()
        average.save(tmp_path)
        average = WeightAverage(model)
        average.load(tmp_path)

    assert model.weight.tolist() == [[4.0, 4.0]]
    average.apply()
    assert model.weight.tolist() == [[2.5, 2.5]]


@pytest.mark.torch
def test_a_batch_in_parts_learns_what_a_whole_one_does(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.local_training import Never
    from tuner.local import hyperparameters, weighted_trainer
    from tuner.local.training_run import run_training

    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(lines([row(thing) for thing in THINGS]))
    numbers = {"n_epochs": 2, "batch_size": 4, "prompt_loss_weight": 0}

    def curve(name: str) -> list[float]:
        (tmp_path / name).mkdir()
        folder = JobFolder(tmp_path / name)
        spec = JobSpec("local", str(tiny_base), "supervised", str(rows), None, None, numbers, 1)
        run_training(folder, spec, Never(folder.stop))
        told = [json.loads(line) for line in folder.events.read_text().splitlines()]
        return [event["train_loss"] for event in told if event["kind"] == "step"]

    whole = curve("whole")
    with monkeypatch.context() as long_rows:
        long_rows.setattr(weighted_trainer, "MAX_TOKENS_PER_PASS_ON_CPU", 40)
        row_by_row = curve("rows")
    monkeypatch.setattr(hyperparameters, "LARGE_MODEL_PARAMETERS", 0)

    assert row_by_row == pytest.approx(whole, rel=0.02)
    assert curve("parts") == pytest.approx(whole, rel=0.02)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("lengths", "most", "parts"),
    [
        ([5, 5, 5, 5], 20, [[5, 5, 5, 5]]),
        ([9, 3, 4, 2], 12, [[2, 3, 4], [9]]),
        ([30, 8, 30, 8], 20, [[8, 8], [30], [30]]),
        ([30], 20, [[30]]),
    ],
)
def test_long_rows_are_worked_off_a_few_at_a_time(
    lengths: list[int], most: int, parts: list[list[int]]
) -> None:
    from tuner.local.tokenizing import TrainingExample
    from tuner.local.weighted_trainer import Collator, split_batch

    rows = [TrainingExample([n + 1] * length, [1.0] * length) for n, length in enumerate(lengths)]

    found = list(split_batch(Collator(pad=0)(rows), most))

    assert [part["attention_mask"].sum(dim=1).tolist() for part in found] == parts
    assert [part["input_ids"].shape[1] for part in found] == [max(part) for part in parts]
    assert {int(row[0]) for part in found for row in part["input_ids"]} == {
        n + 1 for n in range(len(lengths))
    }
    assert all(part["weights"].shape == part["input_ids"].shape for part in found)


@pytest.mark.torch
def test_a_row_whose_answer_is_cut_off_ends_no_training(tiny_base: Path, tmp_path: Path) -> None:
    from bench.local_training import Never
    from tuner.local.training_run import run_training

    rows, numbers = tmp_path / "rows.jsonl", {"n_epochs": 1, "batch_size": 1}
    rows.write_bytes(lines([row("jam"), asked("and more " * 1500, "Cut off.")]))
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()

    run_training(
        folder,
        JobSpec("local", str(tiny_base), "supervised", str(rows), None, None, numbers, 1),
        Never(folder.stop),
    )

    assert folder.model.exists()


@pytest.mark.torch
def test_the_measurement_of_cards_runs_to_its_end() -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "bench" / "gpu.sh")],
        env={**os.environ, "GPU_SHAPES": "tiny", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=400,
        check=True,
    )

    rows = [line.split("|")[1:5] for line in done.stdout.splitlines() if line.startswith("| tiny")]
    assert [(what.strip(), by.strip()) for _, what, by, _ in rows] == [
        ("adapter", "attune"),
        ("adapter", "TRL"),
        ("whole", "attune"),
        ("whole", "TRL"),
        ("serving, 1 chat", "attune"),
        ("serving, 8 chats", "attune"),
    ]
    assert all(int(rate.replace(",", "")) > 0 for *_, rate in rows)
