"""Converts a GGUF file of the Llama family to a folder that Transformers loads.

The folder has safetensors and no code. GGUF:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from gguf import GGUFReader, ReaderTensor, dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tuner.errors import CannotStart

Value = TypeVar("Value")

_CONTROL = 3
"""The type of control tokens in `tokenizer.ggml.token_type`."""
TENSORS_OUTSIDE_LAYERS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
TENSORS_OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert_gguf(source: Path, folder: Path, *, sampling: Mapping[str, object]) -> None:
    """Writes the files of the model to an empty folder.

    `sampling` are the authors' recommended sampling parameters. Weights are written in bfloat16, in
    which such models were trained; the dtype for computing is chosen at loading. Raises CannotStart
    for other families.
    """
    reader = GGUFReader(source)
    if (family := _read(reader, "general.architecture", str)) != "llama":
        raise CannotStart(f"{source.name} is of the family {family}; only llama is converted.")
    if (splitting := _read(reader, "tokenizer.ggml.pre", str)) != "smollm":
        raise CannotStart(f"{source.name} splits text in a way not known here: {splitting}.")
    config = _config(reader)
    weights = {
        _name(tensor.name): _weight(tensor, heads=_heads(tensor.name, config))
        for tensor in reader.tensors
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(reader).save(str(folder / "tokenizer.json"))
    _write(folder / "config.json", config)
    _write(folder / "generation_config.json", {**_special_ids(reader), **sampling})
    _write(folder / "tokenizer_config.json", _tokenizer_config(reader))
    template = _read(reader, "tokenizer.chat_template", str)
    (folder / "chat_template.jinja").write_text(template, "utf-8")


def _read(reader: GGUFReader, name: str, kind: type[Value]) -> Value:
    """Returns a field. Raises CannotStart if the file has no such field of this type."""
    field = reader.fields.get(name)
    value = field.contents() if field is not None else None
    if not isinstance(value, kind):
        raise CannotStart(f"This GGUF has no {name}.")
    return value


def _config(reader: GGUFReader) -> dict[str, object]:
    heads = _read(reader, "llama.attention.head_count", int)
    rope = float(_read(reader, "llama.rope.freq_base", float))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": _read(reader, "llama.embedding_length", int),
        "intermediate_size": _read(reader, "llama.feed_forward_length", int),
        "max_position_embeddings": _read(reader, "llama.context_length", int),
        "num_attention_heads": heads,
        "num_hidden_layers": _read(reader, "llama.block_count", int),
        "num_key_value_heads": _read(reader, "llama.attention.head_count_kv", int),
        "head_dim": _read(reader, "llama.rope.dimension_count", int),
        # The file has a float32, whose digits after the seventh are noise.
        "rms_norm_eps": float(
            f"{_read(reader, 'llama.attention.layer_norm_rms_epsilon', float):.6g}"
        ),
        "rope_theta": rope,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope},
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in reader.tensors),
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "bfloat16",
        "vocab_size": len(_read(reader, "tokenizer.ggml.tokens", list)),
        **_special_ids(reader),
    }


def _special_ids(reader: GGUFReader) -> dict[str, object]:
    return {
        "bos_token_id": _read(reader, "tokenizer.ggml.bos_token_id", int),
        "eos_token_id": _read(reader, "tokenizer.ggml.eos_token_id", int),
        "pad_token_id": _read(reader, "tokenizer.ggml.padding_token_id", int),
    }


def _name(name: str) -> str:
    """Returns Transformers' name of a tensor. Raises CannotStart for unknown tensors."""
    if name in TENSORS_OUTSIDE_LAYERS:
        return TENSORS_OUTSIDE_LAYERS[name]
    block, _, rest = name.partition(".")
    layer, _, part = rest.partition(".")
    layer_name = TENSORS_OF_LAYER.get(part.removesuffix(".weight"))
    if block != "blk" or layer_name is None:
        raise CannotStart(f"This GGUF has a tensor that is not known here: {name}.")
    return f"model.layers.{layer}.{layer_name}.weight"


def _heads(name: str, config: Mapping[str, object]) -> int:
    """Returns the number of heads whose rows have to be reordered, 0 for other tensors."""
    if name.endswith("attn_q.weight"):
        return int(str(config["num_attention_heads"]))
    if name.endswith("attn_k.weight"):
        return int(str(config["num_key_value_heads"]))
    return 0


def _weight(tensor: ReaderTensor, *, heads: int) -> torch.Tensor:
    """Returns a tensor in bfloat16, dequantised to float32 first, of shape (out, in)."""
    values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    if heads:
        values = _interleaved_to_halves(values, heads)
    return torch.from_numpy(np.ascontiguousarray(values)).to(torch.bfloat16)


def _interleaved_to_halves(values: np.ndarray, heads: int) -> np.ndarray:
    """Returns the rows of each head in Transformers' order.

    llama.cpp rotates neighbouring rows of a head, Transformers its two halves. This reverses
    `LlamaModel.permute` in llama.cpp's convert_hf_to_gguf.py.
    """
    rows, width = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(rows, width)


def _tokenizer(reader: GGUFReader) -> Tokenizer:
    """Returns a byte-level BPE tokenizer that splits digits, as `smollm` does in llama.cpp."""
    tokens = _read(reader, "tokenizer.ggml.tokens", list)
    kinds = _read(reader, "tokenizer.ggml.token_type", list)
    merges = _read(reader, "tokenizer.ggml.merges", list)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ", 1)) for merge in merges],
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control_tokens = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in control_tokens])
    return tokenizer


def _tokenizer_config(reader: GGUFReader) -> dict[str, object]:
    """Returns the config of a class that uses tokenizer.json unchanged.

    The classes of model families replace the pre-tokenizer.
    """
    tokens = _read(reader, "tokenizer.ggml.tokens", list)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": _read(reader, "llama.context_length", int),
        "clean_up_tokenization_spaces": False,
        "bos_token": tokens[_read(reader, "tokenizer.ggml.bos_token_id", int)],
        "eos_token": tokens[_read(reader, "tokenizer.ggml.eos_token_id", int)],
        "unk_token": tokens[_read(reader, "tokenizer.ggml.unknown_token_id", int)],
        "pad_token": tokens[_read(reader, "tokenizer.ggml.padding_token_id", int)],
    }


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def main() -> None:
    """Runs `python -m tuner.local.gguf_reader FILE.gguf DIR SAMPLING`, with SAMPLING as JSON."""
    source, folder, sampling = sys.argv[1:]
    try:
        convert_gguf(Path(source), Path(folder), sampling=json.loads(sampling))
    except CannotStart as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
