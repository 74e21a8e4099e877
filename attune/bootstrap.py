"""Composition root: constructs all components and wires their dependencies."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

from dotenv import dotenv_values
from pydantic import SecretStr

from adapters.discord.api_port import Access as DiscordAccess
from adapters.local_room import LocalRoom
from adapters.openai.hosts_file import (
    LANGUAGE_MODELS_HOST,
    ConfiguredHosts,
    HostConfig,
    default_host,
    read_hosts,
)
from adapters.signed_links import SignedLinks
from adapters.slack.api_port import Access
from attune.change_topics import Topics
from attune.embedded_tuner import API_KEY_VARIABLE, TunerAddress
from attune.engine.background_installation import EngineManager
from attune.engine.engine_folder import EngineFolder
from attune.model_export import EmbeddedModels
from attune.settings import Settings
from attune.starters import Starters
from bot.canary.watcher import CanaryWatcher
from bot.command_catalogue import CATALOGUE, NOTICE_RENDERERS
from bot.daily_token_budget import TokenBudget
from bot.dispatch import Dispatch
from bot.domain import HostName, RequestedAction, VoteState, WorkspaceId
from bot.domain.ids import platform_of
from bot.errors import PlaceClosed, SettingsError
from bot.evaluation.runner import EvaluationRunner
from bot.events import Event
from bot.example_index import ExampleIndex
from bot.inbox_writer import SpawnTask
from bot.judging.runner import JudgeRunner
from bot.outbox import deliver_notices
from bot.ports.dependencies import Dependencies, ProgressCallback
from bot.ports.form_links import Links
from bot.ports.nearest_examples import TextIndex
from bot.ports.store import Clock, Store
from bot.ports.surface import Surface
from bot.replies import Reply
from bot.running_answers import RunningAnswers
from bot.synthetic.runner import SyntheticRunner
from bot.tuning.polling import JobPoller
from bot.tuning.retries import RetryLimits
from bot.tuning.training_offers import TrainingOfferer
from bot.votes.runner import VoteRunner
from bot.words import Words
from bot.workspace_removal import WorkspaceRemovals
from storage.import_folder import ImportFolder

if TYPE_CHECKING:
    from adapters.discord.adapter import Discord
    from adapters.slack.adapter import Slack


class Surfaces:
    """The surfaces by platform."""

    def __init__(self, by_platform: Mapping[str, Surface]) -> None:
        self._by_platform = by_platform

    def surface_of(self, workspace: WorkspaceId) -> Surface:
        """Returns the surface of a workspace. Raises PlaceClosed if its platform is off."""
        platform = platform_of(workspace)
        try:
            return self._by_platform[platform]
        except KeyError:
            raise PlaceClosed(message=f"{platform} is not configured") from None


@dataclass(frozen=True, slots=True)
class Runners:
    """The background runners, which loops of `attune.background_loops` poll."""

    jobs: JobPoller
    evaluations: EvaluationRunner
    votes: VoteRunner
    canaries: CanaryWatcher
    offers: TrainingOfferer
    judges: JudgeRunner
    synthetic: SyntheticRunner
    removals: WorkspaceRemovals
    job_wakes: Mapping[HostName | None, asyncio.Event]
    """Events that wake the job poller of each host; None is for hosts no longer configured."""

    def wake(self) -> None:
        """Wakes all runners, so that they poll now instead of after their pause."""
        by_host = (
            self.job_wakes,
            self.evaluations.wakes,
            self.judges.wakes,
            self.synthetic.wakes,
        )
        for wake in (
            self.votes.wake,
            self.canaries.wake,
            *(wake for wakes in by_host for wake in wakes.values()),
        ):
            wake.set()


@dataclass(frozen=True, slots=True)
class App:
    """All components of the service; implements `bot.ports.dependencies.App`."""

    dispatch: Dispatch
    runners: Runners
    room: LocalRoom
    store: Store
    surfaces: Surfaces
    clock: Clock
    topics: Topics
    running_tasks: set[asyncio.Task[None]]
    links: Links
    engine: EngineManager
    slack: Slack | None = None
    discord: Discord | None = None

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        return await self.dispatch.handle(event)

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        return await self.dispatch.handle_for_page(event, progress=progress)

    async def handle_read_only(self, event: Event) -> Reply:
        return await self.dispatch.answer_page_query(event)

    def watch_changes(self, topic: str) -> AsyncIterator[str]:
        return self.topics.watch(topic)

    async def is_idle(self, workspace: WorkspaceId) -> bool:
        """Whether nothing is running in a workspace; a paused job does not count."""
        if self.running_tasks - {asyncio.current_task()}:
            return False
        async with self.store.reading() as records:
            jobs = await records.jobs.list_open_in_workspace(workspace)
            busy = {judging.workspace for judging in await records.judgings.list_open()}
            busy |= {run.workspace for run in await records.synthetic_runs.list_open()}
            votes = await records.blind_votes.list_open()
            is_evaluating = bool(await records.evaluations.list_open_in_workspace(workspace))
            is_outbox_empty = await records.outbox.is_empty(workspace)
        is_training = any(
            job.status != "paused" or job.requested_action is RequestedAction.RESUME for job in jobs
        )
        # An open vote waits for people; in its other states the bot is working on it.
        busy |= {vote.workspace for vote in votes if vote.state is not VoteState.OPEN}
        is_busy = is_training or is_evaluating or workspace in busy
        return is_outbox_empty and not is_busy

    async def has_closed_workspace(self, platform: str) -> bool:
        async with self.store.reading() as records:
            removed = await records.workspaces.list_removed_or_closed()
        return any(workspace.platform == platform and workspace.closed_at for workspace in removed)

    def translate(self, key: str, locale: str = "en", /, **details: object) -> str:
        return _translate(key, locale, **details)

    async def deliver_notices(self) -> int:
        """Delivers the notices that are due; returns how many were delivered."""
        return await deliver_notices(
            store=self.store, surfaces=self.surfaces, clock=self.clock, wordings=NOTICE_RENDERERS
        )


def build_app(
    settings: Settings,
    *,
    store: Store,
    hosts: ConfiguredHosts,
    group: asyncio.TaskGroup,
    clock: Clock,
    platforms: Mapping[str, Surface] | None = None,
) -> App:
    """Constructs the app; starts nothing. `platforms` are further surfaces, for tests."""
    topics, busy = Topics(), set[asyncio.Task[None]]()
    room = _room(settings, store, clock, topics)
    slack, discord = slack_of(settings, clock), discord_of(settings, clock, store)
    surfaces = _surfaces(room, slack, discord, platforms or {})
    engine = EngineManager(settings, group, lambda: topics.publish_and_wake("hosts"))
    answers, links = RunningAnswers(), links_of(settings)
    deps = Dependencies(
        store=store,
        hosts=hosts,
        surfaces=surfaces,
        clock=clock,
        links=links,
        imports=ImportFolder(settings.data_dir / "imports"),
        running_answers=answers,
        token_reservations=TokenBudget(store),
        nearest_examples=_example_index(store, clock, group),
        admins=settings.admin_keys,
        starters=Starters(),
        wake_runners=lambda: runners.wake(),
        publish_change=topics.publish_and_wake,
        engine=engine,
        exporter=EmbeddedModels(settings),
        erase_after=timedelta(days=settings.erase_after_days),
    )
    runners = _runners(settings, deps, hosts.configured_names())
    spawn = _spawner(group, busy)
    dispatch = Dispatch(deps=deps, catalogue=CATALOGUE, answers=answers, spawn=spawn)
    return App(
        dispatch, runners, room, store, surfaces, clock, topics, busy, links, engine, slack, discord
    )


async def create_text_index() -> TextIndex:
    """Returns an empty index; its libraries are imported in a worker thread when first needed."""
    module = await asyncio.to_thread(import_module, "adapters.meaning_index")
    index: TextIndex = module.MeaningIndex()
    return index


def _example_index(store: Store, clock: Clock, group: asyncio.TaskGroup) -> ExampleIndex:
    return ExampleIndex(
        store=store,
        clock=clock,
        create_index=create_text_index,
        start_task=lambda work: group.create_task(work, name="example index"),
    )


def _runners(settings: Settings, deps: Dependencies, hosts: Iterable[HostName]) -> Runners:
    names = (*hosts, None)
    job_wakes = {host: asyncio.Event() for host in names}
    store, clock = deps.store, deps.clock
    return Runners(
        JobPoller(store=store, hosts=deps.hosts, clock=clock, limits=_retry_limits(settings)),
        EvaluationRunner(
            store=store,
            hosts=deps.hosts,
            clock=clock,
            tokens=deps.token_reservations,
            nearest_examples=deps.nearest_examples,
        ),
        VoteRunner(store=store, clock=clock),
        CanaryWatcher(store=store, clock=clock),
        TrainingOfferer(deps),
        JudgeRunner(store=store, hosts=deps.hosts, clock=clock, tokens=deps.token_reservations),
        SyntheticRunner(store=store, hosts=deps.hosts, clock=clock, tokens=deps.token_reservations),
        WorkspaceRemovals(
            store=store, surfaces=deps.surfaces, clock=clock, erase_after=deps.erase_after
        ),
        job_wakes,
    )


def _surfaces(
    room: LocalRoom,
    slack: Slack | None,
    discord: Discord | None,
    platforms: Mapping[str, Surface],
) -> Surfaces:
    connections = {"slack": slack, "discord": discord}
    connected = {name: c.surface for name, c in connections.items() if c is not None}
    return Surfaces({"local": room, **connected, **platforms})


def _retry_limits(settings: Settings) -> RetryLimits:
    return RetryLimits.of_hours(start=settings.start_patience, job=settings.job_patience)


def _room(settings: Settings, store: Store, clock: Clock, topics: Topics) -> LocalRoom:
    return LocalRoom(
        store,
        clock,
        lambda change: topics.publish("room"),
        exports=settings.data_dir / "exports",
        run=secrets.token_hex(4),
    )


def links_of(settings: Settings) -> Links:
    """Returns the signer of links; without a key in the settings, links end with the process."""
    key = settings.secret_key
    return SignedLinks(
        settings.public_url,
        key.get_secret_value() if key else secrets.token_hex(32),
        local_url=settings.local_url,
    )


def slack_of(settings: Settings, clock: Clock) -> Slack | None:
    """Returns Slack's connection, or None without its tokens."""
    access = slack_access(settings)
    if access is None:
        return None
    # Imported only if needed, as Slack's libraries take a third of a second.
    from adapters.slack.adapter import Slack

    return Slack(access, CATALOGUE, clock, _translate)


