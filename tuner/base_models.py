"""The allow-list of base models, named by the operator and checked once, at the start.

Nothing here imports torch, and no input of a client is used here.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tuner.engine import Base
from tuner.errors import CannotStart

TEMPLATE_FILE = "chat_template.jinja"
WANTED_FILE_PATTERNS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.jinja",
    "tokenizer.model",
)
UNWANTED_FILE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.gguf", "*.onnx", "original/*")
_ATTENTION_LAYERS = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
# Model types with recurrent state whose config does not list their layer types.
_RECURRENT_TYPES = frozenset(
    (
        *("mamba", "mamba2", "falcon_mamba", "falcon_h1", "rwkv", "xlstm", "recurrent_gemma"),
        *("jamba", "bamba", "zamba", "zamba2", "nemotron_h", "granitemoehybrid"),
    )
)
GGUF_FAMILIES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
"""Model types that a GGUF can be written of, with llama.cpp's names of their architectures."""
BASE_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_bases(arguments: Iterable[str]) -> Mapping[str, Base]:
    """Returns the bases by id; each argument is PATH or HUB_ID, optionally NAME= before it.

    The suffix `,quantization=4bit` loads the weights in 4 bits. Raises CannotStart.
    """
    bases = [_find_base(argument) for argument in arguments]
    names = [base.id for base in bases]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise CannotStart(
            f"Two bases are called '{duplicate}'; write --base NAME=… for one of them."
        )
    quantizations = {base.place: base.quantization for base in bases}
    if conflicting := next(
        (base for base in bases if quantizations[base.place] != base.quantization), None
    ):
        raise CannotStart(
            f"{conflicting.place} is given twice, once in 4 bits; give it in one form."
        )
    return {base.id: base for base in bases}


def _find_base(argument: str) -> Base:
    argument, _, quantization = argument.partition(",quantization=")
    if quantization not in ("", "4bit"):
        raise CannotStart(f"'{quantization}' is not known here: write ',quantization=4bit'.")
    name, _, location = argument.rpartition("=")
    folder = Path(location).expanduser()
    if not folder.is_dir():
        folder = _download(location)
    name = name or Path(location.rstrip("/")).name
    if not BASE_NAME_PATTERN.fullmatch(name):
        raise CannotStart(
            f"'{name}' cannot be a base's name: letters, digits, dots and dashes make one."
            f" Write --base NAME={location}."
        )
    check_base(folder.resolve())
    label = "local: trained and served on this machine"
    return Base(name, label, str(folder.resolve()), quantization)


def _download(name: str) -> Path:
    """Downloads a model of the hub. Raises CannotStart at once if the name looks like a path."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CannotStart(f"There is no model at {name}: no such folder.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=[*WANTED_FILE_PATTERNS],
                ignore_patterns=[*UNWANTED_FILE_PATTERNS],
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise CannotStart(
            f"There is no model at {name}: no such folder here, and the hub did not give one"
            f" ({type(error).__name__}). Check the name, or download it and give the folder."
        ) from error


def check_base(folder: Path) -> None:
    """Raises CannotStart for a problem that would otherwise fail the first job."""
    if not (folder / "config.json").exists():
        raise CannotStart(f"There is no model at {folder}: it has no config.json.")
    if kind := _recurrent_type(folder):
        raise CannotStart(
            f"{folder} is a recurrent model ({kind}), of which no several answers can be written at"
            " once here. Take one whose layers all attend, as those of Llama, Mistral, Gemma,"
            " Qwen2.5 and Qwen3 do."
        )
    if not any(folder.glob("*.safetensors")):
        raise CannotStart(
            f"{folder} has no weights as safetensors. Other formats can run code when they are"
            " read and are not taken; convert it first."
        )
    if not (folder / "tokenizer.json").exists() and not (folder / "tokenizer.model").exists():
        raise CannotStart(f"{folder} has no tokenizer.json.")
    if not _has_template(folder):
        raise CannotStart(
            f"{folder} has no chat template, so it does not know where a turn begins. Take an"
            f" “instruct” or “chat” model, or put one beside it as {TEMPLATE_FILE}."
        )


def _recurrent_type(folder: Path) -> str | None:
    """Returns the model type if the model has recurrent layers instead of attention, else None."""
    config = json.loads((folder / "config.json").read_bytes())
    config = {**config, **config.get("text_config", {})}
    kind = str(config.get("model_type"))
    is_mixed = not set(config.get("layer_types") or ()) <= _ATTENTION_LAYERS
    return kind if is_mixed or kind in _RECURRENT_TYPES else None


def _has_template(folder: Path) -> bool:
    if (folder / TEMPLATE_FILE).exists():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.exists() and bool(json.loads(settings.read_bytes()).get("chat_template"))
