"""Creates, shows and edits assistants, and binds them to channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot.commands import Handlers, Option, OptionKind
from bot.domain import (
    LOCAL,
    Assistant,
    AssistantId,
    Binding,
    ChannelId,
    Deployment,
    HostName,
    ModelName,
    Role,
    Sampling,
    Sources,
    Workspace,
    WorkspaceId,
)
from bot.errors import BadInput, NotFound, Outdated
from bot.mentions_and_times import channel_reference
from bot.ports.dependencies import Dependencies, Surfaces
from bot.ports.model_hosts import Hosts
from bot.ports.store import Records, Store
from bot.ports.surface import CanFindChannel
from bot.replies import Button, Card, Fact, Listing, ListingRow, Reply, Text
from bot.request import Request
from bot.undo_buttons import offer_undo
from bot.words import LANGUAGES, Words

handlers = Handlers()

_EFFORTS = ("none", "minimal", "low", "medium", "high")
_NAME = Option("name", OptionKind.ASSISTANT, takes_rest=True)
_SETTINGS = (
    Option.text("instructions"),
    Option.number("temperature", 0, 2),
    Option.integer("max_tokens", 1, 100_000),
    Option.number("top_p", 0, 1),
    Option.number("presence_penalty", -2, 2),
    Option.number("frequency_penalty", -2, 2),
    Option.choice("reasoning_effort", *_EFFORTS, "auto"),
    Option.text("stop"),
    Option.choice("language", "en", "zh", "auto"),
    Option("chat_host", OptionKind.HOST),
    Option("training_host", OptionKind.HOST),
    Option.text("base"),
    Option.yes_no("history"),
    Option.yes_no("threads"),
    Option.integer("few_shot", 0, 32),
    Option.integer("reviewers", 1, 9),
    Option.integer("offer_after_examples", 0, 10_000),
    Option.integer("offer_after_preferences", 0, 10_000),
    Option("judge_host", OptionKind.HOST),
    Option.text("judge_model"),
    Option.text("judge_criteria"),
    Option.text("tools"),
)


DEFAULT_ASSISTANT_NAME = "attune"
PLATFORMS_OPEN_TO_ANYBODY = frozenset({"discord"})
"""Platforms on which anybody can install the bot, so that a new workspace needs permission."""
BUILT_IN_TOOL_NAMES = ("search_examples", "today", "hand_over")
_FOR_MEMBERS = ("model", "base", "language", "history")


def initial_assistant(workspace: Workspace, *, hosts: Hosts) -> Assistant:
    """Returns the default assistant of a new workspace."""
    host = hosts.get_paid(hosts.default_host_for(workspace), workspace)
    return Assistant(
        id=AssistantId(0),
        workspace=workspace.id,
        name=DEFAULT_ASSISTANT_NAME,
        instructions="",
        sampling=Sampling(),
        language=None,
        chat_host=host.name,
        training_host=host.name,
        base=host.bases[0],
        is_default=True,
    )


async def ensure_workspace(workspace: WorkspaceId, *, store: Store, hosts: Hosts) -> None:
    """Stores a workspace and its default assistant unless they exist."""
    sources = Sources.MESSAGES if workspace == LOCAL else Sources.OUTSIDE
    new = Workspace(workspace, workspace, sources)
    new = replace(new, is_allowed=new.platform not in PLATFORMS_OPEN_TO_ANYBODY)
    assistant = initial_assistant(new, hosts=hosts)
    async with store.writing() as records:
        await records.workspaces.add(new)
        if await records.assistants.default(workspace) is None:
            await records.assistants.add(workspace, assistant)


@handlers.command(
    "assistant create", Role.ADMIN, Option.text("name", takes_rest=True, required=True), *_SETTINGS
)
async def create_assistant(request: Request, deps: Dependencies) -> Reply:
    name = request.text_option("name") or ""
    if not name or len(name) > 40:
        raise BadInput(problem=request.words("assistant.bad_name"))
    initial = replace(
        initial_assistant(request.workspace, hosts=deps.hosts), name=name, is_default=False
    )
    assistant = _changed(initial, request, hosts=deps.hosts)
    async with deps.store.writing() as records:
        if await records.assistants.find_by_name(request.workspace_id, name):
            raise BadInput(problem=request.words("assistant.taken", name=name))
        await records.assistants.add(request.workspace_id, assistant)
        await request.audit(records, "assistant.created", name=name)
    return Text(request.words("assistant.created", name=name))


@handlers.command("assistant show", Role.MEMBER, _NAME)
async def show_assistant(request: Request, deps: Dependencies) -> Reply:
    """Shows the settings of an assistant; members see only a few of them."""
    async with deps.store.reading() as records:
        assistant = await requested_assistant(request, records)
        deployment = await records.deployments.current(request.workspace_id, assistant.id)
        bindings = await records.assistants.bindings(request.workspace_id)
        model_name = await _model_display_name(request, assistant, deployment, records)
    words = request.words
    channels = [channel_reference(b.channel) for b in bindings if b.assistant == assistant.id]
    facts = {
        "instructions": assistant.instructions or words("none"),
        "model": model_name,
        "chat_host": assistant.chat_host,
        "training_host": assistant.training_host,
        "base": assistant.base,
        "channels": ", ".join(channels) or words("assistant.everywhere")
        if assistant.is_default or channels
        else words("none"),
        "language": assistant.language or words("assistant.asker_language"),
        **_sampling_facts(assistant.sampling),
        "history": words("yes" if assistant.history else "no"),
        "threads": words("yes" if assistant.threads else "no"),
        "few_shot": str(assistant.few_shot),
        "reviewers": str(assistant.reviewers),
        "offer_after_examples": str(assistant.offer_after_examples or words("none")),
        "offer_after_preferences": str(assistant.offer_after_preferences or words("none")),
        "judge_model": assistant.judge_model or words("none"),
        "judge_host": assistant.judge_host or words("none"),
        "judge_criteria": assistant.judge_criteria or words("none"),
        "tools": ", ".join(assistant.tools) or words("none"),
    }
    is_curator = request.role >= Role.CURATOR
    visible = facts if is_curator else {name: facts[name] for name in _FOR_MEMBERS}
    rows = tuple(Fact(words(f"assistant.{name}"), value, name) for name, value in visible.items())
    return Card(words("assistant.title", name=assistant.name), facts=rows, private=is_curator)


async def _model_display_name(
    request: Request, assistant: Assistant, current: Deployment | None, records: Records
) -> str:
    """Returns the display name of the model in use; `current` is the assistant's deployment."""
    if current is None:
        return assistant.base
    model = await records.models.find(request.workspace_id, current.model)
    return model.display_name if model else current.model


