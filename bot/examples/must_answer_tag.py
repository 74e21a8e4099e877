"""Tags an example as must-answer (every new model is asked it) or always-train."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import ALWAYS_TRAIN_TAG, MUST_ANSWER_TAG, Example, ExampleId, ExampleState, Role
from bot.errors import NotNow
from bot.examples.state_changes import named_example_id
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Reply, Text
from bot.request import Request
from bot.rows import Method
from bot.words import Words

handlers = Handlers()


@handlers.button("example.must_answer", Role.CURATOR)
async def mark_must_answer(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        if example.state is not ExampleState.APPROVED or example.method is not Method.SUPERVISED:
            raise NotNow(problem=request.words("must.cannot", id=example.id))
        if example.synthetic is not None:
            raise NotNow(problem=request.words("must.synthetic", id=example.id))
        await _retag(request, example, records, remove=ALWAYS_TRAIN_TAG, add=MUST_ANSWER_TAG)
        await request.audit(records, "example.must_answer", example=example.id)
    return Text(request.words("must.marked", id=example.id), private=True)


@handlers.button("example.not_must_answer", Role.CURATOR)
async def unmark_must_answer(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        await _retag(request, example, records, remove=MUST_ANSWER_TAG)
        await request.audit(records, "example.not_must_answer", example=example.id)
    return Text(request.words("must.unmarked", id=example.id), private=True)


@handlers.button("example.teach", Role.CURATOR)
async def always_train(request: Request, deps: Dependencies) -> Reply:
    """Tags an example as always-train: it is never held out, and no model is asked it."""
    async with deps.store.writing() as records:
        example = await records.examples.get(request.workspace_id, named_example_id(request))
        if example.state is not ExampleState.APPROVED:
            raise NotNow(problem=request.words("must.cannot_teach", id=example.id))
        await _retag(request, example, records, remove=MUST_ANSWER_TAG, add=ALWAYS_TRAIN_TAG)
        await records.examples.set_held_out(request.workspace_id, [example.id], held_out=False)
        await request.audit(records, "example.taught", example=example.id)
    return Text(request.words("must.taught", id=example.id), private=True)


async def _retag(
    request: Request, example: Example, records: Records, *, remove: str, add: str = ""
) -> None:
    tags = [tag for tag in example.tags if tag not in (remove, add)]
    await records.examples.set_tags(
        request.workspace_id, example.id, [*tags, *([add] if add else [])]
    )


def wrong_answer_buttons(example: ExampleId, words: Words) -> tuple[Button, ...]:
    """Returns the buttons for a question that a model answered wrongly."""
    return (
        Button(words("button.teach_this"), f"example.teach:{example}"),
        Button(words("button.must_answer"), f"example.must_answer:{example}"),
    )


def must_answer_button(example: Example, words: Words) -> Button:
    """Returns the button that tags an approved example as must-answer, or removes the tag."""
    if MUST_ANSWER_TAG in example.tags:
        return Button(words("button.not_must_answer"), f"example.not_must_answer:{example.id}")
    return Button(words("button.must_answer"), f"example.must_answer:{example.id}")
