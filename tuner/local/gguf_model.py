"""Writes a GGUF of the Llama family as the folder that Transformers loads: safetensors, no code.

GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
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
"""The type of a token that is a sign and no text, in `tokenizer.ggml.token_type`."""
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
IN_LAYER = {
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


def convert(source: Path, folder: Path, *, sampling: Mapping[str, object]) -> None:
    """Fill this empty folder; `sampling` is what the model's authors advise for answers.

    Weights are written in bfloat16, which is what such models were trained in; what a CPU without
    it computes in is decided when they are loaded. Raises CannotStart for another family.
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
    """Raises CannotStart where the file has no such field."""
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
        # A float32 in the file; its digits past the seventh are noise.
        "rms_norm_eps": float(
            f"{_read(reader, 'llama.attention.layer_norm_rms_epsilon', float):.6g}"
        ),
        "rope_theta": rope,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope},
        "tie_word_embeddings": all(each.name != "output.weight" for each in reader.tensors),
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
    """What Transformers calls a tensor. Raises CannotStart for one that it has not."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    block, _, rest = name.partition(".")
    layer, _, part = rest.partition(".")
    known = IN_LAYER.get(part.removesuffix(".weight"))
    if block != "blk" or known is None:
        raise CannotStart(f"This GGUF has a tensor that is not known here: {name}.")
    return f"model.layers.{layer}.{known}.weight"


def _heads(name: str, config: Mapping[str, object]) -> int:
    """How many heads the rows of this tensor belong to; 0 where rows are in no head's order."""
    if name.endswith("attn_q.weight"):
        return int(str(config["num_attention_heads"]))
    if name.endswith("attn_k.weight"):
        return int(str(config["num_key_value_heads"]))
    return 0


def _weight(tensor: ReaderTensor, *, heads: int) -> torch.Tensor:
    """float32 from the blocks, (out, in), then bfloat16."""
    values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    if heads:
        values = _in_halves(values, heads)
    return torch.from_numpy(np.ascontiguousarray(values)).to(torch.bfloat16)


def _in_halves(values: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp turns neighbouring rows of a head, Transformers its two halves.

    The order is that of `LlamaModel.permute` in llama.cpp's convert_hf_to_gguf.py, undone.
    """
    rows, width = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(rows, width)


def _tokenizer(reader: GGUFReader) -> Tokenizer:
    """Byte-level BPE that reads every digit by itself, as `smollm` does in llama.cpp."""
    tokens = _read(reader, "tokenizer.ggml.tokens", list)
    kinds = _read(reader, "tokenizer.ggml.token_type", list)
    merges = _read(reader, "tokenizer.ggml.merges", list)
    built = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ", 1)) for merge in merges],
        )
    )
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    signs = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    built.add_special_tokens([AddedToken(sign, normalized=False) for sign in signs])
    return built


def _tokenizer_config(reader: GGUFReader) -> dict[str, object]:
    """The class that takes tokenizer.json as it is: those of a family build their own splitting."""
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
    """`python -m tuner.local.gguf_model FILE.gguf DIR SAMPLING`, the last one as JSON."""
    source, folder, sampling = sys.argv[1:]
    try:
        convert(Path(source), Path(folder), sampling=json.loads(sampling))
    except CannotStart as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