@handlers.command("assistant edit", Role.ADMIN, _NAME, *_SETTINGS)
async def edit_assistant(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        assistant = await requested_assistant(request, records)
        changed = _changed(assistant, request, hosts=deps.hosts)
        if changed == assistant:
            raise BadInput(problem=request.words("assistant.nothing_to_change"))
        await records.assistants.update(request.workspace_id, changed)
        await request.audit(records, "assistant.edited", name=changed.name)
        deployment = await records.deployments.current(request.workspace_id, assistant.id)
    if deployment is None and _answering_base(changed) != _answering_base(assistant):
        text = request.words("assistant.answers_with", name=changed.name, model=changed.base)
        return Text(text, is_for_all=changed.id == request.assistant.id)
    return Text(request.words("assistant.edited", name=changed.name))


def _answering_base(assistant: Assistant) -> tuple[ModelName, HostName]:
    """Returns the model that answers for an assistant without a tuned model, and its host."""
    return assistant.base, assistant.chat_host


@handlers.command(
    "assistant bind", Role.ADMIN, _NAME, Option.yes_no("always"), Option.yes_no("threads")
)
async def bind_channel(request: Request, deps: Dependencies) -> Reply:
    """Binds this channel to an assistant.

    With `always:yes` the bot answers messages that do not mention it. `threads` overrides whether
    the assistant answers in threads. Raises NotFound if a page names a channel that its platform
    does not have.
    """
    if request.is_page:
        await _check_channel(request, deps.surfaces)
    async with deps.store.writing() as records:
        assistant = await requested_assistant(request, records)
        binding = _new_binding(request, assistant)
        await records.assistants.bind(request.workspace_id, binding)
        await request.audit(records, "assistant.bound", channel=request.place.channel)
    key = "assistant.bound_always" if binding.answers_unasked else "assistant.bound"
    return Text(
        request.words(key, name=assistant.name),
        buttons=(_unbind_button(request, binding),),
        is_for_all=True,
    )


def _new_binding(request: Request, assistant: Assistant) -> Binding:
    """Returns the binding with the options `always` and `threads`.

    If only one of the two is given, the other keeps its value; if none is given, both are reset.
    """
    bound = request.binding
    if bound is None or bound.assistant != assistant.id:
        bound = Binding(request.place.channel, assistant.id, answers_unasked=False)
    has_always, has_threads = map(request.text_option, ("always", "threads"))
    always = bound.answers_unasked if has_threads and not has_always else False
    threads = bound.threads if has_always and not has_threads else None
    if has_always:
        always = request.yes_no_option("always", default=False)
    if has_threads:
        threads = request.yes_no_option("threads", default=False)
    return Binding(request.place.channel, assistant.id, always, threads)


@handlers.button("assistant.unbind", Role.ADMIN)
async def unbind_listed_channel(request: Request, deps: Dependencies) -> Reply:
    """Unbinds a channel by the button beside it, unless its binding has changed since."""
    shown_assistant, _, channel = request.argument.partition(":")
    place = replace(request.place, channel=ChannelId(channel))
    in_channel = replace(request, event=replace(request.event, place=place))
    return await _unbind(in_channel, deps, shown_assistant=shown_assistant)


async def _check_channel(request: Request, surfaces: Surfaces) -> None:
    surface = surfaces.surface_of(request.workspace_id)
    if isinstance(surface, CanFindChannel) and not await surface.has_channel(request.place):
        raise NotFound(noun="channel", name=request.place.channel)


def _unbind_button(request: Request, bound: Binding) -> Button:
    action = f"assistant.unbind:{bound.assistant}:{bound.channel}"
    return Button(request.words("button.unbind"), action)


@handlers.command("assistant unbind", Role.ADMIN)
async def unbind_channel(request: Request, deps: Dependencies) -> Reply:
    return await _unbind(request, deps)


async def _unbind(
    request: Request, deps: Dependencies, *, shown_assistant: str | None = None
) -> Reply:
    """Unbinds the channel, so that the default assistant answers in it.

    Raises Outdated if the channel is not bound to `shown_assistant`, the id that a button shows.
    """
    async with deps.store.writing() as records:
        channel = request.place.channel
        bound = await records.assistants.binding(request.workspace_id, channel)
        if bound is None:
            return Text(request.words("assistant.not_bound"))
        if shown_assistant is not None and shown_assistant != str(bound.assistant):
            raise Outdated(
                problem=request.words("assistant.bound_anew", channel=channel_reference(channel))
            )
        await records.assistants.unbind(request.workspace_id, channel)
        await request.audit(records, "assistant.unbound", channel=channel)
        values = {"channel": channel, "assistant": bound.assistant}
        values |= {"always": bound.answers_unasked, "threads": bound.threads}
        undo = await offer_undo(request, records, "binding", values)
    return Text(request.words("assistant.unbound"), buttons=(undo,), is_for_all=True)


@handlers.command("assistant list", Role.MEMBER)
async def list_assistants(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        assistants = await records.assistants.all(request.workspace_id)
        lines = []
        for assistant in assistants:
            current = await records.deployments.current(request.workspace_id, assistant.id)
            model = await _model_display_name(request, assistant, current, records)
            lines.append(
                ListingRow(
                    str(assistant.id), assistant.name, request.words("list.model", model=model)
                )
            )
    return Listing(request.words("assistant.list", count=len(lines)), tuple(lines))


@handlers.button("bindings", Role.CURATOR, is_for_pages=True)
async def list_bindings(request: Request, deps: Dependencies) -> Reply:
    """Lists the channels that are bound to an assistant."""
    async with deps.store.reading() as records:
        bindings = await records.assistants.bindings(request.workspace_id)
        assistants = await records.assistants.all(request.workspace_id)
    names = {assistant.id: assistant.name for assistant in assistants}
    lines = tuple(
        ListingRow(
            binding.channel,
            names.get(binding.assistant, "–"),
            _describe_binding(binding, request.words),
            buttons=(_unbind_button(request, binding),),
        )
        for binding in bindings
    )
    return Listing(request.words("bindings.title"), lines, empty=request.words("bindings.empty"))


def _describe_binding(binding: Binding, words: Words) -> str:
    parts = [words("channel.always" if binding.answers_unasked else "channel.mentioned")]
    if binding.threads is not None:
        parts.append(words("channel.threads" if binding.threads else "channel.no_threads"))
    return " · ".join(parts)


async def requested_assistant(request: Request, records: Records) -> Assistant:
    """Returns the assistant of the option `name` or `assistant`, else the one of the channel.

    Raises NotFound.
    """
    name = request.text_option("name") or request.text_option("assistant")
    if name is None:
        return request.assistant
    assistant = await records.assistants.find_by_name(request.workspace_id, name)
    if assistant is None:
        raise NotFound(noun="assistant", name=name)
    return assistant


def _changed(assistant: Assistant, request: Request, *, hosts: Hosts) -> Assistant:
    """Returns the assistant with the settings that the request's options change."""
    changed = _with_texts(assistant, request)
    changed = replace(changed, sampling=_sampling(changed.sampling, request))
    changed = _with_judge(_with_offers(changed, request), request, hosts=hosts)
    return _with_hosts(changed, request, hosts=hosts)


def _with_judge(assistant: Assistant, request: Request, *, hosts: Hosts) -> Assistant:
    """Returns the assistant with the options of the judge model; `judge_model:off` removes it."""
    model, host = request.text_option("judge_model"), request.text_option("judge_host")
    if model == "off":
        return replace(assistant, judge_model=None, judge_host=None)
    if host is not None:
        judge_host = hosts.get_paid(HostName(host), request.workspace).name
        assistant = replace(assistant, judge_host=judge_host)
    criteria = request.options.get("judge_criteria", assistant.judge_criteria).strip()
    judge_model = ModelName(model) if model else assistant.judge_model
    return replace(assistant, judge_model=judge_model, judge_criteria=criteria)


def _with_offers(assistant: Assistant, request: Request) -> Assistant:
    """Returns the assistant with the numbers of new rows after which a training is offered.

    The offers are made in the channel of the request. 0 turns them off.
    """
    names = ("offer_after_examples", "offer_after_preferences")
    given = {
        name: request.integer_option(name) or None for name in names if request.text_option(name)
    }
    if not given:
        return assistant
    examples = given.get(names[0], assistant.offer_after_examples)
    preferences = given.get(names[1], assistant.offer_after_preferences)
    return replace(
        assistant,
        offer_after_examples=examples,
        offer_after_preferences=preferences,
        offer_channel=request.place.channel if examples or preferences else None,
    )


def _with_texts(assistant: Assistant, request: Request) -> Assistant:
    language = request.text_option("language")
    if language and language not in (*LANGUAGES, "auto"):
        problem = request.words(
            "option.choice",
            option="language",
            choices=", ".join((*LANGUAGES, "auto")),
            value=language,
        )
        raise BadInput(problem=problem)
    few_shot, reviewers = request.integer_option("few_shot"), request.integer_option("reviewers")
    return replace(
        assistant,
        instructions=request.options.get("instructions", assistant.instructions).strip(),
        language=assistant.language if language is None else _none_if(language, "auto"),
        history=request.yes_no_option("history", default=assistant.history),
        threads=request.yes_no_option("threads", default=assistant.threads),
        tools=_tools(assistant, request),
        few_shot=assistant.few_shot if few_shot is None else few_shot,
        reviewers=reviewers or assistant.reviewers,
    )


def _tools(assistant: Assistant, request: Request) -> tuple[str, ...]:
    """Returns the tools of the option: names separated by commas, "all" or "off"."""
    given = request.text_option("tools")
    if given is None:
        return assistant.tools
    names = [name.strip().lower() for name in given.replace("，", ",").split(",")]
    if names in (["all"], ["off"]):
        return tuple(BUILT_IN_TOOL_NAMES) if names == ["all"] else ()
    for name in names:
        if name not in BUILT_IN_TOOL_NAMES:
            choices = ", ".join((*BUILT_IN_TOOL_NAMES, "all", "off"))
            raise BadInput(
                problem=request.words("option.choice", option="tools", choices=choices, value=name)
            )
    return tuple(dict.fromkeys(names))


def _none_if(value: str, empty: str) -> str | None:
    return None if value == empty else value


def _sampling(sampling: Sampling, request: Request) -> Sampling:
    """Returns the sampling with the options given; "auto" leaves a value to the host."""
    numbers: dict[str, float | int | None] = {}
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        old = getattr(sampling, name)
        numbers[name] = request.number_option(name) if request.text_option(name) else old
    tokens = (
        request.integer_option("max_tokens")
        if request.text_option("max_tokens")
        else sampling.max_tokens
    )
    effort = request.text_option("reasoning_effort") or sampling.reasoning_effort
    stop = request.text_option("stop")
    stops = sampling.stop if stop is None else _stops(stop, request.words)
    return Sampling(
        temperature=numbers["temperature"],
        max_tokens=tokens,
        top_p=numbers["top_p"],
        presence_penalty=numbers["presence_penalty"],
        frequency_penalty=numbers["frequency_penalty"],
        reasoning_effort=None if effort == "auto" else effort,
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
    """Returns the sampling values that are set, as text by name."""
    values = {
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "reasoning_effort": sampling.reasoning_effort,
        "stop": " | ".join(sampling.stop) or None,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _with_hosts(assistant: Assistant, request: Request, *, hosts: Hosts) -> Assistant:
    chat, training = request.text_option("chat_host"), request.text_option("training_host")
    changed = replace(
        assistant,
        chat_host=_host(chat, assistant.chat_host, request, hosts=hosts),
        training_host=_host(training, assistant.training_host, request, hosts=hosts),
    )
    base = request.text_option("base")
    if base:
        return replace(changed, base=ModelName(base))
    host = hosts.get(changed.training_host)
    if changed.training_host != assistant.training_host and host.bases:
        return replace(changed, base=host.bases[0])
    return changed


def _host(name: str | None, current: HostName, request: Request, *, hosts: Hosts) -> HostName:
    if name is None:
        return hosts.get(current).name
    return hosts.get_paid(HostName(name), request.workspace).name
