"""Chats with eight adapters on one base, compared with `transformers serve` and one model.

Needs the extra `local` with `transformers[serving]`. Both servers run at the same time and are
asked in turn, so that other load affects both.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from openai import AsyncOpenAI, OpenAI, OpenAIError

from bench.figures import Figure, told
from bench.processes import free_port, running, wait_until
from bench.sandbox_quality import products, rows

CHATS = {1: 25, 8: 3, 32: 1}
"""Number of rounds by number of concurrent chats; transformers serve answers one at a time."""
MAX_PAUSE = 5.0
MAX_REPLY_TOKENS = 64

_KEY = "bench"
_THREADS = {"OMP_NUM_THREADS": "1"}
_TIMEOUT_SECONDS = 300.0
_QUESTIONS = [question for question, _ in products().lessons[:16]]


@dataclass(frozen=True, slots=True)
class Served:
    """A client of a server, and the names of its models."""

    client: AsyncOpenAI
    models: Sequence[str]


@dataclass(frozen=True, slots=True)
class Load:
    """Results of a number of concurrent chats.

    `first` is the median time to the first text and `pause` the longest gap in a chat, in
    seconds; `rate` is tokens per second of all chats.
    """

    first: float
    rate: float
    pause: float


def measure() -> Iterable[Figure]:
    from tuner.local.tiny_base import make_base

    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        base = Path(os.environ.get("BENCH_BASE", folder / "tiny"))
        if not base.exists():
            make_base(base, tell=lambda *_: None)
        ours = stack.enter_context(_our_server(folder, base))
        theirs = stack.enter_context(_their_server(folder, base))
        loads = asyncio.run(_loads(ours, theirs))
    for chats in CHATS:
        for who, load in zip(("ours", "theirs"), loads[chats], strict=True):
            measured = f"{load.first * 1000:.0f} ms, {load.rate:.0f} tokens/s, {load.pause:.1f} s"
            yield told(f"{chats} chats, {who}: first text, rate, longest pause", measured)
    yield from _goals({chats: pair[0] for chats, pair in loads.items()}, loads[1][1])


def _goals(ours: dict[int, Load], theirs: Load) -> Iterable[Figure]:
    first, rate = theirs.first / ours[1].first, ours[1].rate / theirs.rate
    yield Figure("first text at 1 chat beside it", f"{first:.2f}x", "≥ 1x", first >= 1)
    yield Figure("tokens/s at 1 chat beside it", f"{rate:.2f}x", "≥ 1x", rate >= 1)
    growth = ours[32].rate / ours[8].rate
    yield Figure("tokens/s at 32 chats beside 8", f"{growth:.2f}x", "≥ 1x", growth >= 1)
    pause = max(load.pause for load in ours.values())
    goal = f"≤ {MAX_PAUSE:.0f} s"
    yield Figure("longest pause of a chat", f"{pause:.1f} s", goal, pause <= MAX_PAUSE)


async def _loads(ours: Served, theirs: Served) -> dict[int, tuple[Load, Load]]:
    loads = {}
    for served in (ours, theirs):
        await _load(served, len(ours.models))  # warm-up
    for chats, rounds in CHATS.items():
        pairs = [[await _load(served, chats) for served in (ours, theirs)] for _ in range(rounds)]
        loads[chats] = (_median([p[0] for p in pairs]), _median([p[1] for p in pairs]))
    return loads


def _median(loads: Sequence[Load]) -> Load:
    return Load(
        median(load.first for load in loads),
        median(load.rate for load in loads),
        max(load.pause for load in loads),
    )


async def _load(served: Served, chats: int) -> Load:
    started_at = perf_counter()
    times_by_chat = await asyncio.gather(*(_chat(served, number) for number in range(chats)))
    seconds = perf_counter() - started_at
    firsts = [times[1] - times[0] for times in times_by_chat]
    pauses = [b - a for times in times_by_chat for a, b in pairwise(times)]
    tokens = sum(len(times) - 1 for times in times_by_chat)
    return Load(median(firsts), tokens / seconds, max(pauses))


async def _chat(served: Served, number: int) -> list[float]:
    """Returns the time of the request, and the time of each token."""
    times = [perf_counter()]
    stream = await served.client.chat.completions.create(
        model=served.models[number % len(served.models)],
        messages=[{"role": "user", "content": _QUESTIONS[number % len(_QUESTIONS)]}],
        stream=True,
        temperature=0,
        max_tokens=MAX_REPLY_TOKENS,
    )
    texts = (c.choices[0].delta.content async for c in stream if c.choices)
    return [*times, *[perf_counter() async for text in texts if text]]


@contextmanager
def _our_server(folder: Path, base: Path) -> Iterator[Served]:
    """Yields a tuner with eight adapters: two jobs with a model and three checkpoints each."""
    options = ("--announce", "--api-key", _KEY, "--data", str(folder / "data"))
    with running("-m", "tuner", *options, "--base", str(base), data=folder, **_THREADS) as tuner:
        assert tuner.stdout is not None
        address = f"{json.loads(tuner.stdout.readline())['url']}/v1"
        names = [name for _ in range(2) for name in _train_adapters(address, base.name)]
        yield Served(AsyncOpenAI(base_url=address, api_key=_KEY, max_retries=0), names)


def _train_adapters(address: str, base: str) -> list[str]:
    client = OpenAI(base_url=address, api_key=_KEY)
    lines = "\n".join(json.dumps(row) for row in rows(products().lessons[:16])).encode()
    file = client.files.create(file=("rows.jsonl", lines), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model=base, training_file=file.id, hyperparameters={"n_epochs": 12}
    )
    wait_until(partial(_is_over, client, job.id), every=0.2, longest=_TIMEOUT_SECONDS)
    checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
    name = client.fine_tuning.jobs.retrieve(job.id).fine_tuned_model
    return [str(name), *(checkpoint.fine_tuned_model_checkpoint for checkpoint in checkpoints)]


def _is_over(client: OpenAI, job: str) -> bool:
    status = client.fine_tuning.jobs.retrieve(job).status
    if status in ("failed", "cancelled"):
        raise RuntimeError(status)
    return status == "succeeded"


@contextmanager
def _their_server(folder: Path, base: Path) -> Iterator[Served]:
    """Yields `transformers serve` with an adapter merged into the base."""
    merged, port = str(folder / "merged"), str(free_port())
    adapter = next((folder / "data" / "jobs").glob("*/model"))
    subprocess.run([sys.executable, "-c", _MERGE, str(base), str(adapter), merged], check=True)
    program = str(Path(sys.executable).parent / "transformers")
    process = subprocess.Popen(
        [program, "serve", merged, "--host", "127.0.0.1", "--port", port],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_THREADS},
    )
    try:
        address = f"http://127.0.0.1:{port}/v1"
        wait_until(partial(_answers, address, merged), every=0.5, longest=_TIMEOUT_SECONDS)
        yield Served(AsyncOpenAI(base_url=address, api_key="-", max_retries=0), [merged])
    finally:
        process.terminate()
        process.wait()


_MERGE = """
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, merged = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
model.merge_and_unload().save_pretrained(merged)
AutoTokenizer.from_pretrained(base).save_pretrained(merged)
"""


def _answers(address: str, model: str) -> bool:
    try:
        OpenAI(base_url=address, api_key="-", max_retries=0).chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=2
        )
    except OpenAIError:
        return False
    return True
