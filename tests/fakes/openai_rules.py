"""Checks of requests by the rules in OpenAI's published API description."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

Body = Mapping[str, object]
Rule = Callable[[object], bool]

ROLES = ("developer", "system", "user", "assistant", "tool", "function")


class RejectedError(ValueError):
    """A request that the real host would answer with 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param = message, param


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def between(low: float, high: float, *, whole: bool = False) -> Rule:
    kinds = int if whole else (int, float)

    def rule(value: object) -> bool:
        return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high

    return rule


def auto_or(rule: Rule) -> Rule:
    return lambda value: value == "auto" or rule(value)


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_stop(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return 1 <= len(texts) <= 4 and all(isinstance(text, str) for text in texts)


def is_metadata(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= 16
        and all(
            len(str(k)) <= 64 and isinstance(v, str) and len(v) <= 512 for k, v in value.items()
        )
    )


SUPERVISED: Mapping[str, Rule] = {
    "n_epochs": auto_or(between(1, 50, whole=True)),
    "batch_size": auto_or(between(1, 256, whole=True)),
    "learning_rate_multiplier": auto_or(between(1e-9, 1e9)),
}
METHODS: Mapping[str, Mapping[str, Rule]] = {
    "supervised": SUPERVISED,
    "dpo": {**SUPERVISED, "beta": auto_or(between(1e-9, 2))},
}
JOB: Mapping[str, Rule] = {
    "model": is_text,
    "training_file": is_text,
    "validation_file": is_text,
    "suffix": lambda value: isinstance(value, str) and 1 <= len(value) <= 64,
    "seed": between(0, 2_147_483_647, whole=True),
    "metadata": is_metadata,
    "method": lambda value: isinstance(value, dict),
    "hyperparameters": lambda value: isinstance(value, dict),
}
CHAT: Mapping[str, Rule] = {
    "model": is_text,
    "messages": lambda value: isinstance(value, list) and bool(value),
    "stream": is_flag,
    "stream_options": lambda value: isinstance(value, dict),
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "presence_penalty": between(-2, 2),
    "frequency_penalty": between(-2, 2),
    "max_tokens": between(1, 1e9, whole=True),
    "max_completion_tokens": between(1, 1e9, whole=True),
    "stop": is_stop,
    "seed": between(-(2**63), 2**63, whole=True),
    "user": is_text,
    "tools": lambda value: isinstance(value, list) and bool(value),
}


def check_job(body: Body, *, is_legacy: bool, settings: tuple[str, ...] = ()) -> None:
    """Checks a job creation.

    `is_legacy` hosts take hyperparameters at the top level and refuse `method`. `settings` are
    hyperparameters of the host's own, which are required.
    """
    check(body, JOB, required=("model", "training_file"))
    if is_legacy and "method" in body:
        raise RejectedError("Unknown parameter: 'method'.", "method")
    method = body.get("method", {"type": "supervised"})
    assert isinstance(method, dict)
    kind = str(method.get("type"))
    if kind not in METHODS:
        raise RejectedError(f"Invalid value: '{kind}'.", "method.type")
    check(method, {"type": is_text, kind: lambda value: isinstance(value, dict)})
    hyperparameters = method.get(kind, {}).get("hyperparameters", body.get("hyperparameters", {}))
    missing = [name for name in settings if name not in hyperparameters]
    if missing:
        raise RejectedError(f"Missing required parameter: '{missing[0]}'.", missing[0])
    openai_hyperparameters = {
        name: value for name, value in hyperparameters.items() if name not in settings
    }
    check(openai_hyperparameters, METHODS[kind], inside=f"method.{kind}.hyperparameters.")


def check_chat(body: Body) -> None:
    check(body, CHAT, required=("model", "messages"))
    if "stream_options" in body and body.get("stream") is not True:
        raise RejectedError(
            "'stream_options' is only allowed when 'stream' is on.", "stream_options"
        )
    messages = body["messages"]
    assert isinstance(messages, list)
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES or not isinstance(message.get("content"), str | list):
            raise RejectedError("Invalid message.", f"messages[{number}]")


def check_upload(purpose: object, name: str | None, content: bytes) -> None:
    if purpose != "fine-tune":
        raise RejectedError(f"'{purpose}' is not one of ['fine-tune'].", "purpose")
    if not name or not name.endswith(".jsonl"):
        raise RejectedError("Invalid file format: the name must end in .jsonl.", "file")
    for number, line in enumerate(content.splitlines(), start=1):
        if not _is_object(line):
            reason = "Expected file to have JSONL format, where every line is a JSON dictionary."
            raise RejectedError(f"{reason} Line {number} is not a dictionary.", "file")


def check(
    body: Body, rules: Mapping[str, Rule], *, required: tuple[str, ...] = (), inside: str = ""
) -> None:
    for name in required:
        if name not in body:
            raise RejectedError(f"Missing required parameter: '{inside}{name}'.", inside + name)
    for name, value in body.items():
        if name not in rules:
            raise RejectedError(f"Unknown parameter: '{inside}{name}'.", inside + name)
        if not rules[name](value):
            raise RejectedError(f"Invalid value for '{inside}{name}'.", inside + name)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8-sig")), dict)
    except ValueError:
        return False
