"""Writes models of the families Llama and Qwen2 as GGUF files for LM Studio and Ollama.

GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Names and order of the tensors are
as in llama.cpp's convert_hf_to_gguf.py.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quantize
from safetensors import safe_open

from tuner.base_models import GGUF_FAMILIES
from tuner.errors import CannotStart
from tuner.local.gguf_reader import TENSORS_OF_LAYER, TENSORS_OUTSIDE_LAYERS
from tuner.local.model_loading import load_tokenizer

_GGUF_OUTSIDE = {ours: theirs for theirs, ours in TENSORS_OUTSIDE_LAYERS.items()}
_GGUF_IN_LAYER = {ours: theirs for theirs, ours in TENSORS_OF_LAYER.items()}
_BIASES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PRE_TOKENIZERS = {_WORDS + r"\p{N}{1,3}" + _REST: "llama-bpe", _WORDS + r"\p{N}" + _REST: "qwen2"}
"""llama.cpp's names of pre-tokenizers by their regular expressions."""

Config = Mapping[str, object]


def write_gguf(folder: Path, out: Path, *, name: str, is_q8_0: bool = False) -> None:
    """Writes a GGUF file from a folder with safetensors, tokenizer and chat template.

    Weights are stored as F16 or Q8_0. Raises CannotStart for other families, other kinds of
    tokenizers and scaled positions.
    """
    config = json.loads((folder / "config.json").read_bytes())
    family = _family(config)
    writer = GGUFWriter(out, family, use_temp_file=True)
    writer.add_name(name)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0 if is_q8_0 else LlamaFileType.MOSTLY_F16)
    _add_hyperparameters(writer, config)
    _add_tokenizer(writer, folder, int(config["vocab_size"]))
    for file in sorted(folder.glob("*.safetensors")):
        for tensor, values in _tensors(file, config, family):
            _add_tensor(writer, tensor, values, is_q8_0=is_q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _family(config: Config) -> str:
    """Returns llama.cpp's name of the model's family. Raises CannotStart."""
    kind = str(config.get("model_type"))
    if kind not in GGUF_FAMILIES:
        families = ", ".join(sorted(GGUF_FAMILIES))
        raise CannotStart(
            f"A GGUF can be written of the families {families}, not of {kind}."
            " Take it as merged weights; llama.cpp's convert_hf_to_gguf.py knows more families."
        )
    positions = config.get("rope_parameters") or config.get("rope_scaling") or {}
    scaling = positions.get("rope_type", "default") if isinstance(positions, Mapping) else "?"
    if scaling != "default":
        raise CannotStart(
            f"This base scales its positions ({scaling}), which is not written as GGUF here. Take"
            " it as merged weights; llama.cpp's convert_hf_to_gguf.py does it."
        )
    return GGUF_FAMILIES[kind]


def _add_hyperparameters(writer: GGUFWriter, config: Config) -> None:
    def number(key: str, default: object = None) -> int:
        return int(str(config.get(key) or default))

    heads = number("num_attention_heads")
    positions = config.get("rope_parameters")
    theta = positions.get("rope_theta") if isinstance(positions, Mapping) else None
    writer.add_context_length(number("max_position_embeddings"))
    writer.add_embedding_length(number("hidden_size"))
    writer.add_block_count(number("num_hidden_layers"))
    writer.add_feed_forward_length(number("intermediate_size"))
    writer.add_head_count(heads)
    writer.add_head_count_kv(number("num_key_value_heads", heads))
    width = number("head_dim", number("hidden_size") // heads)
    writer.add_rope_dimension_count(width)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_freq_base(float(str(theta or config.get("rope_theta") or 10_000.0)))
    writer.add_layer_norm_rms_eps(float(str(config["rms_norm_eps"])))
    writer.add_vocab_size(number("vocab_size"))


def _add_tokenizer(writer: GGUFWriter, folder: Path, size: int) -> None:
    """Adds the tokens, merges and chat template. Raises CannotStart for other kinds than BPE."""
    tokenizer = load_tokenizer(folder)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    if content["model"]["type"] != "BPE" or content["model"].get("byte_fallback"):
        raise CannotStart(
            "A GGUF can be written of tokenizers that merge pairs of bytes; this base has another."
            " Take it as merged weights; llama.cpp's convert_hf_to_gguf.py knows more kinds."
        )
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [TokenType.UNUSED] * size
    for token, number in content["model"]["vocab"].items():
        tokens[number], kinds[number] = token, TokenType.NORMAL
    for added in content["added_tokens"]:
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], kind
    merges = content["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(content["pre_tokenizer"]))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    )
    for role in ("bos", "eos", "unk", "pad"):
        number = getattr(tokenizer, f"{role}_token_id")
        if number is not None:
            getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(bool(getattr(tokenizer, "add_bos_token", False)))
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template)


def _pre_tokenizer(content: Mapping[str, object]) -> str:
    """Returns llama.cpp's name of the pre-tokenizer. Raises CannotStart."""
    parts = content.get("pretokenizers", [content])
    assert isinstance(parts, list)
    kinds = [part["type"] for part in parts]
    if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"]:
        return "smollm"
    if kinds == ["ByteLevel"] and parts[0]["use_regex"]:
        return "gpt-2"
    expression = str(parts[0].get("pattern", {}).get("Regex"))
    if kinds == ["Split", "ByteLevel"] and expression in _PRE_TOKENIZERS:
        return _PRE_TOKENIZERS[expression]
    raise CannotStart(
        "This base splits text in a way for which no GGUF is written here. Take it as whole"
        " weights; llama.cpp's convert_hf_to_gguf.py knows more ways."
    )


def _tensors(file: Path, config: Config, family: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yields the tensors of a safetensors file in float32 with llama.cpp's names and order."""
    heads = int(str(config["num_attention_heads"]))
    groups = {"attn_q": heads, "attn_k": int(str(config.get("num_key_value_heads") or heads))}
    is_tied = bool(config.get("tie_word_embeddings"))
    with safe_open(file, "pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - it is no dictionary
            gguf_name = _name(name)
            if gguf_name == "output.weight" and is_tied:
                continue
            values = weights.get_tensor(name).float()
            count = groups.get(gguf_name.split(".")[-2])
            yield (
                gguf_name,
                _halves_to_interleaved(values, count) if count and family == "llama" else values,
            )


def _name(name: str) -> str:
    """Returns llama.cpp's name of a tensor. Raises CannotStart for unknown tensors."""
    if name in _GGUF_OUTSIDE:
        return _GGUF_OUTSIDE[name]
    part, _, kind = name.removeprefix("model.layers.").rpartition(".")
    layer, _, layer_name = part.partition(".")
    if layer_name not in _GGUF_IN_LAYER or (kind != "weight" and layer_name not in _BIASES):
        raise CannotStart(f"This base has a tensor that no GGUF is written of here: {name}.")
    return f"blk.{layer}.{_GGUF_IN_LAYER[layer_name]}.{kind}"


def _halves_to_interleaved(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Returns rows in llama.cpp's order of heads, which rotates neighbours: `permute` there."""
    rows = len(values)
    halves = values.reshape(heads, 2, rows // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _add_tensor(writer: GGUFWriter, name: str, values: torch.Tensor, *, is_q8_0: bool) -> None:
    """Adds a tensor: vectors as F32; matrices as Q8_0 only if their rows are whole blocks."""
    data = values.numpy()
    if data.ndim == 1:
        writer.add_tensor(name, data)
    elif is_q8_0 and data.shape[1] % 32 == 0:
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quantize(data, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, data.astype(np.float16))
