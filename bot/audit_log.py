"""Shows and exports the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bot.audit_descriptions import describe_action, describe_details, raw_details
from bot.commands import Handlers, Option, OptionKind
from bot.domain import AuditEntry, ModelName, Role, UserId
from bot.example_files import csv_line
from bot.mentions_and_times import person_reference, time_reference
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Document, Listing, ListingRow, Reply
from bot.request import Request

handlers = Handlers()


_AUDIT_PAGE = 20
_AUDIT_EXPORTED = 100_000


@handlers.command(
    "admin audit",
    Role.ADMIN,
    Option.text("what", takes_rest=True),
    Option("user", OptionKind.USER),
    Option.integer("limit", 1, 200),
)
async def show_audit_log(request: Request, deps: Dependencies) -> Reply:
    """Lists the audit log, newest entries first."""
    user, limit = request.text_option("user"), request.integer_option("limit") or _AUDIT_PAGE
    async with deps.store.reading() as records:
        entries = await records.audit.page(
            request.workspace_id,
            what=request.text_option("what"),
            user=UserId(user) if user else None,
            limit=limit,
        )
        model_names = await _model_names(request, entries, records)
    lines = tuple(
        ListingRow(
            id=time_reference(entry.at),
            text=f"{_author(entry)}: {describe_action(entry, request.words)}",
            note=" · ".join(describe_details(entry, request.words, model_names)),
        )
        for entry in entries
    )
    return Listing(request.words("audit.title"), lines, empty=request.words("audit.empty"))


@handlers.form("audit.export", Role.ADMIN, is_for_pages=True)
async def export_audit(request: Request, deps: Dependencies) -> Reply:
    """Exports the filtered audit log as CSV, up to 100,000 entries."""
    user = request.text_option("user")
    async with deps.store.reading() as records:
        entries = await records.audit.page(
            request.workspace_id,
            what=request.text_option("what"),
            user=UserId(user) if user else None,
            limit=_AUDIT_EXPORTED,
        )
    text = request.words("audit.exported", count=len(entries))
    return Document(f"audit-{request.now:%Y-%m-%d}.csv", _audit_lines(entries), text)


async def _audit_lines(entries: Sequence[AuditEntry]) -> AsyncIterator[bytes]:
    yield "\ufeff".encode() + csv_line(["at", "user", "what", "details"])
    for entry in entries:
        details = " ".join(f"{name}={value}" for name, value in raw_details(entry).items())
        yield csv_line([entry.at.isoformat(), entry.user or "", entry.what, details])


def _author(entry: AuditEntry) -> str:
    return person_reference(entry.user) if entry.user else "attune"


async def _model_names(
    request: Request, entries: Sequence[AuditEntry], records: Records
) -> dict[str, str]:
    """Returns the short name of each model in the entries, by its id."""
    ids = {ModelName(str(one.details["model"])) for one in entries if "model" in one.details}
    models = [await records.models.find(request.workspace_id, one) for one in sorted(ids)]
    return {model.name: model.display_name for model in models if model is not None}
