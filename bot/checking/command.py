"""`/tune check`: what was found, a list for each kind, and what can be done about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.batches import batched
from bot.check_results import CheckKind, CheckResult
from bot.checking.check_runner import MOST_CHECKED, check_key, run_checks, visible_filter
from bot.checking.checks import advised_example_counts
from bot.checking.private_examples import private_listing
from bot.commands import Handlers, Option, OptionKind
from bot.domain import Example, ExampleId, Role, SyntheticKind
from bot.errors import NotFound
from bot.examples.cards import line_of
from bot.examples.example_buttons import example_state_token
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.private_text import ANY_PRIVATE_TEXT
from bot.replies import Button, Listing, ListingRow, Reply, Tone
from bot.request import Request
from bot.synthetic import command as synthetic
from bot.words import Words

handlers = Handlers()

PRIVATE = "private"
_GROUPED = (CheckKind.COPIES, CheckKind.NEAR, CheckKind.DISAGREEING)
_PAGE, _DIGITS = 8, 9
_LONGEST_TEXT, _LONGEST_NUMBERS = 240, 80
_PART = 500


@handlers.command(
    "check",
    Role.CURATOR,
    replace(Option.choice("propose", *SyntheticKind), role=Role.TRAINER),
    Option("host", OptionKind.HOST),
    Option.text("model"),
    Option.integer("wordings", 1, synthetic.MOST_WORDINGS),
    Option.text("tag"),
    Option.integer("limit", 1, synthetic.MOST_EXAMPLES),
)
async def check(request: Request, deps: Dependencies) -> Reply:
    """Everything that should be decided before training, by kind; or what a model would propose."""
    if request.text_option("propose"):
        return await synthetic.estimate(request, deps)
    return await _overview(request, deps, await run_checks(request, deps))


@handlers.button("check.overview", Role.CURATOR, is_for_pages=True)
async def overview(request: Request, deps: Dependencies) -> Reply:
    """As the last check found it; checked now where there was none, or nothing to check then."""
    result = deps.checks.get(check_key(request))
    if result is None or not result.example_count:
        result = await run_checks(request, deps)
    return await _overview(request, deps, result)


async def _overview(request: Request, deps: Dependencies, result: CheckResult) -> Listing:
    private = replace(visible_filter(request), undecided_private_text=ANY_PRIVATE_TEXT)
    async with deps.store.reading() as records:
        waiting = await records.examples.count(request.workspace_id, private)
        total = await records.examples.count(request.workspace_id, visible_filter(request))
    words = request.words
    counts = {PRIVATE: waiting, **{kind.value: result.group_counts[kind] for kind in CheckKind}}
    found = [(kind, count) for kind, count in counts.items() if count]
    lines = [_kind_line(at, *one, words) for at, one in enumerate(found, 1)]
    lines += _label_lines(len(lines) + 1, result, words)
    nothing = words("check.nothing") if result.example_count and not lines else ""
    if result.example_count and request.role >= Role.TRAINER:
        lines.append(_proposing_line(len(lines) + 1, result, words))
    notes = [words("check.examined", count=f"{result.example_count:,}", at=f"{result.at:%H:%M}")]
    if total > MOST_CHECKED:
        notes.append(words("check.first", count=f"{MOST_CHECKED:,}"))
    notes += [_advice(result, words), nothing]
    return Listing(
        words("check.title", assistant=request.assistant.name),
        tuple(lines),
        empty=words("check.nothing"),
        note=" ".join(note for note in notes if note),
        private=True,
    )


def _kind_line(at: int, kind: str, count: int, words: Words) -> ListingRow:
    show = Button(words("button.show"), f"check.show:{kind}:0")
    text = f"{words(f'check.{kind}')}: {count:,}"
    return ListingRow(str(at), text, words(f"check.{kind}.note"), (show,), tone=Tone.BUSY)


def _label_lines(at: int, result: CheckResult, words: Words) -> list[ListingRow]:
    """Classes of which one is far more common than another."""
    if not result.labels or result.labels[0][1] < 4 * result.labels[-1][1]:
        return []
    shown = ", ".join(f"{label} {count}" for label, count in result.labels[:_PAGE])
    return [ListingRow(str(at), words("check.labels"), shown, tone=Tone.BUSY)]


def _proposing_line(at: int, result: CheckResult, words: Words) -> ListingRow:
    """What a model may propose: wordings of questions, and labels where answers are some."""
    kinds = [one for one in SyntheticKind if result.labels or one is not SyntheticKind.LABELS]
    ways = tuple(Button(words(f"button.propose.{one}"), f"synthetic.choose:{one}") for one in kinds)
    return ListingRow(str(at), words("check.propose"), words("synthetic.rules"), ways)


def _advice(result: CheckResult, words: Words) -> str:
    wanted = advised_example_counts(result.example_count, result.labels)
    if "labels" in wanted:
        return words("check.more_labels", **wanted)
    return words("check.more", **wanted) if wanted else ""


@handlers.button("check.show", Role.CURATOR)
async def show(request: Request, deps: Dependencies) -> Reply:
    """A page of one kind: `check.show:near:8` begins with the ninth group."""
    kind, _, rest = request.argument.partition(":")
    first = _first(request, rest)
    if kind == PRIVATE:
        return await private_listing(request, deps, after=ExampleId(first))
    if kind not in set(CheckKind):
        raise NotFound(noun="button", name=request.argument)
    result = deps.checks.get(check_key(request)) or await run_checks(request, deps)
    return await _groups(request, deps, result, CheckKind(kind), first)


def _first(request: Request, text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        raise NotFound(noun="button", name=request.argument)
    return int(text)


async def _groups(
    request: Request, deps: Dependencies, result: CheckResult, kind: CheckKind, first: int
) -> Listing:
    groups = result.groups[kind]
    page, words = groups[first : first + _PAGE], request.words
    async with deps.store.reading() as records:
        found = await active_examples(request, page, records)
    lines = [_line(kind, group, words) for group in found if len(group) >= _least(kind)]
    more = None
    if len(groups) > first + _PAGE:
        more = Button(words("list.more"), f"check.show:{kind}:{first + _PAGE}")
    return Listing(
        words(f"check.{kind}"),
        tuple(lines),
        empty=words("check.all_decided"),
        note=words(f"check.{kind}.note"),
        more=more,
        total=result.group_counts[kind],
        private=True,
        replaces=first > 0,
    )


def _least(kind: CheckKind) -> int:
    return 2 if kind in (*_GROUPED, CheckKind.ONE_ANSWER) else 1


async def active_examples(
    request: Request, groups: Sequence[Sequence[ExampleId]], records: Records
) -> list[list[Example]]:
    """Those of each group that still live and that the asker may see, the approved ones first."""
    found: dict[ExampleId, Example] = {}
    for part in batched(sorted({number for group in groups for number in group}), _PART):
        page = await records.examples.page(
            request.workspace_id, visible_filter(request), among=part, limit=len(part)
        )
        found.update((one.id, one) for one in page)
    return [
        sorted(
            (found[number] for number in group if number in found),
            key=lambda one: (one.state, one.id),
        )
        for group in groups
    ]


def join_ids(group: Sequence[Example]) -> str:
    """The numbers of the first examples, as many as the name of a button holds."""
    text = ".".join(str(one.id) for one in group)
    return text if len(text) <= _LONGEST_NUMBERS else text[:_LONGEST_NUMBERS].rpartition(".")[0]


def _line(kind: CheckKind, group: Sequence[Example], words: Words) -> ListingRow:
    first = line_of(group[0], words, may_decide=False)
    texts = [line_of(one, words, may_decide=False).text for one in group]
    shown = list(dict.fromkeys(texts)) if kind in _GROUPED or len(group) > 1 else texts
    numbers = ", ".join(f"#{one.id}" for one in group)
    text = "\n".join(f"- {one[:_LONGEST_TEXT]}" for one in shown) if len(shown) > 1 else shown[0]
    return ListingRow(first.id, text, numbers, _ways(kind, group, words), tone=first.tone)


def _ways(kind: CheckKind, group: Sequence[Example], words: Words) -> tuple[Button, ...]:
    edit = Button(words("button.edit"), f"example.edit:{group[0].id}")
    withdraw = Button(words("button.withdraw"), f"example.drop:{example_state_token(group[0])}")
    if kind not in _GROUPED:
        return (edit, withdraw)
    numbers = join_ids(group)
    keep = Button(words("button.keep_one"), f"check.keep_one:{numbers}")
    merge = Button(words("button.merge"), f"check.merge:{numbers}")
    return (keep, merge, edit, withdraw)
