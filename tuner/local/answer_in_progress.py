"""One answer in progress: sampling of tokens, decoding to text, and the end of the answer."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from tuner.engine import Delta, Sampling, TokenLogprob
from tuner.local.generation_defaults import SamplingParameters
from tuner.local.json_constraints import SchemaMatcher
from tuner.tool_calls import CALL_MARKS, calls_in

MAX_SAMPLED_TOKENS = 1024
MIN_LOGPROB = -9999.0
"""The log probability that OpenAI's API has for very unlikely tokens."""
REASONING_OPENER, REASONING_END = "<think>", "</think>"
MAX_BLOCK_LENGTH, MIN_REPEATS, MIN_REPEATED = 64, 4, 48


@dataclass(slots=True, eq=False)
class AnswerInProgress:
    """An answer in progress, which is a row of a batch.

    `on_delta` is called with each delta in the computing thread. `opener` is the beginning of the
    answer if the prompt ends with it, such as the beginning of a tool call.
    """

    choice: int
    prompt: Sequence[int]
    sampling: Sampling
    sampling_parameters: SamplingParameters
    adapter: Path | None
    most_tokens: int
    stop_token_ids: frozenset[int]
    tokenizer: Tokenizer
    may_call: bool
    on_delta: Callable[["AnswerInProgress", Delta | BaseException], None]
    matcher: SchemaMatcher | None = None
    opener: str = ""
    has_parallel_calls: bool = True
    is_dropped: bool = False
    generated_count: int = 0
    _text: str = ""
    _sent_length: int = 0
    _logprobs: list[TokenLogprob] = field(default_factory=list)
    _generated: list[int] = field(default_factory=list)
    _is_reasoning: bool | None = None
    _has_reasoned: bool = False
    _counts: Counter[int] = field(default_factory=Counter)
    _random: random.Random = field(default_factory=random.Random)
    _stream: DecodeStream = field(default_factory=lambda: DecodeStream(skip_special_tokens=True))

    def __post_init__(self) -> None:
        seed = self.sampling.seed
        if seed is not None:
            self._random.seed(seed + self.choice)
        self._text = self.opener
        # Some families mark a call by special tokens.
        self._stream = DecodeStream(skip_special_tokens=not self.may_call)
        before = self.tokenizer.decode(list(self.prompt[-8:]), skip_special_tokens=False)
        if self.opener or self.matcher is not None:
            self._is_reasoning = False
        elif before.rstrip().endswith(REASONING_OPENER):
            self._is_reasoning = True

    @property
    def is_greedy(self) -> bool:
        return self.sampling_parameters.temperature == 0

    @property
    def has_penalty(self) -> bool:
        sampling = self.sampling
        is_penalised = self.sampling_parameters.repetition_penalty != 1
        return bool(sampling.presence_penalty or sampling.frequency_penalty or is_penalised)

    def penalise(self, scores: torch.Tensor) -> None:
        """Lowers earlier tokens' scores in place, by the formulas of Transformers and OpenAI."""
        if (penalty := self.sampling_parameters.repetition_penalty) != 1:
            seen = torch.tensor(sorted({*self.prompt, *self._counts}), device=scores.device)
            seen_scores = scores[seen]
            scores[seen] = torch.where(
                seen_scores < 0, seen_scores * penalty, seen_scores / penalty
            )
        if not self._counts:
            return
        generated = torch.tensor(list(self._counts), device=scores.device)
        counts = torch.tensor(list(self._counts.values()), device=scores.device, dtype=scores.dtype)
        sampling = self.sampling
        scores[generated] -= sampling.presence_penalty + sampling.frequency_penalty * counts

    def draw_token(self, scores: torch.Tensor) -> int:
        """Samples a token with temperature, top_p and top_k."""
        probabilities = torch.softmax(scores.float() / self.sampling_parameters.temperature, dim=-1)
        threshold, top_p, top_k = (
            self._random.random(),
            self.sampling_parameters.top_p,
            self.sampling_parameters.top_k,
        )
        if top_p >= 1 and not top_k:
            index = torch.searchsorted(
                probabilities.cumsum(0), threshold * float(probabilities.sum())
            )
            return min(int(index), len(probabilities) - 1)
        best, tokens = probabilities.topk(min(top_k or MAX_SAMPLED_TOKENS, len(probabilities)))
        sums = best.cumsum(0)
        total = float(sums[-1]) if top_k else 1.0
        count = int((sums - best < top_p * total).sum())
        index = torch.searchsorted(sums[:count], threshold * float(sums[count - 1]))
        return int(tokens[min(int(index), count - 1)])

    def record_logprobs(self, token: int, logs: torch.Tensor) -> None:
        """Stores the log probabilities of a token and of the most likely ones; skips end tokens."""
        if token in self.stop_token_ids:
            return
        best = logs.topk(self.sampling.top_logprobs or 0)
        top = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        alternatives = [
            (self._token_text(token_id), max(log, MIN_LOGPROB)) for token_id, log in top
        ]
        log_probability = max(float(logs[token]), MIN_LOGPROB)
        self._logprobs.append(TokenLogprob(self._token_text(token), log_probability, alternatives))

    def _token_text(self, token: int) -> str:
        return str(self.tokenizer.decode([token], skip_special_tokens=False))

    def add_token(self, token: int) -> bool:
        """Adds a token; returns whether the answer has ended."""
        self.generated_count += 1
        self._counts[token] += 1
        self._generated.append(token)
        if token in self.stop_token_ids:
            return self._end("stop")
        if self.matcher is not None:
            self.matcher.add_token(token)
        self._text += self._stream.step(self.tokenizer, token) or ""
        self._split_reasoning()
        if self._is_reasoning is not False:
            return self._is_over() and self._end("length")
        positions = [
            position for stop in self.sampling.stops if (position := self._text.find(stop)) >= 0
        ]
        if positions:
            self._text = self._text[: min(positions)]
            return self._end("stop")
        return self._continue()

    def _continue(self) -> bool:
        if self.matcher is not None and self.matcher.must_end:
            return self._end("stop")
        if self._is_over():
            return self._end("length")
        self._send(self._safe_length())
        return False

    def _is_over(self) -> bool:
        """Whether the answer reached its limit, or repeats itself and the request has no limit."""
        is_free = self.sampling.most_tokens is None
        return self.generated_count >= self.most_tokens or (
            is_free and ends_in_repetition(self._generated)
        )

    def _split_reasoning(self) -> None:
        """Sends the reasoning before the answer, and keeps the answer as text."""
        if self._is_reasoning is None:
            start = self._text.lstrip()
            if start.startswith(REASONING_OPENER):
                self._is_reasoning, self._text = True, start.removeprefix(REASONING_OPENER)
            elif not REASONING_OPENER.startswith(start):
                self._is_reasoning = False
        if self._has_reasoned and not self._sent_length:
            self._text = self._text.lstrip()
        if not self._is_reasoning:
            return
        position = self._text.find(REASONING_END)
        end = position if position >= 0 else len(self._text) - _overlap(self._text, REASONING_END)
        reasoning, rest = self._text[:end], self._text[end:]
        self._logprobs.clear()
        if reasoning:
            self.on_delta(self, Delta(self.choice, reasoning=reasoning))
        if position >= 0:
            self._is_reasoning, self._has_reasoned = False, True
            rest = rest.removeprefix(REASONING_END).lstrip()
        self._text = rest

    def _safe_length(self) -> int:
        """Returns the length of the text that cannot become a stop sequence or a tool call."""
        marks = [*self.sampling.stops, *(CALL_MARKS if self.may_call else ())]
        if self.may_call:
            positions = [
                position for mark in CALL_MARKS if (position := self._text.find(mark)) >= 0
            ]
            if positions or self._text.lstrip().startswith(("{", "<|python_tag|>")):
                return max(self._sent_length, min(positions, default=0))
        held_back = max((_overlap(self._text, mark) for mark in marks), default=0)
        return len(self._text) - held_back

    def _send(self, end: int) -> None:
        if end > self._sent_length:
            text = self._text[self._sent_length : end]
            self._sent_length = end
            logprobs, self._logprobs = self._logprobs, []
            self.on_delta(self, Delta(self.choice, text, logprobs=logprobs))

    def _end(self, reason: str) -> bool:
        """Sends the rest of the answer with its finish reason and tool calls; returns True."""
        calls: Sequence[Mapping[str, object]] = ()
        if self._is_reasoning:
            self.on_delta(self, Delta(self.choice, reasoning=self._text))
            self._text = ""
        if self.may_call:
            self._text, calls = calls_in(self._text)
            calls = calls if self.has_parallel_calls else calls[:1]
        self._send(len(self._text))
        reason = "tool_calls" if calls else reason
        logs = self._logprobs
        self.on_delta(
            self, Delta(self.choice, "", self.generated_count, reason, calls, logprobs=logs)
        )
        return True


