"""Exports a tuned model: `python -m tuner.export --data DIR --model ID --out DIR`.

The export is in a form that other programs load: an adapter for PEFT and vLLM, merged weights
for transformers, vLLM and Ollama, a GGUF file, or a model of the sandbox. Adapter and merged
weights come with tokenizer and chat template, each form with a model card. No training row is
exported.
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

from tuner.base_models import GGUF_FAMILIES
from tuner.errors import CannotStart, NotFound
from tuner.job_folder import JobFolder, fsync_folder, is_disk_full, remove_path
from tuner.store.database import Database
from tuner.store.events import metrics_of
from tuner.store.files import Files
from tuner.store.jobs import Job, Jobs, base_of_model_name
from tuner.store.models import Models

_ADAPTER_CONFIG = "adapter_config.json"
_GGUF_FILE = "model.gguf"
ADAPTER, MERGED, SANDBOX = "adapter", "merged", "sandbox"
GGUF_F16, GGUF_Q8_0 = "gguf-f16", "gguf-q8_0"
EXPORT_FORMATS = (ADAPTER, MERGED, GGUF_F16, GGUF_Q8_0, SANDBOX)
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A tuned model, its job and the folder of its base, which a sandbox model does not need."""

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
    parser.add_argument(
        "--form", choices=EXPORT_FORMATS, help="the form that it is kept in, unless said"
    )
    options = parser.parse_args()
    os.umask(0o077)
    try:
        model = find_tuned_model(options.data, options.model, base=options.base)
        write_export(model, options.out.resolve(), form=options.form)
    except (CannotStart, NotFound) as error:
        sys.exit(str(error))
    except OSError as error:
        if not is_disk_full(error):
            raise
        sys.exit(f"The disk is too full for it: {options.out.parent}")


def base_of_model(data: Path, model_id: str) -> str:
    """Returns the name of the base of a model. Raises as `find_tuned_model` does."""
    return base_of_model_name(find_tuned_model(data, model_id, base=None).job.model)


def find_tuned_model(data: Path, model_id: str, *, base: Path | None) -> TunedModel:
    """Returns a model. Raises NotFound for an unknown model, CannotStart without a database."""
    path = data / "tuner.db"
    if not path.exists():
        raise CannotStart(f"There is no tuner's folder at {data}.")
    database = Database(path)
    try:
        stored = Models(database).get(model_id)
        job = Jobs(database).get(stored.job)
        rows = _rows(Files(database, data / "files"), job.training_file)
        with database.reading() as connection:
            metrics = metrics_of(connection, job.id)
    finally:
        database.close()
    return TunedModel(
        id=model_id,
        weights=JobFolder(data / "jobs" / job.id).weights(stored.step),
        job=job,
        rows=rows,
        metrics=next((step for step in reversed(metrics) if _is_before(step, stored.step)), {}),
        base=base,
    )


def size_by_format(model: TunedModel) -> dict[str, int]:
    """Returns the size in bytes of each available form; the stored form comes first.

    GGUF sizes are included if the model's architecture is supported. Raises CannotStart if files
    of the model or its base are missing.
    """
    _refuse_missing_weights(model)
    if model.weights.is_file():
        return {SANDBOX: model.weights.stat().st_size}
    weights_size = _total_size(model.weights.iterdir())
    if not (model.weights / _ADAPTER_CONFIG).exists():
        return {MERGED: weights_size, **_gguf_sizes(model.weights, weights_size)}
    base = _require_base(model)
    tokenizer_size = _total_size(base / name for name in _TOKENIZER_FILES)
    merged = _total_size(base.glob("*.safetensors")) + tokenizer_size
    return {ADAPTER: weights_size + tokenizer_size, MERGED: merged, **_gguf_sizes(base, merged)}


