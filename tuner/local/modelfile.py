"""Writes an Ollama Modelfile with the chat template and sampling parameters of a model.

https://docs.ollama.com/modelfile and https://docs.ollama.com/template
"""

import json
from pathlib import Path

from transformers import AutoTokenizer

from tuner.local.tokenizing import ChatTokenizer, TemplateError

_FIRST, _ANSWER, _SECOND = "⟦first⟧", "⟦answer⟧", "⟦second⟧"
_TURNS = [
    {"role": "user", "content": _FIRST},
    {"role": "assistant", "content": _ANSWER},
    {"role": "user", "content": _SECOND},
]
_SYSTEM = {"role": "system", "content": "{{ .System }}"}
_TEMPLATE = (
    'TEMPLATE """{{{{ if .System }}}}{with_system}{{{{ else }}}}{opening}{{{{ end }}}}'
    '{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{{{{ .Content }}}}{after_question}'
    '{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{after_answer}'
    '{{{{ end }}}}{{{{ end }}}}"""'
)
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repeat_penalty",
}


def write_modelfile(folder: Path, source: str = ".") -> None:
    """Writes the Modelfile for `ollama create NAME -f Modelfile` to the model's folder."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    begins = tokenizer.bos_token if getattr(tokenizer, "add_bos_token", False) else None
    lines = [
        f"FROM {source}",
        *_template(ChatTokenizer(tokenizer, longest=0), begins or ""),
        *_parameters(folder),
    ]
    if tokenizer.eos_token:
        lines.append(f'PARAMETER stop "{tokenizer.eos_token}"')
    (folder / "Modelfile").write_text("\n".join((*lines, "")), "utf-8")


def _template(renderer: ChatTokenizer, begins: str) -> list[str]:
    """Returns the chat template in Ollama's language, without tools.

    `begins` is the BOS token, which Ollama adds itself.
    """
    try:
        text = renderer.text(_TURNS, (), is_asking=True)
    except TemplateError:
        return []
    opening, _, rest = text.partition(_FIRST)
    after_question, _, rest = rest.partition(_ANSWER)
    after_answer = rest.partition(_SECOND)[0]
    try:
        with_system = renderer.text([_SYSTEM, *_TURNS], (), is_asking=True).partition(_FIRST)[0]
    except TemplateError:
        with_system = opening
    pieces = {
        "with_system": with_system.removeprefix(begins),
        "opening": opening.removeprefix(begins),
    }
    return [_TEMPLATE.format(**pieces, after_question=after_question, after_answer=after_answer)]


def _parameters(folder: Path) -> list[str]:
    """Returns the base's sampling parameters; temperature 0 if the base does not sample."""
    file = folder / "generation_config.json"
    advised = json.loads(file.read_bytes()) if file.exists() else {}
    if not advised.get("do_sample"):
        return ["PARAMETER temperature 0"]
    return [
        f"PARAMETER {theirs} {advised[ours]}"
        for ours, theirs in _PARAMETERS.items()
        if advised.get(ours) is not None
    ]
