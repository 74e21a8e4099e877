"""Measures a GPU with models of random weights: `bench/gpu.sh`, or `python -m bench.gpu`.

The shapes are those of Qwen2.5 0.5B, 1.5B and 7B. Each shape is trained as an adapter and,
except the largest, whole, by the tuner's worker and by plain TRL; then it serves one chat and
eight. A step that does not fit into memory or would start too late is reported as such.
`GPU_SHAPES=tiny` tries out the script itself.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trl import SFTConfig

MAX_SECONDS = 430.0
"""Seconds after which no further step starts."""
IS_TRIED = os.environ.get("GPU_SHAPES") == "tiny"
ROWS, BATCH, SAID = 16 if IS_TRIED else 64, 8, 64
STEPS = ROWS // BATCH
_WORDS = (
    *("the", "quick", "brown", "fox", "jumps", "over", "one", "lazy"),
    *("dog", "and", "sails", "home", "with", "figs", "in", "honey"),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a model, as in its config.json."""

    name: str
    width: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int = 151_936
    may_train_whole: bool = True


TINY = (Shape("tiny", 64, 2, 4, 2, 128, 4_096),)
SHAPES = (
    Shape("0.5B", 896, 24, 14, 2, 4_864),
    Shape("1.5B", 1_536, 28, 12, 2, 8_960),
    Shape("7B", 3_584, 28, 28, 4, 18_944, may_train_whole=False),
)


def main() -> None:
    import torch

    from tuner.local.model_loading import silence_libraries

    silence_libraries()
    started_at, has_card = perf_counter(), torch.cuda.is_available()
    card = torch.cuda.get_device_name() if has_card else "CPU"
    write = sys.stdout.write
    write(f"\n{card}, torch {torch.__version__}, {BATCH} rows of about 64 tokens at once\n\n")
    write("| shape | what | by | tokens a second | peak GB |\n| --- | --- | --- | --- | --- |\n")
    with TemporaryDirectory() as name:
        for shape in TINY if IS_TRIED else SHAPES:
            base = Path(name) / shape.name
            _make_base(shape, base)
            for what, by, work in _steps(shape, base, Path(name)):
                is_late = perf_counter() - started_at > MAX_SECONDS
                cells = "not begun: too late" if is_late else _cells(work)
                write(f"| {shape.name} | {what} | {by} | {cells} |\n")
                sys.stdout.flush()


def _steps(
    shape: Shape, base: Path, folder: Path
) -> Iterator[tuple[str, str, Callable[[], float]]]:
    yield "adapter", "attune", lambda: _train_with_tuner(base, folder, lora=True)
    yield "adapter", "TRL", lambda: _train_with_trl(base, folder)
    if find_spec("bitsandbytes"):
        yield "adapter on 4 bits", "TRL", lambda: _train_with_trl(base, folder, bits=4)
    if shape.may_train_whole:
        yield "whole", "attune", lambda: _train_with_tuner(base, folder, lora=False)
        yield "whole", "TRL", lambda: _train_with_trl(base, folder, is_whole=True)
    yield "serving, 1 chat", "attune", lambda: _serve(base, 1)
    yield "serving, 8 chats", "attune", lambda: _serve(base, 8)


def _cells(work: Callable[[], float]) -> str:
    """Returns tokens per second and the peak memory, or the name of an error, as table cells."""
    import torch

    from tuner.training_interface import JobRejected

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        rate = work()
    except (torch.OutOfMemoryError, JobRejected, ImportError, NotImplementedError) as error:
        return f"{type(error).__name__} | –"
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return f"{rate:,.0f} | {peak:.1f}"


def _make_base(shape: Shape, base: Path) -> None:
    """Creates a base with random bfloat16 weights and the tokenizer of the tiny base."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    from tuner.local.tiny_base import write_tokenizer

    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.inner,
        tie_word_embeddings=shape.width < 2_048,
        dtype=torch.bfloat16,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(base)
    write_tokenizer(base, 0)


def _rows() -> list[dict[str, object]]:
    """Returns distinct rows of about 64 tokens."""
    rows: list[dict[str, object]] = []
    for number in range(ROWS):
        words = [_WORDS[(number * 7 + position * 3) % len(_WORDS)] for position in range(12)]
        question = {"role": "user", "content": f"{number}: {' '.join(words)}?"}
        answer = {"role": "assistant", "content": " ".join(reversed(words))}
        rows.append({"messages": [question, answer]})
    return rows


def _train_with_tuner(base: Path, folder: Path, *, lora: bool) -> float:
    from bench.local_training import Never
    from tuner.job_folder import JobFolder
    from tuner.job_spec import JobSpec
    from tuner.local.training_run import run_training

    file = folder / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in _rows()), "utf-8")
    numbers = {"n_epochs": 1, "batch_size": BATCH, "lora": lora}
    with TemporaryDirectory(dir=folder) as name:
        job = JobFolder(Path(name))
        spec = JobSpec("local", str(base), "supervised", str(file), None, None, numbers, 1)
        started_at = perf_counter()
        result = run_training(job, spec, Never(Path(name) / "stop"))
        return int(str(result["tokens"])) / (perf_counter() - started_at)


def _train_with_trl(base: Path, folder: Path, *, bits: int = 16, is_whole: bool = False) -> float:
    """Trains as a plain TRL script would, with the same rows, batch size and steps."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        BitsAndBytesConfig,
        PrinterCallback,
    )
    from trl import SFTTrainer

    disable_progress_bars()
    started_at, has_card = perf_counter(), torch.cuda.is_available()
    quantized = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=torch.float32 if is_whole else torch.bfloat16,
        quantization_config=quantized if bits == 4 else None,
        device_map="auto" if has_card else None,
    )
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    tokenizer = AutoTokenizer.from_pretrained(base)
    with TemporaryDirectory(dir=folder) as name:
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list([{**row} for row in _rows()]),
            peft_config=None if is_whole else lora,
            args=_trl_options(name, model.num_parameters(), has_card, is_whole),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.save_model()
    tokens = sum(len(tokenized["input_ids"]) for tokenized in trainer.train_dataset)
    return tokens / (perf_counter() - started_at)


def _trl_options(folder: str, parameters: int, has_card: bool, is_whole: bool) -> SFTConfig:
    import trl

    return trl.SFTConfig(
        output_dir=folder,
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        bf16=has_card and is_whole,
        use_cpu=not has_card,
        gradient_checkpointing=parameters > 500_000_000,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _serve(base: Path, chats: int) -> float:
    """Returns the tokens per second of all chats together, after a warm-up."""
    from tuner.engine import Sampling
    from tuner.local.answer_in_progress import AnswerInProgress
    from tuner.local.serving_model import LoadedModel, load_for_serving

    loaded = load_for_serving(base, base)

    def ask(model: LoadedModel, count: int) -> None:
        replies: Sequence[AnswerInProgress] = [
            AnswerInProgress(
                choice=number,
                prompt=model.renderer.prompt([{"role": "user", "content": f"Tell {number}."}], ()),
                sampling=Sampling(),
                sampling_parameters=model.defaults.sampling_parameters,
                adapter=None,
                most_tokens=SAID,
                stop_token_ids=frozenset(),
                tokenizer=model.tokenizer,
                may_call=False,
                on_delta=lambda *_: None,
            )
            for number in range(count)
        ]
        model.batch.waiting.extend(replies)
        while not model.batch.is_idle:
            model.batch.prefill()
            model.batch.step()

    ask(loaded, 1)
    started_at = perf_counter()
    ask(loaded, chats)
    return chats * SAID / (perf_counter() - started_at)


if __name__ == "__main__":
    main()
