"""What a real base learns by itself: `BENCH_BASE=models/… python -m bench learning`.

Needs the extra `local` and a base. Each set of `bench/learning_sets` is asked in wordings that were
not taught: of the base, of the base with the eight nearest examples, of the tuned model, and of the
tuned model with the three nearest. `BENCH_SETS=bakery,orders` takes some of the sets, `BENCH_SEED`
the seed of the trainings. No number of the trainer was chosen by the sets that call themselves held
back; those it was chosen by have two further wordings for each fact, asked apart.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import log, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from openai import AsyncOpenAI, OpenAI

from bench.figures import Figure, told
from bench.processes import running, wait_until

SETS = Path(__file__).with_name("learning_sets")
AT_ONCE = 8
LONGEST_REPLY = 120
BEFORE, BESIDE = 8, 3
FACTS, FACTS_WITH_EXAMPLES = 20 / 24, 22 / 24
LONGEST_TRAINING = 480.0
"""Processor seconds: four minutes of two cores."""

_KEY = "bench"
_WORDS = re.compile(r"[a-z]+|\d+|[\u3400-\u9fff]")
_NAMED = re.compile(r"\d[\d.:]*\d|\d|(?<=[a-z,;] )[A-Z]\w+")
_PATIENCE = 3600.0

Message = dict[str, str]


@dataclass(slots=True)
class Question:
    """Asked in words that were not taught; the facts that its answer has to name."""

    text: str
    answer: str
    facts: Sequence[str]


@dataclass(slots=True)
class LearningSet:
    """Rows to learn, questions to ask, and what every answer has to look like."""

    name: str
    shape: re.Pattern[str] = re.compile("")
    system: str = ""
    rows: list[tuple[str, str]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    further: list[Question] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> LearningSet:
        """V: shape, S: system message; A: an answer, F: its facts, Q: taught, T and U: asked."""
        found, answer, facts = cls(path.stem), "", list[str]()
        for line in path.read_text("utf-8").splitlines():
            kind, _, text = line.partition(": ")
            if kind == "V":
                found.shape = re.compile(text, re.DOTALL)
            elif kind == "S":
                found.system = text
            elif kind == "A":
                answer, facts = text, []
            elif kind == "F":
                facts = text.split(" & ")
            elif kind == "Q":
                found.rows.append((text, answer))
            elif kind in ("T", "U"):
                asked = found.questions if kind == "T" else found.further
                asked.append(Question(text, answer, facts))
        return found

    def messages(self, question: str, examples: Iterable[tuple[str, str]] = ()) -> list[Message]:
        said = [{"role": "system", "content": self.system}] if self.system else []
        for asked, answer in examples:
            said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        return [*said, {"role": "user", "content": question}]

    def nearest(self, question: str, count: int) -> list[tuple[str, str]]:
        """The rows whose questions share the rarest words, the nearest last."""
        bags = [set(_WORDS.findall(asked.lower())) for asked, _ in self.rows]
        common = Counter(word for bag in bags for word in bag)
        wanted = set(_WORDS.findall(question.lower()))

        def likeness(number: int) -> float:
            shared = sum(log(1 + len(bags) / common[word]) for word in wanted & bags[number])
            return shared / sqrt(1 + len(bags[number]))

        best = sorted(range(len(bags)), key=likeness, reverse=True)[:count]
        return [self.rows[number] for number in reversed(best)]


@dataclass(slots=True)
class Score:
    """How many answers were right, shaped as taught, and named what nobody said."""

    facts: int = 0
    shaped: int = 0
    invented: int = 0
    prompt_tokens: int = 0
    asked: int = 0
    seconds: float = 0.0

    def add(self, learning_set: LearningSet, question: Question, said: str, tokens: int) -> None:
        self.asked += 1
        self.prompt_tokens += tokens
        self.facts += all(fact.lower() in said.lower() for fact in question.facts)
        self.shaped += bool(learning_set.shape.search(said))
        known = f"{question.text} {question.answer}"
        self.invented += any(name not in known for name in _NAMED.findall(said))

    def __str__(self) -> str:
        counts = f"facts {self.facts}, shape {self.shaped}, invented {self.invented}"
        tokens = round(self.prompt_tokens / self.asked)
        return f"{counts} of {self.asked}; {tokens} prompt tokens, {self.seconds:.0f} s"


def measure() -> Iterable[Figure]:
    base = Path(os.environ["BENCH_BASE"])
    chosen = os.environ.get("BENCH_SETS", "").split(",")
    sets = [LearningSet.read(path) for path in sorted(SETS.glob("*.txt"))]
    with TemporaryDirectory() as name:
        folder = Path(name)
        options = ("--announce", "--port", "0", "--api-key", _KEY, "--data", str(folder / "data"))
        with running("-m", "tuner", *options, "--base", str(base), data=folder) as tuner:
            assert tuner.stdout is not None
            address = f"{json.loads(tuner.stdout.readline())['url']}/v1"
            for each in sets:
                if chosen == [""] or each.name in chosen:
                    yield from _measured(each, address, base.name, tuner.pid)


def _measured(each: LearningSet, address: str, base: str, server: int) -> Iterable[Figure]:
    yield told(f"{each.name}: base", str(asyncio.run(_score(each, address, base, 0))))
    before = asyncio.run(_score(each, address, base, BEFORE))
    yield told(f"{each.name}: base, {BEFORE} nearest", str(before))
    spent = _spent_on_children(server)
    model, epochs, seconds = _trained(each, address, base)
    spent = _spent_on_children(server) - spent
    yield Figure(
        f"{each.name}: {len(each.rows)} rows trained, {epochs}",
        f"{spent:.0f} s of processor, {seconds:.0f} s",
        f"≤ {LONGEST_TRAINING:.0f} s of processor",
        spent <= LONGEST_TRAINING,
    )
    for examples, least in ((0, FACTS), (BESIDE, FACTS_WITH_EXAMPLES)):
        score = asyncio.run(_score(each, address, model, examples))
        yield Figure(
            f"{each.name}: tuned, {examples} nearest",
            str(score),
            f"facts ≥ {least:.0%}, shape 100%",
            score.facts >= least * score.asked and score.shaped == score.asked,
        )
    if each.further:
        score = asyncio.run(_score(replace(each, questions=each.further), address, model, 0))
        yield told(f"{each.name}: tuned, further wordings", str(score))


async def _score(each: LearningSet, address: str, model: str, examples: int) -> Score:
    client, score = AsyncOpenAI(base_url=address, api_key=_KEY, max_retries=2), Score()
    places, began = asyncio.Semaphore(AT_ONCE), perf_counter()

    async def ask(question: Question) -> None:
        messages = each.messages(question.text, each.nearest(question.text, examples))
        async with places:
            answer = await client.chat.completions.create(
                model=model,
                messages=messages,  # type: ignore[arg-type]
                temperature=0,
                max_tokens=LONGEST_REPLY,
                timeout=_PATIENCE,
            )
        tokens = answer.usage.prompt_tokens if answer.usage else 0
        score.add(each, question, (answer.choices[0].message.content or "").strip(), tokens)

    await asyncio.gather(*(ask(question) for question in each.questions))
    score.seconds = perf_counter() - began
    return score


def _trained(each: LearningSet, address: str, base: str) -> tuple[str, str, float]:
    """The model's name, its epochs in words, and seconds on the clock."""
    client, began = OpenAI(base_url=address, api_key=_KEY), perf_counter()
    rows = [
        {"messages": [*each.messages(question), {"role": "assistant", "content": answer}]}
        for question, answer in each.rows
    ]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    file = client.files.create(file=("rows.jsonl", lines), purpose="fine-tune")
    seed = int(os.environ.get("BENCH_SEED", "1"))
    job = client.fine_tuning.jobs.create(model=base, training_file=file.id, seed=seed)

    def is_over() -> bool:
        status = client.fine_tuning.jobs.retrieve(job.id).status
        if status in ("failed", "cancelled"):
            raise RuntimeError(status)
        return status == "succeeded"

    wait_until(is_over, every=1.0, longest=_PATIENCE)
    done = client.fine_tuning.jobs.retrieve(job.id)
    events = client.fine_tuning.jobs.list_events(job.id, limit=100).data
    ends = [re.search(r"Learned after (\d+) epochs; (\d+)", event.message) for event in events]
    said = next((f"{match[1]} + {match[2]} epochs" for match in ends if match), "all epochs")
    return str(done.fine_tuned_model), said, perf_counter() - began


def _spent_on_children(pid: int) -> float:
    """Processor seconds of the processes that this one has waited for (man 5 proc, cutime)."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
