"""Merges duplicate examples: keeps the first and withdraws the others, with an undo button."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bot.commands import Handlers
from bot.domain import Example, ExampleId, ExampleState, Role
from bot.errors import NotFound, Outdated
from bot.example_checks.command import active_examples, join_ids
from bot.examples.row_texts import editable_texts, replace_texts, require_valid_row, text_fields
from bot.examples.state_changes import redraw_cards
from bot.number_formats import parse_id
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Form, Reply, Text
from bot.request import Request
from bot.undo_buttons import offer_undo

handlers = Handlers()

_MAX_FIELDS = 4
_NOTE = 1500


@handlers.button("check.keep_one", Role.CURATOR)
async def keep_first_duplicate(request: Request, deps: Dependencies) -> Reply:
    """Keeps the first example, which is the oldest approved one, and withdraws the others."""
    async with deps.store.writing() as records:
        group = await _group(request, records)
        changed = await _withdraw(request, group[1:], records)
        undo = await offer_undo(request, records, "examples", changed)
    text = request.words("check.kept_one", id=group[0].id, count=len(group) - 1)
    return Text(text, buttons=(undo,))


@handlers.button("check.merge", Role.CURATOR, opens_form=True)
async def open_merge_form(request: Request, deps: Dependencies) -> Reply:
    """Returns a form with the text of the first example; its note has the others' answers."""
    async with deps.store.reading() as records:
        group = await _group(request, records)
    shown = list(editable_texts(group[0].row or {}).items())[-_MAX_FIELDS:]
    words = request.words
    others = [
        f"#{example.id}: {list(editable_texts(example.row or {}).values())[-1]}"
        for example in group[1:]
    ]
    numbers = join_ids(group)
    return Form(
        id=f"check.merge:{group[0].revision}:{numbers}",
        title=words("check.merge", id=group[0].id),
        fields=text_fields(shown, words),
        submit_label=words("button.merge"),
        note="\n".join(others)[:_NOTE],
        reopen_action=f"check.merge:{numbers}",
    )


@handlers.form("check.merge", Role.CURATOR)
async def save_merged_example(request: Request, deps: Dependencies) -> Reply:
    """Gives the first example the form's text and all tags, and withdraws the other examples."""
    revision, _, numbers = request.argument.partition(":")
    async with deps.store.writing() as records:
        group = await _group(request, records, numbers)
        first = group[0]
        if str(first.revision) != revision:
            raise Outdated(problem=request.words("example.changed", id=first.id))
        changed = await _withdraw(request, group[1:], records)
        row = require_valid_row(replace_texts(first.row or {}, request.options), request.words)
        merged = first
        if row != first.row:
            merged = await records.examples.add_revision(
                request.workspace_id, first.id, row, request.user_id, at=request.now
            )
        tags = dict.fromkeys(tag for example in group for tag in example.tags)
        await records.examples.set_tags(request.workspace_id, first.id, list(tags))
        await request.audit(records, "example.merged", example=first.id)
        await redraw_cards(request, [first.id], records)
        revisions = {"earlier": first.revision, "merged": merged.revision}
        private = {"keeps_private_text": first.keeps_private_text}
        kept = {"kept": first.id, "tags": list(first.tags), **revisions, **private}
        undo = await offer_undo(request, records, "merge", {**changed, **kept})
    text = request.words("check.merged", id=first.id, count=len(group) - 1)
    return Text(text, buttons=(undo,))


async def _group(request: Request, records: Records, numbers: str = "") -> list[Example]:
    """Returns the active examples whose ids a button has. Raises Outdated for fewer than two."""
    try:
        ids = [ExampleId(parse_id(n)) for n in (numbers or request.argument).split(".")]
    except ValueError:
        raise NotFound(noun="button", name=request.argument) from None
    (group,) = await active_examples(request, [ids], records)
    if len(group) < 2:
        raise Outdated(problem=request.words("check.decided"))
    return group


async def _withdraw(
    request: Request, group: Sequence[Example], records: Records
) -> dict[str, object]:
    """Withdraws the examples and returns the details of its undo."""
    before: dict[str, list[int]] = defaultdict(list)
    for example in group:
        before[example.state].append(example.id)
    numbers = [example.id for example in group]
    withdrawn = ExampleState.WITHDRAWN
    await records.examples.set_state(
        request.workspace_id, numbers, withdrawn, at=request.now, by=request.user_id
    )
    await redraw_cards(request, numbers, records)
    await request.audit(records, "examples.withdrawn", examples=len(numbers))
    return {"before": before, "after": withdrawn}
