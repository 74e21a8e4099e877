"""Assistants: made, shown, edited, bound to channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.domain import (
    LOCAL,
    Assistant,
    AssistantId,
    Binding,
    ChannelId,
    HostName,
    ModelName,
    Role,
    Sampling,
    Sources,
    Workspace,
    WorkspaceId,
)
from bot.errors import BadInput, NotFound
from bot.ports.dependencies import Surfaces
from bot.ports.provider import Hosts
from bot.ports.store import Records, Store
from bot.ports.surface import CanFindChannel
from bot.replies import Button, Card, Fact, Listing, ListingRow, Reply, Text
from bot.request import Request
from bot.undo_offers import offer_undo
from bot.words import LANGUAGES, Words

DEFAULT_NAME = "attune"
OPEN_PLATFORMS = frozenset({"discord"})
"""Where anybody may invite the bot into a place of theirs, at the cost of whoever runs it."""
_FOR_MEMBERS = ("model", "base", "language", "history")


def first(workspace: Workspace, *, hosts: Hosts) -> Assistant:
    """The assistant a new workspace starts with."""
    host = hosts.paid(hosts.first_for(workspace), workspace)
    return Assistant(
        id=AssistantId(0),
        workspace=workspace.id,
        name=DEFAULT_NAME,
        instructions="",
        sampling=Sampling(),
        language=None,
        chat_host=host.name,
        training_host=host.name,
        base=host.bases[0],
        is_default=True,
    )


async def settle(workspace: WorkspaceId, *, store: Store, hosts: Hosts) -> None:
    """First contact: a workspace with its default assistant; nothing if it stands already."""
    sources = Sources.MESSAGES if workspace == LOCAL else Sources.OUTSIDE
    new = Workspace(workspace, workspace, sources)
    new = replace(new, is_allowed=new.platform not in OPEN_PLATFORMS)
    fresh = first(new, hosts=hosts)
    async with store.writing() as records:
        await records.workspaces.add(new)
        if await records.assistants.default(workspace) is None:
            await records.assistants.add(workspace, fresh)


async def create(ask: Request, *, store: Store, hosts: Hosts) -> Reply:
    name = ask.text("name") or ""
    if not name or len(name) > 40:
        raise BadInput(problem=ask.words("assistant.bad_name"))
    fresh = replace(first(ask.workspace, hosts=hosts), name=name, is_default=False)
    wanted = _changed(fresh, ask, hosts=hosts)
    async with store.writing() as records:
        if await records.assistants.named(ask.id, name):
            raise BadInput(problem=ask.words("assistant.taken", name=name))
        await records.assistants.add(ask.id, wanted)
        await records.audit.add(ask.id, ask.by, "assistant.created", at=ask.now, name=name)
    return Text(ask.words("assistant.created", name=name))


async def show(ask: Request, *, store: Store) -> Reply:
    """How it is set up; its instructions and channels are for curators."""
    async with store.reading() as records:
        assistant = await chosen(ask, records)
        deployment = await records.deployments.current(ask.id, assistant.id)
        bindings = await records.assistants.bindings(ask.id)
    words = ask.words
    channels = [f"#{b.channel}" for b in bindings if b.assistant == assistant.id]
    answers = deployment.model if deployment else assistant.base
    facts = {
        "instructions": assistant.instructions or words("none"),
        "model": answers,
        "chat_host": assistant.chat_host,
        "training_host": assistant.training_host,
        "base": assistant.base,
        "channels": ", ".join(channels) or words("assistant.everywhere")
        if assistant.is_default or channels
        else words("none"),
        "language": assistant.language or words("assistant.asker_language"),
        **_sampling_facts(assistant.sampling),
        "history": words("yes" if assistant.history else "no"),
        "few_shot": str(assistant.few_shot),
    }
    kept = facts if ask.role >= Role.CURATOR else {n: facts[n] for n in _FOR_MEMBERS}
    shown = tuple(Fact(words(f"assistant.{name}"), value, name) for name, value in kept.items())
    return Card(words("assistant.title", name=assistant.name), facts=shown)


async def edit(ask: Request, *, store: Store, hosts: Hosts) -> Reply:
    async with store.writing() as records:
        assistant = await chosen(ask, records)
        wanted = _changed(assistant, ask, hosts=hosts)
        if wanted == assistant:
            raise BadInput(problem=ask.words("assistant.nothing_to_change"))
        await records.assistants.update(ask.id, wanted)
        await records.audit.add(ask.id, ask.by, "assistant.edited", at=ask.now, name=wanted.name)
    return Text(ask.words("assistant.edited", name=wanted.name))


async def bind(ask: Request, *, store: Store, surfaces: Surfaces) -> Reply:
    """This channel is answered by the named assistant, unasked if `always:yes`.

    A page names a channel; there must be one, as far as its platform can tell.
    """
    if ask.is_page:
        await _check_channel(ask, surfaces)
    always = ask.yes("always", default=False)
    async with store.writing() as records:
        assistant = await chosen(ask, records)
        binding = Binding(ask.place.channel, assistant.id, always)
        await records.assistants.bind(ask.id, binding)
        await records.audit.add(
            ask.id, ask.by, "assistant.bound", at=ask.now, channel=ask.place.channel
        )
    key = "assistant.bound_always" if always else "assistant.bound"
    return Text(
        ask.words(key, name=assistant.name), buttons=(_unbind_button(ask, ask.place.channel),)
    )


async def unbind_named(ask: Request, *, store: Store) -> Reply:
    """The button beside a channel."""
    place = replace(ask.place, channel=ChannelId(ask.argument))
    return await unbind(replace(ask, event=replace(ask.event, place=place)), store=store)


async def _check_channel(ask: Request, surfaces: Surfaces) -> None:
    surface = surfaces.of(ask.id)
    if isinstance(surface, CanFindChannel) and not await surface.find_channel(ask.place):
        raise NotFound(noun="channel", name=ask.place.channel)


def _unbind_button(ask: Request, channel: ChannelId) -> Button:
    return Button(ask.words("button.unbind"), f"assistant.unbind:{channel}")


async def unbind(ask: Request, *, store: Store) -> Reply:
    async with store.writing() as records:
        channel = ask.place.channel
        bound = await records.assistants.binding(ask.id, channel)
        if bound is None:
            return Text(ask.words("assistant.not_bound"))
        await records.assistants.unbind(ask.id, channel)
        await records.audit.add(ask.id, ask.by, "assistant.unbound", at=ask.now, channel=channel)
        held = {"channel": channel, "assistant": bound.assistant, "always": bound.always}
        undo = await offer_undo(ask, records, "binding", held)
    return Text(ask.words("assistant.unbound"), buttons=(undo,))


async def listing(ask: Request, *, store: Store) -> Reply:
    async with store.reading() as records:
        assistants = await records.assistants.all(ask.id)
        lines = []
        for assistant in assistants:
            current = await records.deployments.current(ask.id, assistant.id)
            model = current.model if current else assistant.base
            lines.append(
                ListingRow(str(assistant.id), assistant.name, ask.words("list.model", model=model))
            )
    return Listing(ask.words("assistant.list", count=len(lines)), tuple(lines))


async def bindings(ask: Request, *, store: Store) -> Reply:
    """Which assistant answers in which channel, where it is not the default one."""
    async with store.reading() as records:
        found = await records.assistants.bindings(ask.id)
        names = {one.id: one.name for one in await records.assistants.all(ask.id)}
    lines = tuple(
        ListingRow(
            one.channel,
            names.get(one.assistant, "–"),
            ask.words("channel.always" if one.always else "channel.mentioned"),
            buttons=(_unbind_button(ask, one.channel),),
        )
        for one in found
    )
    return Listing(ask.words("bindings.title"), lines, empty=ask.words("bindings.empty"))


async def chosen(ask: Request, records: Records) -> Assistant:
    """The assistant that `name:` or `assistant:` says, else the one that answers here."""
    name = ask.text("name") or ask.text("assistant")
    if name is None:
        return ask.assistant
    found = await records.assistants.named(ask.id, name)
    if found is None:
        raise NotFound(noun="assistant", name=name)
    return found


def _changed(assistant: Assistant, ask: Request, *, hosts: Hosts) -> Assistant:
    changed = _with_texts(assistant, ask)
    changed = replace(changed, sampling=_sampling(changed.sampling, ask))
    return _with_hosts(changed, ask, hosts=hosts)


def _with_texts(assistant: Assistant, ask: Request) -> Assistant:
    language = ask.text("language")
    if language and language not in (*LANGUAGES, "auto"):
        known = ", ".join((*LANGUAGES, "auto"))
        raise BadInput(
            problem=ask.words("option.choice", option="language", choices=known, value=language)
        )
    few_shot = ask.integer("few_shot")
    return replace(
        assistant,
        instructions=ask.options.get("instructions", assistant.instructions).strip(),
        language=assistant.language if language is None else _unless(language, "auto"),
        history=ask.yes("history", default=assistant.history),
        few_shot=assistant.few_shot if few_shot is None else few_shot,
    )


def _unless(value: str, empty: str) -> str | None:
    return None if value == empty else value


def _sampling(sampling: Sampling, ask: Request) -> Sampling:
    """Given numbers replace the old ones; the word "auto" leaves it to the host again."""
    kept: dict[str, float | int | None] = {}
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        old = getattr(sampling, name)
        kept[name] = ask.number(name) if ask.text(name) else old
    tokens = ask.integer("max_tokens") if ask.text("max_tokens") else sampling.max_tokens
    stop = ask.text("stop")
    stops = sampling.stop if stop is None else _stops(stop, ask.words)
    return Sampling(
        temperature=kept["temperature"],
        max_tokens=tokens,
        top_p=kept["top_p"],
        presence_penalty=kept["presence_penalty"],
        frequency_penalty=kept["frequency_penalty"],
        stop=stops,
    )


def _stops(text: str, words: Words) -> tuple[str, ...]:
    if text == "auto":
        return ()
    stops = tuple(part for part in text.split("|") if part)
    if len(stops) > 4:
        raise BadInput(problem=words("assistant.too_many_stops"))
    return stops


def _sampling_facts(sampling: Sampling) -> Mapping[str, str]:
    """Only what was set; the rest is the host's own choice."""
    values = {
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "stop": " | ".join(sampling.stop) or None,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _with_hosts(assistant: Assistant, ask: Request, *, hosts: Hosts) -> Assistant:
    chat, training = ask.text("chat_host"), ask.text("training_host")
    changed = replace(
        assistant,
        chat_host=_host(chat, assistant.chat_host, ask, hosts=hosts),
        training_host=_host(training, assistant.training_host, ask, hosts=hosts),
    )
    base = ask.text("base")
    if base:
        return replace(changed, base=ModelName(base))
    host = hosts.get(changed.training_host)
    if changed.training_host != assistant.training_host and host.bases:
        return replace(changed, base=host.bases[0])
    return changed


def _host(wanted: str | None, current: HostName, ask: Request, *, hosts: Hosts) -> HostName:
    if wanted is None:
        return hosts.get(current).name
    return hosts.paid(HostName(wanted), ask.workspace).name
