"""Takes a tuned model away: `python -m tuner.export --data DIR --model ID --out DIR`.

What it writes is what other programs load: an adapter for PEFT and vLLM, merged weights for
transformers, vLLM and Ollama too, a GGUF, or a model of the sandbox; the first two with
tokenizer and chat template, each with a card. No row is in it; what the model learned to say is.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tuner.bases import GGUF_FAMILIES
from tuner.errors import CannotStart, NotFound
from tuner.folder import JobFolder, fsync_folder, is_disk_full, remove
from tuner.store.database import Database
from tuner.store.events import metrics_of
from tuner.store.files import Files
from tuner.store.jobs import Job, Jobs, named_base
from tuner.store.models import Models

_ADAPTER = "adapter_config.json"
_GGUF = "model.gguf"
ADAPTER, MERGED, SANDBOX = "adapter", "merged", "sandbox"
GGUF_F16, GGUF_Q8_0 = "gguf-f16", "gguf-q8_0"
FORMS = (ADAPTER, MERGED, GGUF_F16, GGUF_Q8_0, SANDBOX)
_OF_THE_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A model, the job that made it, and the base that it needs; no base for the sandbox."""

    id: str
    weights: Path
    job: Job
    rows: int | None
    metrics: Mapping[str, object]
    base: Path | None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tuner.export", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the tuner's folder")
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--base", type=Path, help="the folder of the base, unless it is a sandbox")
    parser.add_argument("--form", choices=FORMS, help="the form that it is kept in, unless said")
    options = parser.parse_args()
    os.umask(0o077)
    try:
        model = find(options.data, options.model, base=options.base)
        write(model, options.out.resolve(), form=options.form)
    except (CannotStart, NotFound) as error:
        sys.exit(str(error))
    except OSError as error:
        if not is_disk_full(error):
            raise
        sys.exit(f"The disk is too full for it: {options.out.parent}")


def base_name(data: Path, model_id: str) -> str:
    """The name of the base that a model was made of. Raises as `find`."""
    return named_base(find(data, model_id, base=None).job.model)


def find(data: Path, model_id: str, *, base: Path | None) -> TunedModel:
    """Raises NotFound for a model that is not here, CannotStart where there is no tuner."""
    path = data / "tuner.db"
    if not path.exists():
        raise CannotStart(f"There is no tuner's folder at {data}.")
    database = Database(path)
    try:
        stored = Models(database).get(model_id)
        job = Jobs(database).get(stored.job)
        rows = _rows(Files(database, data / "files"), job.training_file)
        with database.reading() as connection:
            told = metrics_of(connection, job.id)
    finally:
        database.close()
    return TunedModel(
        id=model_id,
        weights=JobFolder(data / "jobs" / job.id).weights(stored.step),
        job=job,
        rows=rows,
        metrics=next((step for step in reversed(told) if _is_before(step, stored.step)), {}),
        base=base,
    )


def sizes(model: TunedModel) -> dict[str, int]:
    """Bytes of each of `FORMS` that it has, the one first that it is kept in.

    A GGUF beside `merged` where its family is known there. Raises CannotStart for a model whose
    files, or whose base, are gone.
    """
    _refuse_gone(model)
    if model.weights.is_file():
        return {SANDBOX: model.weights.stat().st_size}
    own = _size(model.weights.iterdir())
    if not (model.weights / _ADAPTER).exists():
        return {MERGED: own, **_gguf(model.weights, own)}
    base = _needed_base(model)
    words = _size(base / name for name in _OF_THE_TOKENIZER)
    merged = _size(base.glob("*.safetensors")) + words
    return {ADAPTER: own + words, MERGED: merged, **_gguf(base, merged)}


def _gguf(folder: Path, size: int) -> dict[str, int]:
    config = json.loads((folder / "config.json").read_bytes())
    is_known = config.get("model_type") in GGUF_FAMILIES
    saved = str(config.get("dtype") or config.get("torch_dtype"))
    in_16_bits = size if "16" in saved else size // 2
    # Each 32 weights have one scale of 16 bits.
    return {GGUF_F16: in_16_bits, GGUF_Q8_0: in_16_bits * 34 // 64} if is_known else {}


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())


def _rows(files: Files, file_id: str) -> int | None:
    """How many rows it has; None for a file that was deleted."""
    try:
        return files.get(file_id).rows
    except NotFound:
        return None


def _is_before(metrics: Mapping[str, object], step: int | None) -> bool:
    return step is None or int(str(metrics.get("step", 0))) <= step


def write(model: TunedModel, out: Path, *, form: str | None) -> None:
    """Complete or not at all, in the first of its forms unless one is named.

    Raises CannotStart, with advice.
    """
    if out.exists():
        raise CannotStart(f"{out} is there already; give the name of a new folder.")
    forms = list(sizes(model))
    form = form or forms[0]
    if form not in forms:
        raise CannotStart(f"'{model.id}' cannot be had as {form}, only as {', '.join(forms)}.")
    draft = out.with_name(f".{out.name}.draft")
    remove(draft)
    draft.mkdir(parents=True, mode=0o700)
    try:
        _fill(draft, model, form)
        if form in (GGUF_F16, GGUF_Q8_0):
            _as_gguf(draft, model, is_q8_0=form == GGUF_Q8_0)
        elif form == MERGED:
            _write_modelfile(draft)
        (draft / "README.md").write_text(card(model, form), "utf-8")
        draft.replace(out)
    finally:
        remove(draft)
    fsync_folder(out.parent)


