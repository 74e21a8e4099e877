"""The form that gives a model a short name and a note, beside its id at the host."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import Model, Role
from bot.errors import BadInput, NotNow
from bot.models_in_use import (
    LATEST_MODEL,
    MODEL_NAME_ENDING_LENGTH,
    find_model_by_name,
    matches_model_name,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Field, FieldKind, Form, Reply, Text
from bot.request import Request

handlers = Handlers()

MAX_NAME_LENGTH, MAX_NOTE_LENGTH = 60, 300


@handlers.button("model.name", Role.TRAINER, opens_form=True)
async def show_model_name_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form for a model's name and note."""
    async with deps.store.reading() as records:
        model = await find_model_by_name(request, request.argument, records)
    words = request.words
    return Form(
        id=f"model.name:{model.name[-MODEL_NAME_ENDING_LENGTH:]}",
        title=words("model.name_title"),
        fields=(
            Field(
                "label",
                words("model.name_field"),
                value=model.label or "",
                max_length=MAX_NAME_LENGTH,
            ),
            Field(
                "note",
                words("model.note_field"),
                FieldKind.TEXT,
                model.note or "",
                hint=words("model.note_hint"),
                required=False,
                max_length=MAX_NOTE_LENGTH,
            ),
        ),
        submit_label=words("teach.submit"),
        note=model.name,
    )


@handlers.form("model.name", Role.TRAINER)
async def save_model_name(request: Request, deps: Dependencies) -> Reply:
    """Stores a model's name and note. Raises BadInput, and NotNow for a name in use."""
    label = " ".join(request.options.get("label", "").split())
    note = request.options.get("note", "").strip()
    if not label or len(label) > MAX_NAME_LENGTH or len(note) > MAX_NOTE_LENGTH:
        raise BadInput(problem=request.words("model.name_wrong", longest=MAX_NAME_LENGTH))
    async with deps.store.writing() as records:
        model = await find_model_by_name(request, request.argument, records)
        await _refuse_taken(request, model, label, records)
        await records.models.set_label_and_note(
            request.workspace_id, model.name, label=label, note=note or None
        )
        await request.audit(records, "model.named", model=model.name, label=label)
    return Text(request.words("model.named", name=label), private=True)


async def _refuse_taken(request: Request, model: Model, label: str, records: Records) -> None:
    """Raises NotNow if the name already refers to another model or is a reserved word."""
    others = await records.models.all(request.workspace_id, request.assistant.id)
    is_taken = any(
        other.name != model.name and matches_model_name(other, label) for other in others
    )
    if is_taken or label in (LATEST_MODEL, "base", request.assistant.base):
        raise NotNow(problem=request.words("model.name_taken", name=label))
