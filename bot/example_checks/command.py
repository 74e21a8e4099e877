"""`/tune check` and its buttons: an overview of the findings, and a list for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.check_results import CheckKind, CheckResult
from bot.commands import Handlers, Option, OptionKind
from bot.database_batches import batched
from bot.domain import Example, ExampleId, Role, SyntheticKind
from bot.errors import NotFound
from bot.example_checks.check_runner import (
    MAX_CHECKED_EXAMPLES,
    check_cache_key,
    run_checks,
    visible_examples_filter,
)
from bot.example_checks.checks import advised_example_counts
from bot.example_checks.private_examples import list_private_examples
from bot.examples.example_buttons import example_state_token
from bot.examples.example_cards import example_list_row
from bot.examples.row_texts import readable_texts
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.private_text import ANY_PRIVATE_TEXT
from bot.replies import Button, Listing, ListingRow, Reply, Tone, one_line
from bot.request import Request
from bot.synthetic import command as synthetic
from bot.words import Words

handlers = Handlers()

PRIVATE_TEXT_KIND = "private"
_GROUPED = (CheckKind.COPIES, CheckKind.NEAR, CheckKind.DISAGREEING)
_PAGE, _DIGITS = 8, 9
_MAX_TEXT_LENGTH, _MAX_NUMBERS_LENGTH = 240, 80
_BEFORE_DIFFERENCE = 40
"""Characters that are shown before the first difference of long texts."""
_BATCH = 500


@handlers.command(
    "check",
    Role.CURATOR,
    replace(Option.choice("propose", *SyntheticKind), required_role=Role.TRAINER),
    Option("host", OptionKind.HOST),
    Option.text("model"),
    Option.integer("wordings", 1, synthetic.MAX_WORDINGS),
    Option.text("tag"),
    Option.integer("limit", 1, synthetic.MAX_EXAMPLES),
)
async def check(request: Request, deps: Dependencies) -> Reply:
    """Returns the overview of a new check, or with `propose` the estimate of synthetic examples."""
    if request.text_option("propose"):
        return await synthetic.estimate_run(request, deps)
    return await _overview(request, deps, await run_checks(request, deps))


@handlers.button("check.overview", Role.CURATOR, is_for_pages=True)
async def show_overview(request: Request, deps: Dependencies) -> Reply:
    """Returns the overview of the cached check; checks now if none is cached or it was empty."""
    result = deps.checks.get(check_cache_key(request))
    if result is None or not result.example_count:
        result = await run_checks(request, deps)
    return await _overview(request, deps, result)


async def _overview(request: Request, deps: Dependencies, result: CheckResult) -> Listing:
    private = replace(visible_examples_filter(request), undecided_private_text=ANY_PRIVATE_TEXT)
    async with deps.store.reading() as records:
        waiting = await records.examples.count(request.workspace_id, private)
        total = await records.examples.count(request.workspace_id, visible_examples_filter(request))
    words = request.words
    counts = {
        PRIVATE_TEXT_KIND: waiting,
        **{kind.value: result.group_counts[kind] for kind in CheckKind},
    }
    nonzero = [(kind, count) for kind, count in counts.items() if count]
    rows = [_kind_row(number, *each, words) for number, each in enumerate(nonzero, 1)]
    rows += _label_rows(len(rows) + 1, result, words)
    nothing = words("check.nothing") if result.example_count and not rows else ""
    if result.example_count and request.role >= Role.TRAINER:
        rows.append(_propose_row(len(rows) + 1, result, words))
    notes = [words("check.examined", count=f"{result.example_count:,}", at=f"{result.at:%H:%M}")]
    if total > MAX_CHECKED_EXAMPLES:
        notes.append(words("check.first", count=f"{MAX_CHECKED_EXAMPLES:,}"))
    notes += [_advice(result, words), nothing]
    return Listing(
        words("check.title", assistant=request.assistant.name),
        tuple(rows),
        empty=words("check.nothing"),
        note=" ".join(note for note in notes if note),
        private=True,
    )


def _kind_row(number: int, kind: str, count: int, words: Words) -> ListingRow:
    show = Button(words("button.show"), f"check.show:{kind}:0")
    text = f"{words(f'check.{kind}')}: {count:,}"
    return ListingRow(str(number), text, words(f"check.{kind}.note"), (show,), tone=Tone.BUSY)


def _label_rows(number: int, result: CheckResult, words: Words) -> list[ListingRow]:
    """Returns a row with the class counts if the largest is at least four times the smallest."""
    if not result.labels or result.labels[0][1] < 4 * result.labels[-1][1]:
        return []
    shown = ", ".join(f"{label} {count}" for label, count in result.labels[:_PAGE])
    return [ListingRow(str(number), words("check.labels"), shown, tone=Tone.BUSY)]


def _propose_row(number: int, result: CheckResult, words: Words) -> ListingRow:
    """Returns the row with a button per kind of synthetic example; labels only for classes."""
    kinds = [kind for kind in SyntheticKind if result.labels or kind is not SyntheticKind.LABELS]
    buttons = tuple(
        Button(words(f"button.propose.{kind}"), f"synthetic.choose:{kind}") for kind in kinds
    )
    return ListingRow(str(number), words("check.propose"), words("synthetic.rules"), buttons)


def _advice(result: CheckResult, words: Words) -> str:
    counts = advised_example_counts(result.example_count, result.labels)
    if "labels" in counts:
        return words("check.more_labels", **counts)
    return words("check.more", **counts) if counts else ""


@handlers.button("check.show", Role.CURATOR)
async def show_findings_of_kind(request: Request, deps: Dependencies) -> Reply:
    """Returns a page of one kind of finding: `check.show:near:8` begins with the ninth group."""
    kind, _, rest = request.argument.partition(":")
    first = _parse_offset(request, rest)
    if kind == PRIVATE_TEXT_KIND:
        return await list_private_examples(request, deps, after=ExampleId(first))
    if kind not in set(CheckKind):
        raise NotFound(noun="button", name=request.argument)
    result = deps.checks.get(check_cache_key(request)) or await run_checks(request, deps)
    return await _groups(request, deps, result, CheckKind(kind), first)


def _parse_offset(request: Request, text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        raise NotFound(noun="button", name=request.argument)
    return int(text)


async def _groups(
    request: Request, deps: Dependencies, result: CheckResult, kind: CheckKind, first: int
) -> Listing:
    groups = result.groups[kind]
    page, words = groups[first : first + _PAGE], request.words
    async with deps.store.reading() as records:
        active = await active_examples(request, page, records)
    least = _least_examples(kind)
    rows = [_group_row(kind, group, words) for group in active if len(group) >= least]
    more = None
    if len(groups) > first + _PAGE:
        more = Button(words("list.more"), f"check.show:{kind}:{first + _PAGE}")
    return Listing(
        words(f"check.{kind}"),
        tuple(rows),
        empty=words("check.all_decided"),
        note=words(f"check.{kind}.note"),
        more=more,
        total=result.group_counts[kind],
        private=True,
        replaces=first > 0,
    )


def _least_examples(kind: CheckKind) -> int:
    """Returns how many examples of a group must still be active for it to be listed."""
    return 2 if kind in (*_GROUPED, CheckKind.ONE_ANSWER) else 1


async def active_examples(
    request: Request, groups: Sequence[Sequence[ExampleId]], records: Records
) -> list[list[Example]]:
    """Returns the active examples of each group that the requester may see, approved first."""
    examples: dict[ExampleId, Example] = {}
    for batch in batched(sorted({number for group in groups for number in group}), _BATCH):
        page = await records.examples.page(
            request.workspace_id, visible_examples_filter(request), among=batch, limit=len(batch)
        )
        examples.update((example.id, example) for example in page)
    return [
        sorted(
            (examples[number] for number in group if number in examples),
            key=lambda example: (example.state, example.id),
        )
        for group in groups
    ]


def join_ids(group: Sequence[Example]) -> str:
    """Returns the ids joined by dots, as many as fit into the action of a button."""
    text = ".".join(str(example.id) for example in group)
    return (
        text if len(text) <= _MAX_NUMBERS_LENGTH else text[:_MAX_NUMBERS_LENGTH].rpartition(".")[0]
    )


def _group_row(kind: CheckKind, group: Sequence[Example], words: Words) -> ListingRow:
    first = example_list_row(group[0], words, may_decide=False)
    texts = [example_list_row(example, words, may_decide=False).text for example in group]
    if kind in (CheckKind.NEAR, CheckKind.DISAGREEING) and len(set(texts)) < len(texts):
        texts = _from_difference(group)
    shown = list(dict.fromkeys(texts)) if kind in _GROUPED or len(group) > 1 else texts
    numbers = ", ".join(f"#{example.id}" for example in group)
    text = (
        "\n".join(f"- {part[:_MAX_TEXT_LENGTH]}" for part in shown) if len(shown) > 1 else shown[0]
    )
    return ListingRow(first.id, text, numbers, _row_buttons(kind, group, words), tone=first.tone)


def _from_difference(group: Sequence[Example]) -> list[str]:
    """Returns the texts of long examples from a little before the first difference on."""
    whole = [
        " → ".join(" ".join(text.split()) for text in readable_texts(example.row).values())
        for example in group
    ]
    differing = (at for at, chars in enumerate(zip(*whole, strict=False)) if len(set(chars)) > 1)
    start = max(0, next(differing, min(map(len, whole))) - _BEFORE_DIFFERENCE)
    return [one_line(f"…{text[start:]}", _MAX_TEXT_LENGTH) for text in whole]


def _row_buttons(kind: CheckKind, group: Sequence[Example], words: Words) -> tuple[Button, ...]:
    edit = Button(words("button.edit"), f"example.edit:{group[0].id}")
    withdraw = Button(words("button.withdraw"), f"example.drop:{example_state_token(group[0])}")
    if kind not in _GROUPED:
        return (edit, withdraw)
    numbers = join_ids(group)
    keep = Button(words("button.keep_one"), f"check.keep_one:{numbers}")
    merge = Button(words("button.merge"), f"check.merge:{numbers}")
    return (keep, merge, edit, withdraw)
