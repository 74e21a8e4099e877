"""The README.md of an exported dataset, in the form of Hugging Face's dataset cards.

See https://huggingface.co/docs/hub/datasets-cards. The card describes the files and quotes no row.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain import Example, Workspace
from bot.language_detection import detect_language
from bot.rows import Method
from bot.words import Words

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_SHORT = {1_000: "1K", 10_000: "10K", 100_000: "100K", 1_000_000: "1M"}
_MIN_LANGUAGE_SHARE = 0.02
"""Share of the rows from which a language is listed in the front matter."""


@dataclass(slots=True)
class DatasetFacts:
    """Counts over the rows of an export."""

    rows: int = 0
    held_out: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    authors: set[str] = field(default_factory=set)
    kept_private: int = 0
    synthetic: Counter[str] = field(default_factory=Counter)
    """Rows that a model wrote, by its name."""
    first_created_at: datetime | None = None
    last_created_at: datetime | None = None

    def count_example(self, example: Example, answer: str) -> None:
        self.rows += 1
        self.held_out += example.held_out
        self.origins[example.origin] += 1
        self.languages[detect_language(answer)] += 1
        self.authors.update(example.authors)
        if example.synthetic is not None:
            self.synthetic[example.synthetic.model] += 1
        self.kept_private += bool(example.private_text)
        self.first_created_at = min(self.first_created_at or example.created_at, example.created_at)
        self.last_created_at = max(self.last_created_at or example.created_at, example.created_at)


def render_dataset_card(
    facts: DatasetFacts,
    *,
    name: str,
    method: Method,
    workspace: Workspace,
    attested: datetime | None,
    words: Words,
) -> str:
    """Returns the text of the card.

    `attested` is when an admin last set what the workspace may learn from.
    """
    sections = (
        (words("card.what"), _contents(facts, method, words)),
        (words("card.sources"), _sources(facts, words)),
        (words("card.languages"), _languages(facts, words)),
        (words("card.permission"), _permission(workspace, attested, words)),
        (words("card.private"), _private(facts, workspace, words)),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    return f"{_front_matter(facts, name, method)}\n# {name}\n\n{body}\n"


def _front_matter(facts: DatasetFacts, name: str, method: Method) -> str:
    """Returns the YAML front matter; a JSON string is valid YAML."""
    codes = [
        code
        for code, count in facts.languages.most_common()
        if code and count >= _MIN_LANGUAGE_SHARE * facts.rows
    ]
    splits = ["train", *(["validation"] if facts.held_out else [])]
    lines = [
        "---",
        *(["language:", *(f"- {code}" for code in codes)] if codes else []),
        "license: other",
        "license_name: not-published",
        "task_categories:",
        "- text-generation",
        "size_categories:",
        f"- {_size(facts.rows)}",
        f"pretty_name: {json.dumps(name, ensure_ascii=False)}",
        "tags:",
        f"- {method}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - split: {split}\n    path: data/{split}.jsonl" for split in splits),
        "---",
    ]
    return "\n".join(lines) + "\n"


def _size(rows: int) -> str:
    below = next((size for size in _SIZES if rows < size), None)
    if below == _SIZES[0]:
        return "n<1K"
    if below is None:
        return "1M<n<10M"
    return f"{_SHORT[below // 10]}<n<{_SHORT[below]}"


def _contents(facts: DatasetFacts, method: Method, words: Words) -> str:
    dates = ""
    if facts.first_created_at is not None and facts.last_created_at is not None:
        dates = words(
            "card.dates",
            first=f"{facts.first_created_at:%Y-%m-%d}",
            last=f"{facts.last_created_at:%Y-%m-%d}",
        )
    trained = facts.rows - facts.held_out
    counts = words(
        "card.rows", method=words(f"method.{method}"), train=trained, validation=facts.held_out
    )
    return f"{counts} {dates}"


def _sources(facts: DatasetFacts, words: Words) -> str:
    table = _table({words(f"origin.{name}"): n for name, n in facts.origins.most_common()}, words)
    written = [
        words("card.synthetic", count=count, model=model)
        for model, count in facts.synthetic.most_common()
    ]
    authors = words("card.authors", count=len(facts.authors))
    return "\n\n".join([table, " ".join([authors, *written])])


def _languages(facts: DatasetFacts, words: Words) -> str:
    named = {code or words("card.unknown"): n for code, n in facts.languages.most_common()}
    return f"{_table(named, words)}\n\n{words('card.language_of')}"


def _table(counts: dict[str, int], words: Words) -> str:
    lines = (f"| {name} | {count} |" for name, count in counts.items())
    return "\n".join(["| | " + words("card.count") + " |", "| --- | ---: |", *lines])


def _permission(workspace: Workspace, attested: datetime | None, words: Words) -> str:
    step = words(f"learning.{workspace.sources.name.lower()}")
    permission = words("card.allowed", sources=step)
    if attested is not None:
        permission = f"{permission} {words('card.attested', date=f'{attested:%Y-%m-%d}')}"
    return f"{permission} {words('card.license')}"


def _private(facts: DatasetFacts, workspace: Workspace, words: Words) -> str:
    masks = words("card.masks") if workspace.must_mask else words("card.no_masks")
    return f"{masks} {words('card.kept_private', count=facts.kept_private)} {words('card.names')}"
