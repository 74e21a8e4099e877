"""Answers under way on one model, a token each per step; who comes joins between two steps."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel

from tuner.local.adapters import Adapter, AdapterBank
from tuner.local.replies import Reply, sample_tokens

MOST_ROWS = 32
CHUNK = 512
"""So many tokens of new prompts are read between two steps: the others' pause."""

Layers = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(slots=True)
class Rows:
    """Some replies, and what the model remembers of them; shorter ones are filled on the left."""

    replies: list[Reply]
    attention_mask: torch.Tensor
    cache: DynamicCache
    last: list[int]

    @property
    def layers(self) -> Layers:
        return [(layer.keys, layer.values) for layer in self.cache.layers]

    @property
    def length(self) -> int:
        return int(self.attention_mask.shape[1])

    def select(self, places: Sequence[int]) -> "Rows":
        """Only these rows, without columns that none of them has filled."""
        seen = self.attention_mask[places]
        first = int(seen.any(dim=0).int().argmax()) if len(places) else 0
        layers = [(k[places, :, first:], v[places, :, first:]) for k, v in self.layers]
        replies = [self.replies[n] for n in places]
        return Rows(replies, seen[:, first:], DynamicCache(layers), [self.last[n] for n in places])

    def joined(self, other: "Rows") -> "Rows":
        length = max(self.length, other.length)
        one, two = self._widened(length), other._widened(length)
        pairs = zip(one.layers, two.layers, strict=True)
        layers = [
            (torch.cat([k, other_k]), torch.cat([v, other_v]))
            for (k, v), (other_k, other_v) in pairs
        ]
        seen = torch.cat([one.attention_mask, two.attention_mask])
        replies, last = [*one.replies, *two.replies], [*one.last, *two.last]
        return Rows(replies, seen, DynamicCache(layers), last)

    def _widened(self, length: int) -> "Rows":
        more = length - self.length
        if not more:
            return self
        layers = [(pad(k, (0, 0, more, 0)), pad(v, (0, 0, more, 0))) for k, v in self.layers]
        return Rows(
            self.replies, pad(self.attention_mask, (more, 0)), DynamicCache(layers), self.last
        )


