"""One answer under way: which token comes next, which text that is, and when it is enough."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from tuner.engine import Delta, Sampling, TokenLogprob
from tuner.local.constraints import Matcher
from tuner.local.generation_defaults import SamplingParameters
from tuner.tool_calls import MARKS, calls_in

LIKELY = 1024
LEAST_LOGPROB = -9999.0
"""What the protocol says of a token that was next to impossible."""
REASONING, ANSWER = "<think>", "</think>"
LONGEST_BLOCK, FEWEST_REPEATS, FEWEST_REPEATED = 64, 4, 48


@dataclass(slots=True, eq=False)
class Reply:
    """A row of a batch. `tell` is called with each piece, by the thread that computes.

    `opener` is a part of the answer that stands in the prompt already, as the start of a call.
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
    on_delta: Callable[["Reply", Delta | BaseException], None]
    matcher: Matcher | None = None
    opener: str = ""
    has_parallel_calls: bool = True
    is_dropped: bool = False
    generated_count: int = 0
    _text: str = ""
    _told: int = 0
    _logprobs: list[TokenLogprob] = field(default_factory=list)
    _said: list[int] = field(default_factory=list)
    _is_reasoning: bool | None = None
    _has_reasoned: bool = False
    _counts: Counter[int] = field(default_factory=Counter)
    _chance: random.Random = field(default_factory=random.Random)
    _stream: DecodeStream = field(default_factory=lambda: DecodeStream(skip_special_tokens=True))

    def __post_init__(self) -> None:
        seed = self.sampling.seed
        if seed is not None:
            self._chance.seed(seed + self.choice)
        self._text = self.opener
        # Some families mark a call by special tokens.
        self._stream = DecodeStream(skip_special_tokens=not self.may_call)
        before = self.tokenizer.decode(list(self.prompt[-8:]), skip_special_tokens=False)
        if self.opener or self.matcher is not None:
            self._is_reasoning = False
        elif before.rstrip().endswith(REASONING):
            self._is_reasoning = True

    @property
    def is_greedy(self) -> bool:
        return self.sampling_parameters.temperature == 0

    @property
    def has_penalty(self) -> bool:
        wanted = self.sampling
        is_penalised = self.sampling_parameters.repetition_penalty != 1
        return bool(wanted.presence_penalty or wanted.frequency_penalty or is_penalised)

    def penalise(self, scores: torch.Tensor) -> None:
        """Lower what has been said, in place, as transformers' and OpenAI's formulas have it."""
        if (penalty := self.sampling_parameters.repetition_penalty) != 1:
            seen = torch.tensor(sorted({*self.prompt, *self._counts}), device=scores.device)
            one = scores[seen]
            scores[seen] = torch.where(one < 0, one * penalty, one / penalty)
        if not self._counts:
            return
        said = torch.tensor(list(self._counts), device=scores.device)
        times = torch.tensor(list(self._counts.values()), device=scores.device, dtype=scores.dtype)
        wanted = self.sampling
        scores[said] -= wanted.presence_penalty + wanted.frequency_penalty * times

    def draw_token(self, scores: torch.Tensor) -> int:
        """By chance, as hot as was asked; of what is likely enough."""
        likely = torch.softmax(scores.float() / self.sampling_parameters.temperature, dim=-1)
        point, top_p, top_k = (
            self._chance.random(),
            self.sampling_parameters.top_p,
            self.sampling_parameters.top_k,
        )
        if top_p >= 1 and not top_k:
            at = torch.searchsorted(likely.cumsum(0), point * float(likely.sum()))
            return min(int(at), len(likely) - 1)
        best, places = likely.topk(min(top_k or LIKELY, len(likely)))
        sums = best.cumsum(0)
        whole = float(sums[-1]) if top_k else 1.0
        kept = int((sums - best < top_p * whole).sum())
        at = torch.searchsorted(sums[:kept], point * float(sums[kept - 1]))
        return int(places[min(int(at), kept - 1)])

    def note_logprobs(self, token: int, logs: torch.Tensor) -> None:
        """How likely the token was, and which were likeliest; an end of a turn is no text."""
        if token in self.stop_token_ids:
            return
        best = logs.topk(self.sampling.top_logprobs or 0)
        top = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        shown = [(self._shown(each), max(log, LEAST_LOGPROB)) for each, log in top]
        likely = max(float(logs[token]), LEAST_LOGPROB)
        self._logprobs.append(TokenLogprob(self._shown(token), likely, shown))

    def _shown(self, token: int) -> str:
        return str(self.tokenizer.decode([token], skip_special_tokens=False))

    def add_token(self, token: int) -> bool:
        """The next token; whether it was the last one."""
        self.generated_count += 1
        self._counts[token] += 1
        self._said.append(token)
        if token in self.stop_token_ids:
            return self._end("stop")
        if self.matcher is not None:
            self.matcher.add_token(token)
        self._text += self._stream.step(self.tokenizer, token) or ""
        self._part()
        if self._is_reasoning is not False:
            return self._is_over() and self._end("length")
        found = [at for stop in self.sampling.stops if (at := self._text.find(stop)) >= 0]
        if found:
            self._text = self._text[: min(found)]
            return self._end("stop")
        return self._go_on()

    def _go_on(self) -> bool:
        if self.matcher is not None and self.matcher.must_end:
            return self._end("stop")
        if self._is_over():
            return self._end("length")
        self._say(self._safe())
        return False

    def _is_over(self) -> bool:
        """At the limit; or, where none was asked for, in a loop."""
        is_free = self.sampling.most_tokens is None
        return self.generated_count >= self.most_tokens or (
            is_free and ends_in_repetition(self._said)
        )

    def _part(self) -> None:
        """Tell what the model reasons before its answer, and keep the answer alone."""
        if self._is_reasoning is None:
            begun = self._text.lstrip()
            if begun.startswith(REASONING):
                self._is_reasoning, self._text = True, begun.removeprefix(REASONING)
            elif not REASONING.startswith(begun):
                self._is_reasoning = False
        if self._has_reasoned and not self._told:
            self._text = self._text.lstrip()
        if not self._is_reasoning:
            return
        at = self._text.find(ANSWER)
        upto = at if at >= 0 else len(self._text) - _overlap(self._text, ANSWER)
        said, rest = self._text[:upto], self._text[upto:]
        self._logprobs.clear()
        if said:
            self.on_delta(self, Delta(self.choice, reasoning=said))
        if at >= 0:
            self._is_reasoning, self._has_reasoned = False, True
            rest = rest.removeprefix(ANSWER).lstrip()
        self._text = rest

    def _safe(self) -> int:
        """How much of the text can no longer become part of a stop, or of a call."""
        marks = [*self.sampling.stops, *(MARKS if self.may_call else ())]
        if self.may_call:
            found = [at for mark in MARKS if (at := self._text.find(mark)) >= 0]
            if found or self._text.lstrip().startswith(("{", "<|python_tag|>")):
                return max(self._told, min(found, default=0))
        held = max((_overlap(self._text, mark) for mark in marks), default=0)
        return len(self._text) - held

    def _say(self, upto: int) -> None:
        if upto > self._told:
            said = self._text[self._told : upto]
            self._told = upto
            logprobs, self._logprobs = self._logprobs, []
            self.on_delta(self, Delta(self.choice, said, logprobs=logprobs))

    def _end(self, reason: str) -> bool:
        calls: Sequence[Mapping[str, object]] = ()
        if self._is_reasoning:
            self.on_delta(self, Delta(self.choice, reasoning=self._text))
            self._text = ""
        if self.may_call:
            self._text, calls = calls_in(self._text)
            calls = calls if self.has_parallel_calls else calls[:1]
        self._say(len(self._text))
        reason = "tool_calls" if calls else reason
        logs = self._logprobs
        self.on_delta(
            self, Delta(self.choice, "", self.generated_count, reason, calls, logprobs=logs)
        )
        return True


def sample_tokens(replies: Sequence[Reply], scores: torch.Tensor) -> list[int]:
    """The next token of each reply, given a row of scores for each."""
    # What the model thought, before it is bent to what was asked for.
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
            reply.note_logprobs(tokens[row], logs[row])
    return tokens


def _overlap(text: str, mark: str) -> int:
    """How long an end of the text is that begins the mark."""
    most = min(len(mark) - 1, len(text))
    return next((size for size in range(most, 0, -1) if text.endswith(mark[:size])), 0)


def ends_in_repetition(tokens: Sequence[int]) -> bool:
    """Whether the end is one block of tokens, said over and over."""
    for size in range(1, min(LONGEST_BLOCK, len(tokens) // FEWEST_REPEATS) + 1):
        length = max(FEWEST_REPEATS * size, FEWEST_REPEATED)
        tail = tokens[-length:]
        if len(tail) == length and tail[size:] == tail[:-size]:
            return True
    return False
