"""“Never again”: an example that is kept out of training and asked of every new model."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import MUST_ANSWER, Example, ExampleState, Role
from bot.errors import NotNow
from bot.examples.changes import number
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Reply, Text
from bot.request import Request
from bot.rows import Method
from bot.words import Words

handlers = Handlers()


@handlers.button("example.must_answer", Role.CURATOR)
async def mark(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        example = await records.examples.get(request.id, number(request))
        if example.state is not ExampleState.APPROVED or example.method is not Method.SUPERVISED:
            raise NotNow(problem=request.words("must.cannot", id=example.id))
        await records.examples.add_tag(request.id, [example.id], MUST_ANSWER)
        await records.audit.add(
            request.id, request.by, "example.must_answer", at=request.now, example=example.id
        )
    return Text(request.words("must.marked", id=example.id), private=True)


@handlers.button("example.not_must_answer", Role.CURATOR)
async def unmark(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        example = await records.examples.get(request.id, number(request))
        tags = [tag for tag in example.tags if tag != MUST_ANSWER]
        await records.examples.set_tags(request.id, example.id, tags)
        await records.audit.add(
            request.id, request.by, "example.not_must_answer", at=request.now, example=example.id
        )
    return Text(request.words("must.unmarked", id=example.id), private=True)


def button(example: Example, words: Words) -> Button:
    """Marks an approved example, or takes the mark away."""
    if MUST_ANSWER in example.tags:
        return Button(words("button.not_must_answer"), f"example.not_must_answer:{example.id}")
    return Button(words("button.must_answer"), f"example.must_answer:{example.id}")
