"""Exports the approved examples as a file, or the weights of a tuned model."""

from __future__ import annotations

from bot import example_files
from bot.commands import METHOD_OPTION, Handlers, Option, OptionKind
from bot.domain import LOCAL, Model, ModelKind, Role
from bot.errors import NotFound, NotNow
from bot.form_links import offer_form_link
from bot.models_in_use import MODEL_NAME_ENDING_LENGTH, find_model_by_name
from bot.number_formats import format_bytes
from bot.ports.dependencies import Dependencies
from bot.ports.model_export import ModelExporter, ModelFormat
from bot.replies import Button, Card, Document, Fact, Form, Reply
from bot.request import Request

handlers = Handlers()

MAX_CHAT_FILE_BYTES = 8_000_000
"""Maximum bytes of a file that is posted to a chat platform; Discord's limit is 10 MiB."""


@handlers.command(
    "export",
    Role.CURATOR,
    Option.choice("format", "jsonl", "csv", "dataset", takes_rest=True),
    METHOD_OPTION,
    Option("model", OptionKind.MODEL, excludes_others=True),
)
async def export_examples_or_model(request: Request, deps: Dependencies) -> Reply:
    """Exports the approved examples; with `model`, lists the file formats of a model's export."""
    if (name := request.text_option("model")) is not None:
        return await _formats_card(request, name, deps)
    return await example_files.export_examples(request, store=deps.store)


@handlers.button("model.export", Role.CURATOR)
async def list_model_formats(request: Request, deps: Dependencies) -> Reply:
    return await _formats_card(request, request.argument, deps)


async def _formats_card(request: Request, name: str, deps: Dependencies) -> Card:
    """Returns a card with the size of each format; nothing is exported yet."""
    words = request.words
    model, exporter = await _exportable(request, name, deps)
    sizes = await exporter.sizes(model.name)
    handle = model.name[-MODEL_NAME_ENDING_LENGTH:]
    lines = [words("export.model.learned")]
    if model.is_tainted:
        lines.append(words("model.tainted"))
    return Card(
        words("export.model.title", model=model.name),
        lines=tuple(lines),
        facts=tuple(
            Fact(
                words(f"export.model.{form}"),
                format_bytes(count),
                form,
                words(f"export.about.{form}"),
            )
            for form, count in sizes.items()
        ),
        buttons=tuple(
            Button(
                words(
                    "export.model.take",
                    form=words(f"export.model.{form}"),
                    size=format_bytes(count),
                ),
                f"model.take:{form}:{handle}",
            )
            for form, count in sizes.items()
        ),
        private=True,
    )


@handlers.button("model.take", Role.CURATOR)
@handlers.form("model.take", Role.CURATOR)
async def download_model(request: Request, deps: Dependencies) -> Reply:
    """Returns the file, or a link to it if the file is too large for the chat platform."""
    form, model, exporter, count = await _chosen_export(request, deps)
    is_sent = request.is_page or request.workspace_id == LOCAL or count <= MAX_CHAT_FILE_BYTES
    if not is_sent:
        return offer_form_link(
            request,
            _download_form(request, count),
            deps.links,
            about="export.model",
            size=format_bytes(count),
            model=model.name,
            kind=form,
        )
    chunks = await exporter.pack(model.name, form)
    async with deps.store.writing() as records:
        await request.audit(records, "model.exported", model=model.name, form=form)
    name = f"{model.name.replace(':', '-').replace('/', '-')}-{form}.zip"
    return Document(name, chunks, request.words("export.model.done", model=model.name))


@handlers.button("model.take_page", Role.CURATOR, is_for_pages=True)
async def show_export_link_page(request: Request, deps: Dependencies) -> Reply:
    """Returns the page of a link; the export starts with its button, not when the page opens."""
    _, _, _, count = await _chosen_export(request, deps)
    return _download_form(request, count)


def _download_form(request: Request, count: int) -> Form:
    words, argument = request.words, request.argument
    name = argument.partition(":")[2]
    return Form(
        f"model.take:{argument}",
        words("export.model.title", model=name),
        (),
        words("export.model.download", size=format_bytes(count)),
        note=words("export.model.wait"),
        reopen_action=f"model.take_page:{argument}",
    )


async def _chosen_export(
    request: Request, deps: Dependencies
) -> tuple[ModelFormat, Model, ModelExporter, int]:
    """Returns the format, the model, its exporter and the size in bytes that a button names.

    Raises NotFound.
    """
    form, _, name = request.argument.partition(":")
    model, exporter = await _exportable(request, name, deps)
    sizes = {str(key): count for key, count in (await exporter.sizes(model.name)).items()}
    if form not in sizes:
        raise NotFound(noun="button", name=request.argument)
    return ModelFormat(form), model, exporter, sizes[form]


async def _exportable(
    request: Request, name: str, deps: Dependencies
) -> tuple[Model, ModelExporter]:
    """Returns a tuned model whose files are on this machine. Raises NotNow for any other."""
    async with deps.store.reading() as records:
        model = await find_model_by_name(request, name, records)
    if model.kind is ModelKind.BASE:
        raise NotNow(problem=request.words("export.model.base", model=model.name))
    if deps.exporter is None or not deps.exporter.has_files_of(model.host):
        problem = request.words("export.model.elsewhere", model=model.name, host=model.host)
        raise NotNow(problem=problem)
    return model, deps.exporter