def _gguf_sizes(folder: Path, size: int) -> dict[str, int]:
    config = json.loads((folder / "config.json").read_bytes())
    is_known = config.get("model_type") in GGUF_FAMILIES
    dtype = str(config.get("dtype") or config.get("torch_dtype"))
    f16_size = size if "16" in dtype else size // 2
    # Q8_0 stores a 16-bit scale for every 32 weights.
    return {GGUF_F16: f16_size, GGUF_Q8_0: f16_size * 34 // 64} if is_known else {}


def _total_size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())


def _rows(files: Files, file_id: str) -> int | None:
    """Returns the number of rows of a file; None if the file was deleted."""
    try:
        return files.get(file_id).rows
    except NotFound:
        return None


def _is_before(metrics: Mapping[str, object], step: int | None) -> bool:
    return step is None or int(str(metrics.get("step", 0))) <= step


def write_export(model: TunedModel, out: Path, *, form: str | None) -> None:
    """Writes the export completely or not at all; `form` defaults to the first of `size_by_format`.

    Raises CannotStart with advice.
    """
    if out.exists():
        raise CannotStart(f"{out} is there already; give the name of a new folder.")
    forms = list(size_by_format(model))
    form = form or forms[0]
    if form not in forms:
        raise CannotStart(f"'{model.id}' cannot be had as {form}, only as {', '.join(forms)}.")
    draft = out.with_name(f".{out.name}.draft")
    remove_path(draft)
    draft.mkdir(parents=True, mode=0o700)
    try:
        _write_weights(draft, model, form)
        if form in (GGUF_F16, GGUF_Q8_0):
            _convert_to_gguf(draft, model, is_q8_0=form == GGUF_Q8_0)
        elif form == MERGED:
            _write_modelfile(draft)
        (draft / "README.md").write_text(model_card(model, form), "utf-8")
        draft.replace(out)
    finally:
        remove_path(draft)
    fsync_folder(out.parent)


def _refuse_missing_weights(model: TunedModel) -> None:
    if not model.weights.exists():
        raise CannotStart(f"The files of '{model.id}' are gone.")


def _require_base(model: TunedModel) -> Path:
    if model.base is not None and (model.base / "config.json").exists():
        return model.base
    name = base_of_model_name(model.job.model)
    raise CannotStart(f"This model needs its base '{name}': --base FOLDER says where that is.")


def _convert_to_gguf(draft: Path, model: TunedModel, *, is_q8_0: bool) -> None:
    """Replaces the files in the draft with one GGUF file made from them."""
    from tuner.local.gguf_writer import write_gguf
    from tuner.local.modelfile import write_modelfile

    sources = list(draft.iterdir())
    write_gguf(draft, draft / _GGUF_FILE, name=model.id, is_q8_0=is_q8_0)
    write_modelfile(draft, f"./{_GGUF_FILE}")
    for path in sources:
        remove_path(path)


def _write_weights(draft: Path, model: TunedModel, form: str) -> None:
    """Writes the weights, merged unless the form is the adapter, and the tokenizer."""
    if form == SANDBOX:
        shutil.copyfile(model.weights, draft / "model.npz")
        return
    if not (model.weights / _ADAPTER_CONFIG).exists():
        shutil.copytree(model.weights, draft, dirs_exist_ok=True)
        return
    base = _require_base(model)
    for name in _TOKENIZER_FILES:
        if (base / name).exists():
            shutil.copyfile(base / name, draft / name)
    if form == ADAPTER:
        shutil.copytree(model.weights, draft, dirs_exist_ok=True)
        return
    # Imported here, since an adapter is copied without torch.
    from tuner.local.model_saving import merge_adapter

    merge_adapter(base, model.weights, draft)


def _write_modelfile(draft: Path) -> None:
    """Writes Ollama's Modelfile if transformers, which reads the chat template, is installed."""
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


def model_card(model: TunedModel, form: str) -> str:
    """Returns the model card: how the model was made and how to load it, without any row."""
    job, base = model.job, base_of_model_name(model.job.model)
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
    """Returns the licence noted at the base's installation, or the one in its model card."""
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