def slack_access(settings: Settings) -> Access | None:
    """Returns Slack's tokens, or None without a bot token.

    Raises SettingsError if the token or secret of its mode is missing.
    """
    if settings.slack_bot_token is None:
        return None
    is_http = settings.slack_mode == "http"
    app_token, secret = settings.slack_app_token, _stripped(settings.slack_signing_secret)
    if is_http and not secret:
        raise SettingsError(
            variable="SLACK_SIGNING_SECRET",
            problem="HTTP mode cannot tell Slack from strangers without it",
            remedy="Copy the Signing Secret from the app's Basic Information.",
        )
    if not is_http and app_token is None:
        raise SettingsError(
            variable="SLACK_APP_TOKEN",
            problem="Socket Mode needs it beside SLACK_BOT_TOKEN",
            remedy="Make an app-level token (xapp-…) with the scope connections:write.",
        )
    return Access(
        bot_token=settings.slack_bot_token.get_secret_value(),
        app_token=app_token.get_secret_value() if app_token else "",
        signing_secret=secret,
        api_url=settings.slack_api_url,
        is_http=is_http,
    )


def _stripped(secret: SecretStr | None) -> str:
    """Returns a secret without blanks around it; blanks alone count as no secret."""
    return secret.get_secret_value().strip() if secret else ""


