"""What a real base learns with default settings: `BENCH_BASE=models/… python -m bench learning`.

Needs the extra `local` and a base. The questions of each set in `bench/learning_sets` are
reworded and asked to four models: the base, the base with the eight nearest examples, the tuned
model, and the tuned model with the three nearest, selected as the bot does.
`BENCH_SETS=bakery,orders` selects sets, `BENCH_SEED` the seed of the trainings. Sets marked as held
back were not used to choose hyperparameters; the others have two further wordings of each fact,
which are asked separately.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from openai import AsyncOpenAI, OpenAI

from adapters.meaning_index import MeaningIndex
from bench.figures import Figure, told
from bench.processes import running, wait_until

SETS = Path(__file__).with_name("learning_sets")
AT_ONCE = 8
MAX_REPLY_TOKENS = 120
BEFORE, BESIDE = 8, 3
FACTS, FACTS_WITH_EXAMPLES = 20 / 24, 22 / 24
MAX_TRAINING_SECONDS = 480.0
"""CPU seconds, as four minutes of two cores."""

_KEY = "bench"
_NAMES = re.compile(r"\d[\d.:]*\d|\d|(?<=[a-z,;] )[A-Z]\w+")
_TIMEOUT_SECONDS = 3600.0

Message = dict[str, str]


@dataclass(slots=True)
class Question:
    """A reworded question, and the facts that a correct answer contains."""

    text: str
    answer: str
    facts: Sequence[str]


@dataclass(slots=True)
class LearningSet:
    """Rows to train on, questions to ask, and a pattern that every answer must match."""

    name: str
    shape: re.Pattern[str] = re.compile("")
    system: str = ""
    rows: list[tuple[str, str]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    further: list[Question] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> LearningSet:
        """Reads a set.

        Lines are V: pattern, S: system message, A: an answer, F: its facts, Q: a taught
        question, T and U: questions to ask.
        """
        learning_set, answer, facts = cls(path.stem), "", list[str]()
        for line in path.read_text("utf-8").splitlines():
            kind, _, text = line.partition(": ")
            if kind == "V":
                learning_set.shape = re.compile(text, re.DOTALL)
            elif kind == "S":
                learning_set.system = text
            elif kind == "A":
                answer, facts = text, []
            elif kind == "F":
                facts = text.split(" & ")
            elif kind == "Q":
                learning_set.rows.append((text, answer))
            elif kind in ("T", "U"):
                questions = learning_set.questions if kind == "T" else learning_set.further
                questions.append(Question(text, answer, facts))
        return learning_set

    def messages(self, question: str, examples: Iterable[tuple[str, str]] = ()) -> list[Message]:
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for taught_question, answer in examples:
            messages += [
                {"role": "user", "content": taught_question},
                {"role": "assistant", "content": answer},
            ]
        return [*messages, {"role": "user", "content": question}]

    async def index(self) -> MeaningIndex:
        """Returns an index of the taught questions, as the bot keeps one, by number of the row."""
        index = MeaningIndex()
        await index.put({number: asked for number, (asked, _) in enumerate(self.rows)})
        return index


@dataclass(slots=True)
class Score:
    """Number of answers with the right facts, with the taught pattern, and with invented names."""

    facts: int = 0
    shaped: int = 0
    invented: int = 0
    prompt_tokens: int = 0
    asked: int = 0
    seconds: float = 0.0

    def add(self, learning_set: LearningSet, question: Question, reply: str, tokens: int) -> None:
        self.asked += 1
        self.prompt_tokens += tokens
        self.facts += all(fact.lower() in reply.lower() for fact in question.facts)
        self.shaped += bool(learning_set.shape.search(reply))
        given_text = f"{question.text} {question.answer}"
        self.invented += any(name not in given_text for name in _NAMES.findall(reply))

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
            for learning_set in sets:
                if chosen == [""] or learning_set.name in chosen:
                    yield from _measure_set(learning_set, address, base.name, tuner.pid)


def _measure_set(
    learning_set: LearningSet, address: str, base: str, server: int
) -> Iterable[Figure]:
    yield told(
        f"{learning_set.name}: base", str(asyncio.run(_ask_all(learning_set, address, base, 0)))
    )
    base_score = asyncio.run(_ask_all(learning_set, address, base, BEFORE))
    yield told(f"{learning_set.name}: base, {BEFORE} nearest", str(base_score))
    cpu_seconds = _children_cpu_seconds(server)
    model, epochs, seconds = _train(learning_set, address, base)
    cpu_seconds = _children_cpu_seconds(server) - cpu_seconds
    yield Figure(
        f"{learning_set.name}: {len(learning_set.rows)} rows trained, {epochs}",
        f"{cpu_seconds:.0f} s of processor, {seconds:.0f} s",
        f"≤ {MAX_TRAINING_SECONDS:.0f} s of processor",
        cpu_seconds <= MAX_TRAINING_SECONDS,
    )
    for examples, goal in ((0, FACTS), (BESIDE, FACTS_WITH_EXAMPLES)):
        score = asyncio.run(_ask_all(learning_set, address, model, examples))
        yield Figure(
            f"{learning_set.name}: tuned, {examples} nearest",
            str(score),
            f"facts ≥ {goal:.0%}, shape 100%",
            score.facts >= goal * score.asked and score.shaped == score.asked,
        )
    if learning_set.further:
        score = asyncio.run(
            _ask_all(replace(learning_set, questions=learning_set.further), address, model, 0)
        )
        yield told(f"{learning_set.name}: tuned, further wordings", str(score))


async def _ask_all(learning_set: LearningSet, address: str, model: str, examples: int) -> Score:
    client, score = AsyncOpenAI(base_url=address, api_key=_KEY, max_retries=2), Score()
    index = await learning_set.index()
    semaphore, started_at = asyncio.Semaphore(AT_ONCE), perf_counter()

    async def ask(question: Question) -> None:
        ranked = await index.rank(question.text, limit=examples) if examples else ()
        nearest = [learning_set.rows[number] for number, _ in reversed(ranked)]
        messages = learning_set.messages(question.text, nearest)
        async with semaphore:
            answer = await client.chat.completions.create(
                model=model,
                messages=messages,  # type: ignore[arg-type]
                temperature=0,
                max_tokens=MAX_REPLY_TOKENS,
                timeout=_TIMEOUT_SECONDS,
            )
        tokens = answer.usage.prompt_tokens if answer.usage else 0
        score.add(learning_set, question, (answer.choices[0].message.content or "").strip(), tokens)

    await asyncio.gather(*(ask(question) for question in learning_set.questions))
    score.seconds = perf_counter() - started_at
    return score


def _train(learning_set: LearningSet, address: str, base: str) -> tuple[str, str, float]:
    """Returns the model's name, a description of its epochs, and the wall-clock seconds."""
    client, started_at = OpenAI(base_url=address, api_key=_KEY), perf_counter()
    rows = [
        {"messages": [*learning_set.messages(question), {"role": "assistant", "content": answer}]}
        for question, answer in learning_set.rows
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

    wait_until(is_over, every=1.0, longest=_TIMEOUT_SECONDS)
    finished_job = client.fine_tuning.jobs.retrieve(job.id)
    events = client.fine_tuning.jobs.list_events(job.id, limit=100)  # asks for page after page
    matches = [re.search(r"Learned after (\d+) epochs; (\d+)", event.message) for event in events]
    epochs = next((f"{match[1]} + {match[2]} epochs" for match in matches if match), "all epochs")
    return str(finished_job.fine_tuned_model), epochs, perf_counter() - started_at


def _children_cpu_seconds(pid: int) -> float:
    """Returns the CPU seconds of a process's finished children (cutime in man 5 proc)."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
