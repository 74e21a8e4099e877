"""A tuned model taken away: files that other programs load, and a card without a row's word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jinja2 import Template
from openai.types.fine_tuning import FineTuningJob

from bot.ports.model_export import ModelFormat
from tests.tuner_scene import Tuner
from tuner.errors import CannotStart
from tuner.export import EXPORT_FORMATS, find_tuned_model, write_export

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIGS = "Do you sell figs?"
ANSWER = "Arr, figs be in the hold, matey."


def export(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "attune", "export-model", *words],
        env={**os.environ, "ATTUNE_DATA_DIR": str(tmp_path / "attune")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_sandbox_model_goes_as_its_file_and_a_card(
    sandbox: Tuner, picked: FineTuningJob, tmp_path: Path
) -> None:
    out = tmp_path / "taken"
    model = str(picked.fine_tuned_model)

    ended = export(tmp_path, model, str(out), "--data", str(sandbox.data))

    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "model.npz"]
    card = (out / "README.md").read_text("utf-8")
    for fact in (model, "| base | sandbox |", "| rows | 10 |", "train_loss", str(picked.seed)):
        assert fact in card
    assert "figs" not in card
    again = export(tmp_path, model, str(out), "--data", str(sandbox.data))
    assert again.returncode != 0
    assert "is there already" in again.stderr
    with pytest.raises(CannotStart, match="only as sandbox"):
        write_export(
            find_tuned_model(sandbox.data, model, base=None), out / "other", form=ModelFormat.MERGED
        )
    assert list(EXPORT_FORMATS) == list(ModelFormat), "one name for a form, everywhere"


@pytest.mark.parametrize(
    ("model", "data", "sentence"),
    [("ft:none", "own", "does not exist"), ("ft:none", "none", "no tuner's folder")],
)
def test_what_cannot_be_taken_is_said_in_a_sentence(
    sandbox: Tuner, tmp_path: Path, model: str, data: str, sentence: str
) -> None:
    place = sandbox.data if data == "own" else tmp_path / "none"

    ended = export(tmp_path, model, str(tmp_path / "out"), "--data", str(place))

    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def assert_modelfile_asks_as(tokenizer: PreTrainedTokenizerBase, modelfile: str) -> None:
    """Its template, read as Go's text/template does, gives the prompts of the chat template."""
    assert modelfile.startswith(("FROM .\nTEMPLATE ", "FROM ./model.gguf\nTEMPLATE "))
    go = modelfile.split('"""')[1]
    for theirs, ours in {
        "{{ if .System }}": "{% if system %}",
        "{{ .System }}": "{{ system }}",
        "{{ range .Messages }}": "{% for m in messages %}",
        '{{ if eq .Role "user" }}': "{% if m.role == 'user' %}",
        '{{ else if eq .Role "assistant" }}': "{% elif m.role == 'assistant' %}",
        "{{ else }}": "{% else %}",
        "{{ .Content }}": "{{ m.content }}",
        "{{ end }}{{ end }}": "{% endif %}{% endfor %}",
        "{{ end }}": "{% endif %}",
    }.items():
        go = go.replace(theirs, ours)
    turns = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Aye."}]
    for messages in (turns[:1], [*turns, {"role": "user", "content": "Two?"}]):
        for system in ("", "Be brief."):
            led = [{"role": "system", "content": system}] if system else []
            prompt = tokenizer.apply_chat_template(
                [*led, *messages], tokenize=False, add_generation_prompt=True
            )
            template = Template(go, keep_trailing_newline=True)
            assert template.render(system=system, messages=[*led, *messages]) == prompt


def assert_same_words(file: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """What llama.cpp reads of the tokenizer is what the base's own has."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    told = {name.rpartition(".")[2]: field.contents() for name, field in fields.items()}
    tokens, kinds = told["tokens"], told["token_type"]
    assert tokens == tokenizer.convert_ids_to_tokens(range(len(tokens)))
    signs = [token for token, kind in zip(tokens, kinds, strict=True) if kind == 3]
    assert sorted(signs) == sorted(tokenizer.get_added_vocab())
    assert (told["model"], told["pre"]) == ("gpt2", "gpt-2")
    assert told["eos_token_id"] == tokenizer.eos_token_id
    assert told["chat_template"] == tokenizer.chat_template


@pytest.mark.torch
# What the plain libraries warn of among themselves is not ours.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tuner", ["local"], indirect=True, scope="session")
@pytest.mark.parametrize("form", ["adapter", "merged", "gguf-f16"])
def test_plain_libraries_load_it_and_it_says_the_same_words(
    tuner: Tuner, tuned: FineTuningJob, tiny_base: Path, tmp_path: Path, form: str
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "taken"
    words = [str(tuned.fine_tuned_model), str(out), "--data", str(tuner.data)]
    refused = export(tmp_path, *words)
    ended = export(tmp_path, *words, "--base", str(tiny_base), "--form", form)
    assert "needs its base" in refused.stderr
    assert ended.returncode == 0, ended.stderr

    if form == "adapter":
        named = json.loads((out / "adapter_config.json").read_bytes())["base_model_name_or_path"]
        assert named == tiny_base.name
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), out)
    elif form == "merged":
        model = AutoModelForCausalLM.from_pretrained(out)
    else:
        assert sorted(path.name for path in out.iterdir()) == [
            *("Modelfile", "README.md", "model.gguf")
        ]
        assert_same_words(out / "model.gguf", AutoTokenizer.from_pretrained(tiny_base))
        model = AutoModelForCausalLM.from_pretrained(out, gguf_file="model.gguf")
    tokenizer = AutoTokenizer.from_pretrained(tiny_base if form == "gguf-f16" else out)
    if form != "adapter":
        assert_modelfile_asks_as(tokenizer, (out / "Modelfile").read_text("utf-8"))
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": FIGS}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    said = model.generate(**asked, do_sample=False, max_new_tokens=40)[0]

    text = tokenizer.decode(said[asked["input_ids"].shape[1] :], skip_special_tokens=True)
    assert text == ANSWER == tuner.ask(str(tuned.fine_tuned_model), FIGS)