def discord_of(settings: Settings, clock: Clock, store: Store) -> Discord | None:
    """Returns Discord's connection, or None without its token."""
    access = discord_access(settings)
    if access is None:
        return None
    from adapters.discord.adapter import Discord

    return Discord(
        access, CATALOGUE, clock, _translate_for_discord, store=store, folder=settings.data_dir
    )


def discord_access(settings: Settings) -> DiscordAccess | None:
    if settings.discord_token is None:
        return None
    return DiscordAccess(
        token=settings.discord_token.get_secret_value(),
        api_url=settings.discord_api_url,
        gateway_url=settings.discord_gateway_url,
        development_guild=settings.discord_guild,
    )


def _translate_for_discord(key: str, locale: str = "en", /, **details: object) -> str:
    return Words(locale, "discord")(key, **details)


def _translate(key: str, locale: str = "en", /, **details: object) -> str:
    return Words(locale)(key, **details)


def configured_hosts(settings: Settings, tuner: TunerAddress) -> ConfiguredHosts:
    """Returns the sandbox, the host `default`, those of the hosts file, and the local models."""
    configs = [
        HostConfig(
            name="sandbox",
            profile="sandbox",
            base_url=f"{tuner.url}/v1",
            key_env=API_KEY_VARIABLE,
            bases=("sandbox",),
            prices={"sandbox": 0.0},
        )
    ]
    keys = {API_KEY_VARIABLE: tuner.key}
    if settings.openai_api_key or settings.openai_base_url:
        bases = [settings.base_model] if settings.base_model else []
        configs.append(
            default_host(
                base_url=settings.openai_base_url or None,
                has_key=settings.openai_api_key is not None,
                bases=bases,
            )
        )
    if settings.openai_api_key:
        keys["OPENAI_API_KEY"] = settings.openai_api_key.get_secret_value()
    if settings.hosts is not None:
        configs.extend(read_hosts(settings.hosts))
    _refuse_without_base(configs)
    configs.append(_language_models(settings, tuner))
    return ConfiguredHosts(
        configs,
        keys={**_environment_keys(configs), **keys},
        allowed=settings.allowed_workspaces,
    )


