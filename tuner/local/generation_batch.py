"""Generates the answers of one model as a batch, which answers join between two steps."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel

from tuner.local.answer_in_progress import AnswerInProgress, sample_tokens
from tuner.local.lora_adapters import Adapter, AdapterBank

MAX_BATCH_ROWS = 32
PREFILL_CHUNK_TOKENS = 512
"""Maximum number of prompt tokens read between two steps, which limits the others' pause."""

Layers = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(slots=True)
class BatchRows:
    """Some replies with their KV cache; shorter rows are padded on the left."""

    replies: list[AnswerInProgress]
    attention_mask: torch.Tensor
    cache: DynamicCache
    last: list[int]

    @property
    def layers(self) -> Layers:
        return [(layer.keys, layer.values) for layer in self.cache.layers]

    @property
    def length(self) -> int:
        return int(self.attention_mask.shape[1])

    def select(self, indices: Sequence[int]) -> "BatchRows":
        """Returns the rows with these indices, without columns that are padding in all of them."""
        mask = self.attention_mask[indices]
        first = int(mask.any(dim=0).int().argmax()) if len(indices) else 0
        layers = [(k[indices, :, first:], v[indices, :, first:]) for k, v in self.layers]
        replies = [self.replies[n] for n in indices]
        return BatchRows(
            replies, mask[:, first:], DynamicCache(layers), [self.last[n] for n in indices]
        )

    def joined(self, other: "BatchRows") -> "BatchRows":
        """Returns both sets of rows as one."""
        length = max(self.length, other.length)
        first, second = self._padded(length), other._padded(length)
        pairs = zip(first.layers, second.layers, strict=True)
        layers = [
            (torch.cat([k, other_k]), torch.cat([v, other_v]))
            for (k, v), (other_k, other_v) in pairs
        ]
        mask = torch.cat([first.attention_mask, second.attention_mask])
        replies, last = [*first.replies, *second.replies], [*first.last, *second.last]
        return BatchRows(replies, mask, DynamicCache(layers), last)

    def _padded(self, length: int) -> "BatchRows":
        missing = length - self.length
        if not missing:
            return self
        layers = [(pad(k, (0, 0, missing, 0)), pad(v, (0, 0, missing, 0))) for k, v in self.layers]
        return BatchRows(
            self.replies, pad(self.attention_mask, (missing, 0)), DynamicCache(layers), self.last
        )


