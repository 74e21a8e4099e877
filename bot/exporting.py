"""What people take away: the approved examples as a file, a tuned model as its weights."""

from __future__ import annotations

from bot import datasets
from bot.commands import METHOD, Handlers, Option, OptionKind
from bot.deployments import HANDLE_LENGTH, find_model_by_name
from bot.domain import LOCAL, Model, ModelKind, Role
from bot.errors import NotFound, NotNow
from bot.form_links import offer_form_link
from bot.numerals import format_bytes
from bot.ports.dependencies import Dependencies
from bot.ports.model_export import ModelExporter, ModelFormat
from bot.replies import Button, Card, Document, Fact, Form, Reply
from bot.request import Request

handlers = Handlers()

LARGEST_IN_CHAT = 8_000_000
"""Bytes of a file that every chat platform takes from a bot; Discord's limit is 10 MiB."""


@handlers.command(
    "export",
    Role.CURATOR,
    Option.choice("format", "jsonl", "csv", "dataset", rest=True),
    METHOD,
    Option("model", OptionKind.MODEL, excludes_others=True),
)
async def export(request: Request, deps: Dependencies) -> Reply:
    """The approved examples; or, with `model`, the forms that one can be taken away in."""
    if (name := request.text_option("model")) is not None:
        return await _forms(request, name, deps)
    return await datasets.export_examples(request, store=deps.store)


@handlers.button("model.export", Role.CURATOR)
async def list_model_formats(request: Request, deps: Dependencies) -> Reply:
    return await _forms(request, request.argument, deps)


async def _forms(request: Request, name: str, deps: Dependencies) -> Card:
    """How large each form is, before anything is made."""
    words = request.words
    model, exporter = await _exportable(request, name, deps)
    sizes = await exporter.sizes(model.name)
    handle = model.name[-HANDLE_LENGTH:]
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
    """The file itself; where a chat would not take it, a link to it."""
    form, model, exporter, count = await _chosen(request, deps)
    is_sent = request.is_page or request.workspace_id == LOCAL or count <= LARGEST_IN_CHAT
    if not is_sent:
        return offer_form_link(
            request,
            _download(request, count),
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
async def take_page(request: Request, deps: Dependencies) -> Reply:
    """What somebody with a link is shown: a button, so that nothing is made by looking."""
    _, _, _, count = await _chosen(request, deps)
    return _download(request, count)


def _download(request: Request, count: int) -> Form:
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


async def _chosen(
    request: Request, deps: Dependencies
) -> tuple[ModelFormat, Model, ModelExporter, int]:
    """What a button says: the form, the model and how many bytes that is."""
    said, _, name = request.argument.partition(":")
    model, exporter = await _exportable(request, name, deps)
    sizes = {str(one): count for one, count in (await exporter.sizes(model.name)).items()}
    if said not in sizes:
        raise NotFound(noun="button", name=request.argument)
    return ModelFormat(said), model, exporter, sizes[said]


async def _exportable(
    request: Request, name: str, deps: Dependencies
) -> tuple[Model, ModelExporter]:
    """A tuned model of this workspace whose files lie here. Raises NotNow for any other."""
    async with deps.store.reading() as records:
        model = await find_model_by_name(request, name, records)
    if model.kind is ModelKind.BASE:
        raise NotNow(problem=request.words("export.model.base", model=model.name))
    if deps.exporter is None or not deps.exporter.has_files_of(model.host):
        problem = request.words("export.model.elsewhere", model=model.name, host=model.host)
        raise NotNow(problem=problem)
    return model, deps.exporter