class Batch:
    """The rows of one model, and those that wait for a place or whose prompt is half read."""

    def __init__(self, model: PreTrainedModel, *, most_rows: int = MOST_ROWS) -> None:
        self._model = model
        self._bank = AdapterBank(model)
        self._adapters: dict[str, Adapter] = {}
        self._most_rows = most_rows
        self._rows: Rows | None = None
        self._half: tuple[Rows, list[int]] | None = None
        self._newcomers: list[Reply] = []
        self.waiting: deque[Reply] = deque()

    @property
    def is_idle(self) -> bool:
        return self._rows is None and self._half is None and not self.waiting

    @property
    def replies(self) -> list[Reply]:
        half = self._half[0].replies if self._half else []
        return [*(self._rows.replies if self._rows else []), *half, *self.waiting]

    def set_adapters(self, adapters: Mapping[str, Adapter]) -> None:
        """Those that replies may name from now on."""
        self._adapters = dict(adapters)

    def refuse_foreign(self, adapter: Adapter) -> None:
        """Raises ModelLoadFailed for an adapter that could not be served whole."""
        self._bank.refuse_foreign(adapter)

    @property
    def reference_tensor(self) -> torch.Tensor:
        """A tensor with the precision and place that adapters need."""
        return self._bank.like

    def prefill(self) -> None:
        """Read some of the prompts that wait; those read to their end say their first token."""
        self._newcomers = list(self._half[0].replies) if self._half else []
        with torch.inference_mode():
            self._drop_left()
            if self._half:
                self._prefill_chunk(*self._half)
            elif self.waiting and self._room:
                self._newcomers = self._group()
                self._begin(self._newcomers)

    def step(self) -> None:
        """Say one token of every answer."""
        if self._rows is not None:
            with torch.inference_mode():
                self._step(self._rows)

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """The mean of the base's last hidden states, of length 1."""
        with torch.inference_mode():
            self._bank.select([None], {})
            out = self._model(
                input_ids=self._tensor([tokens]),
                use_cache=False,
                output_hidden_states=True,
                logits_to_keep=1,
            )
            mean = out.hidden_states[-1][0].float().mean(dim=0)
            vector: list[float] = torch.nn.functional.normalize(mean, dim=0).tolist()
        return vector

    def drop_prefilling(self) -> list[Reply]:
        """After a failed `prefill`: those whose prompts it read; the others are as they were."""
        self._half = None
        return list(self._newcomers)

    def drop_newest(self) -> list[Reply]:
        """After a failed `step`: the newest answer; the others go on from where they were."""
        if self._rows is None:
            return []
        rows = self._rows
        # Some layers may have taken in the token that was not said.
        layers = [(k[:, :, : rows.length], v[:, :, : rows.length]) for k, v in rows.layers]
        last = len(rows.replies) - 1
        whole = Rows(rows.replies, rows.attention_mask, DynamicCache(layers), rows.last)
        self._keep(whole, range(last))
        return [rows.replies[last]]

    def clear(self) -> None:
        """After a failure: nothing of what was under way can go on."""
        self._rows = self._half = None
        self.waiting.clear()

    def _drop_left(self) -> None:
        self.waiting = deque(reply for reply in self.waiting if not reply.is_dropped)
        if self._half and self._half[0].replies[0].is_dropped:
            self._half = None
        if self._rows:
            stay = [n for n, reply in enumerate(self._rows.replies) if not reply.is_dropped]
            self._keep(self._rows, stay)

    def _keep(self, rows: Rows, places: Sequence[int]) -> None:
        if len(places) < len(rows.replies):
            self._rows = rows.select(places) if places else None

    def _begin(self, group: Sequence[Reply]) -> None:
        if len(group) == 1 and len(group[0].prompt) > CHUNK:
            self._prefill_chunk(self._none_of(group[0]), list(group[0].prompt))
        else:
            self._join(self._read(group))

    @property
    def _room(self) -> int:
        return self._most_rows - (len(self._rows.replies) if self._rows else 0)

    def _group(self) -> list[Reply]:
        """As many as can be read together in one go."""
        group: list[Reply] = []
        longest = 0
        while self.waiting and len(group) < self._room:
            longest = max(longest, len(self.waiting[0].prompt))
            if group and longest * (len(group) + 1) > CHUNK:
                break
            group.append(self.waiting.popleft())
        return group

    def _read(self, group: Sequence[Reply]) -> Rows:
        length = max(len(reply.prompt) for reply in group)
        tokens = [[0] * (length - len(reply.prompt)) + [*reply.prompt] for reply in group]
        seen = [[0] * (length - len(reply.prompt)) + [1] * len(reply.prompt) for reply in group]
        rows = Rows(list(group), self._tensor(seen), DynamicCache(), [])
        return self._forward(rows, self._tensor(tokens))

    def _none_of(self, reply: Reply) -> Rows:
        return Rows([reply], self._tensor([[]]), DynamicCache(), [])

    def _prefill_chunk(self, rows: Rows, left: list[int]) -> None:
        """A long prompt, a part at a time, while the others go on."""
        now, later = left[:CHUNK], left[CHUNK:]
        seen = torch.cat([rows.attention_mask, self._tensor([[1] * len(now)])], dim=1)
        rows = self._forward(Rows(rows.replies, seen, rows.cache, []), self._tensor([now]))
        self._half = (rows, later) if later else None
        if not later:
            self._join(rows)

    def _join(self, rows: Rows) -> None:
        """Their prompts have been read, and their first tokens are known."""
        places = self._told(rows)
        if places:
            new = rows.select(places)
            self._rows = new if self._rows is None else self._rows.joined(new)

    def _step(self, rows: Rows) -> None:
        seen = pad(rows.attention_mask, (0, 1), value=1)
        tokens = self._tensor([[token] for token in rows.last])
        self._rows = self._forward(Rows(rows.replies, seen, rows.cache, []), tokens)
        self._keep(self._rows, self._told(self._rows))

    def _told(self, rows: Rows) -> list[int]:
        """Hand every reply its token; the places of those that go on."""
        pairs = enumerate(zip(rows.replies, rows.last, strict=True))
        return [place for place, (reply, token) in pairs if not reply.add_token(token)]

    def _forward(self, rows: Rows, tokens: torch.Tensor) -> Rows:
        names = [str(reply.adapter) if reply.adapter else None for reply in rows.replies]
        self._bank.select(names, self._adapters)
        is_whole = bool(rows.attention_mask.all())
        # Without gaps the model counts the places by itself, which is quicker.
        places = None if is_whole else (rows.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        out = self._model(
            input_ids=tokens,
            attention_mask=None if is_whole else rows.attention_mask,
            position_ids=None if places is None else places[:, -tokens.shape[1] :],
            past_key_values=rows.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        last = sample_tokens(rows.replies, out.logits[:, -1])
        return Rows(rows.replies, rows.attention_mask, rows.cache, last)

    def _tensor(self, values: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._bank.like.device)
