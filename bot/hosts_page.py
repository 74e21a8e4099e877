"""The hosts page: the model hosts that a workspace may use, with a test of each."""

from __future__ import annotations

from bot.commands import Handlers
from bot.domain import HostName, Role
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Listing, ListingRow, Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.button("hosts", Role.TRAINER, is_for_pages=True)
async def list_hosts(request: Request, deps: Dependencies) -> Reply:
    """Lists the usable hosts with their base models and training methods."""
    words = request.words
    lines = []
    for name in deps.hosts.usable_names(request.workspace):
        host = deps.hosts.get(name)
        notes = [words(f"method.{method}") for method in host.profile.methods]
        if not host.profile.was_tested_live:
            notes.append(words("hosts.untried"))
        test = Button(words("button.test"), f"host.test:{name}")
        lines.append(
            ListingRow(name, ", ".join(host.bases) or "–", ", ".join(notes), buttons=(test,))
        )
    return Listing(words("hosts.title"), tuple(lines), note=words("hosts.note"))


@handlers.button("host.test", Role.OPERATOR, is_for_pages=True)
async def test_host(request: Request, deps: Dependencies) -> Reply:
    """Asks a host for its models, the cheapest request that needs its address and key."""
    host = deps.hosts.get_paid(HostName(request.argument), request.workspace)
    check = await host.check_access()
    lines = [request.words("hosts.answers", host=host.name, count=check.model_count)]
    if check.refusal is not None:
        lines.append(
            request.words("hosts.no_training", why=request.words.error_text(check.refusal))
        )
    return Text("\n".join(lines), private=True)