class GenerationBatch:
    """The rows of one model, the replies that wait for a row, and the prompt that is being read."""

    def __init__(self, model: PreTrainedModel, *, most_rows: int = MAX_BATCH_ROWS) -> None:
        self._model = model
        self._bank = AdapterBank(model)
        self._adapters: dict[str, Adapter] = {}
        self._most_rows = most_rows
        self._rows: BatchRows | None = None
        self._prefilling: tuple[BatchRows, list[int]] | None = None
        self._last_read: list[AnswerInProgress] = []
        self.waiting: deque[AnswerInProgress] = deque()

    @property
    def is_idle(self) -> bool:
        return self._rows is None and self._prefilling is None and not self.waiting

    @property
    def replies(self) -> list[AnswerInProgress]:
        prefilling = self._prefilling[0].replies if self._prefilling else []
        return [*(self._rows.replies if self._rows else []), *prefilling, *self.waiting]

    def set_adapters(self, adapters: Mapping[str, Adapter]) -> None:
        """Replaces the adapters that replies may name."""
        self._adapters = dict(adapters)

    def refuse_foreign(self, adapter: Adapter) -> None:
        """Raises ModelLoadFailed for an adapter that cannot be applied completely."""
        self._bank.refuse_foreign(adapter)

    @property
    def reference_tensor(self) -> torch.Tensor:
        """A tensor with the dtype and device that adapters need."""
        return self._bank.like

    def prefill(self) -> None:
        """Reads some of the waiting prompts; generates the first token after a complete prompt."""
        self._last_read = list(self._prefilling[0].replies) if self._prefilling else []
        with torch.inference_mode():
            self._remove_dropped()
            if self._prefilling:
                self._prefill_chunk(*self._prefilling)
            elif self.waiting and self._free_rows:
                self._last_read = self._group()
                self._begin(self._last_read)

    def step(self) -> None:
        """Generates one token of every answer."""
        if self._rows is not None:
            with torch.inference_mode():
                self._step(self._rows)

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """Returns the mean of the base's last hidden states, normalised to length 1."""
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

    def drop_prefilling(self) -> list[AnswerInProgress]:
        """Removes and returns the replies whose prompts a failed `prefill` was reading."""
        self._prefilling = None
        return list(self._last_read)

    def drop_newest(self) -> list[AnswerInProgress]:
        """Removes and returns the newest answer after a failed `step`; the others can continue."""
        if self._rows is None:
            return []
        rows = self._rows
        # Some layers may have cached the token that was not generated.
        layers = [(k[:, :, : rows.length], v[:, :, : rows.length]) for k, v in rows.layers]
        last = len(rows.replies) - 1
        trimmed = BatchRows(rows.replies, rows.attention_mask, DynamicCache(layers), rows.last)
        self._keep_rows(trimmed, range(last))
        return [rows.replies[last]]

    def clear(self) -> None:
        """Removes all replies after a failure."""
        self._rows = self._prefilling = None
        self.waiting.clear()

    def _remove_dropped(self) -> None:
        self.waiting = deque(reply for reply in self.waiting if not reply.is_dropped)
        if self._prefilling and self._prefilling[0].replies[0].is_dropped:
            self._prefilling = None
        if self._rows:
            remaining = [n for n, reply in enumerate(self._rows.replies) if not reply.is_dropped]
            self._keep_rows(self._rows, remaining)

    def _keep_rows(self, rows: BatchRows, indices: Sequence[int]) -> None:
        if len(indices) < len(rows.replies):
            self._rows = rows.select(indices) if indices else None

    def _begin(self, group: Sequence[AnswerInProgress]) -> None:
        if len(group) == 1 and len(group[0].prompt) > PREFILL_CHUNK_TOKENS:
            self._prefill_chunk(self._empty_rows(group[0]), list(group[0].prompt))
        else:
            self._join(self._read(group))

    @property
    def _free_rows(self) -> int:
        return self._most_rows - (len(self._rows.replies) if self._rows else 0)

    def _group(self) -> list[AnswerInProgress]:
        """Removes and returns as many waiting replies as can be read in one forward pass."""
        group: list[AnswerInProgress] = []
        longest = 0
        while self.waiting and len(group) < self._free_rows:
            longest = max(longest, len(self.waiting[0].prompt))
            if group and longest * (len(group) + 1) > PREFILL_CHUNK_TOKENS:
                break
            group.append(self.waiting.popleft())
        return group

    def _read(self, group: Sequence[AnswerInProgress]) -> BatchRows:
        length = max(len(reply.prompt) for reply in group)
        tokens = [[0] * (length - len(reply.prompt)) + [*reply.prompt] for reply in group]
        mask = [[0] * (length - len(reply.prompt)) + [1] * len(reply.prompt) for reply in group]
        rows = BatchRows(list(group), self._tensor(mask), DynamicCache(), [])
        return self._forward(rows, self._tensor(tokens))

    def _empty_rows(self, reply: AnswerInProgress) -> BatchRows:
        return BatchRows([reply], self._tensor([[]]), DynamicCache(), [])

    def _prefill_chunk(self, rows: BatchRows, remaining: list[int]) -> None:
        """Reads a part of a long prompt, so that other answers can take a step afterwards."""
        chunk, rest = remaining[:PREFILL_CHUNK_TOKENS], remaining[PREFILL_CHUNK_TOKENS:]
        mask = torch.cat([rows.attention_mask, self._tensor([[1] * len(chunk)])], dim=1)
        rows = self._forward(BatchRows(rows.replies, mask, rows.cache, []), self._tensor([chunk]))
        self._prefilling = (rows, rest) if rest else None
        if not rest:
            self._join(rows)

    def _join(self, rows: BatchRows) -> None:
        """Adds rows whose prompts have been read and whose first tokens are generated."""
        indices = self._pass_tokens(rows)
        if indices:
            new = rows.select(indices)
            self._rows = new if self._rows is None else self._rows.joined(new)

    def _step(self, rows: BatchRows) -> None:
        mask = pad(rows.attention_mask, (0, 1), value=1)
        tokens = self._tensor([[token] for token in rows.last])
        self._rows = self._forward(BatchRows(rows.replies, mask, rows.cache, []), tokens)
        self._keep_rows(self._rows, self._pass_tokens(self._rows))

    def _pass_tokens(self, rows: BatchRows) -> list[int]:
        """Adds each reply's token; returns the indices of the replies that have not ended."""
        pairs = enumerate(zip(rows.replies, rows.last, strict=True))
        return [index for index, (reply, token) in pairs if not reply.add_token(token)]

    def _forward(self, rows: BatchRows, tokens: torch.Tensor) -> BatchRows:
        """Runs the model on the next tokens of the rows and samples a token for each row."""
        names = [str(reply.adapter) if reply.adapter else None for reply in rows.replies]
        self._bank.select(names, self._adapters)
        has_no_padding = bool(rows.attention_mask.all())
        # Without padding the model computes the positions itself, which is faster.
        positions = None if has_no_padding else (rows.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        output = self._model(
            input_ids=tokens,
            attention_mask=None if has_no_padding else rows.attention_mask,
            position_ids=None if positions is None else positions[:, -tokens.shape[1] :],
            past_key_values=rows.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        last = sample_tokens(rows.replies, output.logits[:, -1])
        return BatchRows(rows.replies, rows.attention_mask, rows.cache, last)

    def _tensor(self, values: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._bank.like.device)