def sample_tokens(replies: Sequence[AnswerInProgress], scores: torch.Tensor) -> list[int]:
    """Returns the next token of each reply; `scores` has a row for each reply."""
    # Log probabilities are those of the model, before penalties and constraints.
    logs = {
        row: torch.log_softmax(scores[row].float(), dim=-1)
        for row, reply in enumerate(replies)
        if reply.sampling.top_logprobs is not None
    }
    for row, reply in enumerate(replies):
        if reply.has_penalty:
            reply.penalise(scores[row])
        if reply.matcher is not None:
            reply.matcher.mask(scores[row])
    tokens: list[int] = scores.argmax(dim=-1).tolist()
    for row, reply in enumerate(replies):
        if not reply.is_greedy:
            tokens[row] = reply.draw_token(scores[row])
        if row in logs:
            reply.record_logprobs(tokens[row], logs[row])
    return tokens


def _overlap(text: str, mark: str) -> int:
    """Returns the length of the longest suffix of the text that is a prefix of the mark."""
    most = min(len(mark) - 1, len(text))
    return next((size for size in range(most, 0, -1) if text.endswith(mark[:size])), 0)


def ends_in_repetition(tokens: Sequence[int]) -> bool:
    """Whether the tokens end with a block that is repeated several times."""
    for size in range(1, min(MAX_BLOCK_LENGTH, len(tokens) // MIN_REPEATS) + 1):
        length = max(MIN_REPEATS * size, MIN_REPEATED)
        tail = tokens[-length:]
        if len(tail) == length and tail[size:] == tail[:-size]:
            return True
    return False