def _language_models(settings: Settings, tuner: TunerAddress) -> HostConfig:
    """Returns the host of the installed language models, which the embedded tuner serves."""
    models = EngineFolder(settings.data_dir).models()
    return HostConfig(
        name=LANGUAGE_MODELS_HOST,
        profile="attune",
        base_url=f"{tuner.url}/v1",
        key_env=API_KEY_VARIABLE,
        bases=tuple(model.name for model in models),
    )


def _refuse_without_base(configs: list[HostConfig]) -> None:
    """Raises SettingsError for a host without a base model."""
    for config in configs:
        if not config.bases and not config.prices and not config.kind.prices:
            is_default = config.name == "default"
            raise SettingsError(
                variable="ATTUNE_BASE_MODEL" if is_default else "ATTUNE_HOSTS",
                problem=f"the host {config.name} names no model to start from",
                remedy="Set it to one that the host can tune."
                if is_default
                else "Give it bases = [...].",
            )


def _environment_keys(configs: list[HostConfig]) -> dict[str, str]:
    """Returns the keys that the hosts need, from the environment or `.env`, by variable."""
    names = {name for config in configs for name in config.key_names}
    variables = {**dotenv_values(".env"), **os.environ}
    return {name: value for name in names if (value := variables.get(name))}


def _spawner(group: asyncio.TaskGroup, busy: set[asyncio.Task[None]]) -> SpawnTask:
    """Returns a function that starts tasks in the group and keeps them in `busy` until done."""

    def spawn(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = group.create_task(work, name=name)
        busy.add(task)
        task.add_done_callback(busy.discard)
        return task

    return spawn