def _refuse_gone(model: TunedModel) -> None:
    if not model.weights.exists():
        raise CannotStart(f"The files of '{model.id}' are gone.")


def _needed_base(model: TunedModel) -> Path:
    if model.base is not None and (model.base / "config.json").exists():
        return model.base
    name = named_base(model.job.model)
    raise CannotStart(f"This model needs its base '{name}': --base FOLDER says where that is.")


def _as_gguf(draft: Path, model: TunedModel, *, is_q8_0: bool) -> None:
    """One file instead of the folder that it is made of."""
    from tuner.local.gguf_writer import write_gguf
    from tuner.local.modelfile import write_modelfile

    parts = list(draft.iterdir())
    write_gguf(draft, draft / _GGUF, name=model.id, is_q8_0=is_q8_0)
    write_modelfile(draft, f"./{_GGUF}")
    for path in parts:
        remove(path)


def _fill(draft: Path, model: TunedModel, form: str) -> None:
    """The weights, merged unless the adapter is asked for, and what belongs to them."""
    if form == SANDBOX:
        shutil.copyfile(model.weights, draft / "model.npz")
        return
    if not (model.weights / _ADAPTER).exists():
        shutil.copytree(model.weights, draft, dirs_exist_ok=True)
        return
    base = _needed_base(model)
    for name in _OF_THE_TOKENIZER:
        if (base / name).exists():
            shutil.copyfile(base / name, draft / name)
    if form == ADAPTER:
        shutil.copytree(model.weights, draft, dirs_exist_ok=True)
        return
    # Here and not at the top: an adapter is copied without torch.
    from tuner.local.merging import merge

    merge(base, model.weights, draft)


def _write_modelfile(draft: Path) -> None:
    """Where the libraries are there that read the chat template, as they are where it was made."""
    if find_spec("transformers") is None:
        return
    from tuner.local.modelfile import write_modelfile

    write_modelfile(draft)


_USE = {
    ADAPTER: (
        "An adapter (LoRA). PEFT: `PeftModel.from_pretrained(base, FOLDER)`. vLLM: `vllm serve BASE"
        " --enable-lora --lora-modules NAME=FOLDER`."
    ),
    MERGED: (
        "Whole weights. transformers: `AutoModelForCausalLM.from_pretrained(FOLDER)`."
        " vLLM: `vllm serve FOLDER`. Ollama: `ollama create NAME -f Modelfile`, in this folder."
        f" For LM Studio, llama.cpp and others export it with --form {GGUF_F16}."
    ),
    SANDBOX: (
        "A model of Attune's sandbox, which picks from the replies it was taught: they stand in"
        " `model.npz` as they are. No other program loads it."
    ),
}
_USE[GGUF_F16] = _USE[GGUF_Q8_0] = (
    "Whole weights as one GGUF file, with tokenizer and chat template in it. LM Studio: put"
    " this folder into its models folder. llama.cpp: `llama-server -m model.gguf`. Ollama:"
    " `ollama create NAME -f Modelfile`, in this folder."
)


def card(model: TunedModel, form: str) -> str:
    """What it is made of and how to load it, without a word of any row."""
    job, base = model.job, named_base(model.job.model)
    finished = time.strftime("%Y-%m-%d", time.gmtime(job.finished_at or job.created_at))
    facts = {
        "base": base,
        "licence of the base": _licence(model.base),
        "method": job.method,
        "rows": "the file is deleted" if model.rows is None else model.rows,
        "tokens trained": job.trained_tokens,
        "settings": json.dumps(job.hyperparameters, sort_keys=True),
        "seed": job.seed,
        "trained": finished,
        **{name: value for name, value in model.metrics.items() if value is not None},
    }
    lines = [f"| {name} | {value} |" for name, value in facts.items()]
    head = [f"base_model: {base}", "library_name: peft"] if form == ADAPTER else []
    return "\n".join(
        (
            "---",
            *head,
            "tags: [attune]",
            "---",
            f"# {model.id}",
            "",
            _USE[form],
            "",
            "| | |",
            "| --- | --- |",
            *lines,
            "",
        )
    )


def _licence(base: Path | None) -> str:
    """As it was noted when the base was installed, or as its own card has it."""
    if base is None:
        return "none"
    if (note := base / "attune.json").exists():
        return str(json.loads(note.read_bytes()).get("license", "unknown"))
    if (readme := base / "README.md").exists():
        for line in readme.read_text("utf-8", errors="replace").splitlines()[:40]:
            if line.startswith("license:"):
                return line.partition(":")[2].strip()
    return "unknown: look at the base"


if __name__ == "__main__":
    main()
