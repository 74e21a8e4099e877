"""Limits the next tokens of an answer to those that a JSON schema allows, with llguidance."""

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from tuner.errors import ApiError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from transformers import PreTrainedTokenizerBase

# With flexible white space a model may write spaces between two braces without end.
_JSON_STYLE = {"whitespace_flexible": False}


class JsonConstraints:
    """Makes matchers of JSON schemas for a tokenizer.

    The tokenizer's vocabulary is read at the first schema, which takes about a second.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", stop_token_ids: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._stop_token_ids = sorted(stop_token_ids)
        self._llg_tokenizer: LLTokenizer | None = None
        self._lock = threading.Lock()

    def matcher(self, schema: Mapping[str, object]) -> "SchemaMatcher":
        """Returns a matcher for a schema.

        Raises ApiError for a schema that llguidance cannot apply.
        """
        try:
            from llguidance import LLMatcher
            from llguidance.hf import from_tokenizer
        except ModuleNotFoundError as error:
            raise ApiError(
                "This server cannot hold answers to JSON: llguidance is not installed. Whoever runs"
                " it does so with: pip install 'attune-bot[local]'.",
                code="unsupported_parameter",
            ) from error
        with self._lock:
            if self._llg_tokenizer is None:
                self._llg_tokenizer = from_tokenizer(
                    self._tokenizer, eos_token=self._stop_token_ids
                )
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_JSON_STYLE)
            inner = LLMatcher(self._llg_tokenizer, grammar, log_level=0)
            reason = inner.get_error()
        except ValueError as error:
            reason = str(error)
        if reason:
            raise ApiError(
                f"Answers cannot be held to this JSON schema: {reason.splitlines()[0]}",
                param="response_format",
                code="invalid_value",
            )
        return SchemaMatcher(inner)


class SchemaMatcher:
    """The state of one answer in its schema."""

    def __init__(self, inner: "LLMatcher") -> None:
        self._inner = inner

    def mask(self, scores: torch.Tensor) -> None:
        """Sets the scores of all tokens that may not come next to -inf, in place."""
        allowed = torch.frombuffer(bytearray(self._inner.compute_logit_bias()), dtype=torch.uint8)
        size = min(len(allowed), len(scores))
        scores[:size].masked_fill_(allowed[:size].to(scores.device) == 0, float("-inf"))
        scores[size:] = float("-inf")

    def add_token(self, token: int) -> None:
        """Advances the state by a token."""
        self._inner.consume_token(token)

    @property
    def must_end(self) -> bool:
        """Whether the answer is complete, so that only an end token is allowed."""
        return bool(self._inner.is_stopped())


def call_schema(tools: Sequence[Mapping[str, object]], arguments: str) -> dict[str, object]:
    """Returns the schema of a call of one of these tools.

    `arguments` is the key for arguments in the model's template.
    """
    return {"anyOf": [_schema_of_call(tool.get("function"), arguments) for tool in tools]}


def _schema_of_call(function: object, arguments: str) -> dict[str, object]:
    """Returns the JSON schema of a call of a function."""
    definition = function if isinstance(function, Mapping) else {}
    return {
        "type": "object",
        "properties": {
            "name": {"const": definition.get("name")},
            arguments: definition.get("parameters") or {"type": "object"},
        },
        "required": ["name", arguments],
        "additionalProperties": False,
    }
