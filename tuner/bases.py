"""The allow-list of bases: found and looked over once, at the start, by the operator's own words.

Nothing here imports torch, and nothing that a client says ever comes here.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tuner.engine import Base
from tuner.errors import CannotStart

TEMPLATE_FILE = "chat_template.jinja"
WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model")
UNWANTED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.gguf", "*.onnx", "original/*")
_ATTENDING = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
# Kinds that keep a running state and do not list their layers' kinds.
_RECURRENT = frozenset(
    (
        *("mamba", "mamba2", "falcon_mamba", "falcon_h1", "rwkv", "xlstm", "recurrent_gemma"),
        *("jamba", "bamba", "zamba", "zamba2", "nemotron_h", "granitemoehybrid"),
    )
)
GGUF_FAMILIES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
"""The kinds of model that a GGUF is written of, and what llama.cpp calls their families."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_bases(said: Iterable[str]) -> Mapping[str, Base]:
    """Each as PATH, HUB_ID or NAME=one of these; raises CannotStart with what is missing.

    `,quantization=4bit` behind it loads its weights in 4 bits.
    """
    bases = [_find(each) for each in said]
    names = [base.id for base in bases]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CannotStart(f"Two bases are called '{twice}'; write --base NAME=… for one of them.")
    forms = {base.place: base.quantization for base in bases}
    if other := next((base for base in bases if forms[base.place] != base.quantization), None):
        raise CannotStart(f"{other.place} is given twice, once in 4 bits; give it in one form.")
    return {base.id: base for base in bases}


def _find(said: str) -> Base:
    said, _, quantization = said.partition(",quantization=")
    if quantization not in ("", "4bit"):
        raise CannotStart(f"'{quantization}' is not known here: write ',quantization=4bit'.")
    name, _, place = said.rpartition("=")
    folder = Path(place).expanduser()
    if not folder.is_dir():
        folder = _fetch(place)
    name = name or Path(place.rstrip("/")).name
    if not NAME.fullmatch(name):
        raise CannotStart(
            f"'{name}' cannot be a base's name: letters, digits, dots and dashes make one."
            f" Write --base NAME={place}."
        )
    check_base(folder.resolve())
    label = "local: trained and served on this machine"
    return Base(name, label, str(folder.resolve()), quantization)


def _fetch(place: str) -> Path:
    """A name of a hub; a mistyped path must not become a minute of tries to reach one."""
    if place.count("/") != 1 or place.startswith((".", "/", "~")):
        raise CannotStart(f"There is no model at {place}: no such folder.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(place, allow_patterns=[*WANTED], ignore_patterns=[*UNWANTED]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise CannotStart(
            f"There is no model at {place}: no such folder here, and the hub did not give one"
            f" ({type(error).__name__}). Check the name, or download it and give the folder."
        ) from error


def check_base(folder: Path) -> None:
    """Everything that would otherwise be found out by the first job."""
    if not (folder / "config.json").exists():
        raise CannotStart(f"There is no model at {folder}: it has no config.json.")
    if kind := _recurrent(folder):
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


def _recurrent(folder: Path) -> str | None:
    """The kind of a model that remembers by a state, not by what it has read."""
    config = json.loads((folder / "config.json").read_bytes())
    config = {**config, **config.get("text_config", {})}
    kind = str(config.get("model_type"))
    is_mixed = not set(config.get("layer_types") or ()) <= _ATTENDING
    return kind if is_mixed or kind in _RECURRENT else None


def _has_template(folder: Path) -> bool:
    if (folder / TEMPLATE_FILE).exists():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.exists() and bool(json.loads(settings.read_bytes()).get("chat_template"))
