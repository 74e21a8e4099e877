"""The command `attune doctor`: checks the installation and says how to mend what is missing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from adapters.openai.hosts_file import SANDBOX_HOST, ConfiguredHosts
from adapters.openai.openai_host import OpenAIHost
from attune.background_loops import data_lock
from attune.bootstrap import configured_hosts, discord_access, slack_access
from attune.data_folder import private_folder
from attune.embedded_tuner import TunerAddress, embedded_tuner
from attune.settings import Settings
from bot.domain import HostName, ModelName, Sampling
from bot.errors import (
    EmptyAnswer,
    FolderTaken,
    HostError,
    HostNotFound,
    HostTimeout,
    SettingsError,
    TuningGone,
    WrongAddress,
)
from bot.ports.model_hosts import Serving
from bot.words import Words
from storage.database import Database
from storage.migrations.migrate import migrate

_MAX_WAIT = 20.0
"""Seconds to wait for a host's response."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check; `remedy` says what to do and is empty if all is well."""

    what: str
    is_well: bool
    remedy: str = ""


async def check_installation(settings: Settings) -> AsyncIterator[CheckResult]:
    """Yields the results of all checks, in the order in which a first start needs them."""
    yield _python()
    yield _folder(settings.data_dir)
    yield await _database(settings)
    async for finding in _hosts(settings):
        yield finding
    async for finding in _slack(settings):
        yield finding
    async for finding in _discord(settings):
        yield finding


def _python() -> CheckResult:
    version = ".".join(str(part) for part in sys.version_info[:3])
    is_well = sys.version_info >= (3, 11)
    return CheckResult(
        f"Python {version}", is_well, "" if is_well else "Install Python 3.11 or newer."
    )


def _folder(folder: Path) -> CheckResult:
    try:
        private_folder(folder)
    except SettingsError as error:
        return CheckResult(f"Data folder {folder}", False, error.sentence)
    if not os.access(folder, os.W_OK):
        return CheckResult(f"Data folder {folder}", False, "ATTUNE_DATA_DIR cannot be written.")
    return CheckResult(f"Data folder {folder}", True)


async def _database(settings: Settings) -> CheckResult:
    try:
        await migrate(settings.database)
        database = await Database.open(settings.database)
        await database.close()
    except SettingsError as error:
        return CheckResult("Database", False, error.sentence)
    except (OSError, RuntimeError) as error:
        return CheckResult("Database", False, f"DATABASE_URL: {type(error).__name__}.")
    return CheckResult("Database", True)


async def _hosts(settings: Settings) -> AsyncIterator[CheckResult]:
    """Checks each host; the embedded tuner only if no service runs, which would use it."""
    try:
        with data_lock(settings.data_dir):
            async with embedded_tuner(settings.data_dir) as tuner:
                address = await tuner.address()
                async for finding in _models(configured_hosts(settings, address)):
                    yield finding
    except FolderTaken:
        yield CheckResult("Attune runs on this folder", True)
        hosts = configured_hosts(settings, TunerAddress("http://127.0.0.1", "unused"))
        async for finding in _models(hosts, without=SANDBOX_HOST):
            yield finding
    except SettingsError as error:
        yield CheckResult("Hosts", False, error.sentence)


async def _slack(settings: Settings) -> AsyncIterator[CheckResult]:
    """Checks tokens, scopes and Socket Mode, if Slack is configured."""
    try:
        access = slack_access(settings)
    except SettingsError as error:
        yield CheckResult("Slack", False, error.sentence)
        return
    if access is None:
        yield _missing_token(
            "Slack", "SLACK_BOT_TOKEN", has_other=settings.slack_app_token is not None
        )
        return
    from adapters.slack.doctor_checks import run_checks as examine_slack

    words = Words(os.environ.get("LC_ALL") or os.environ.get("LANG") or "en")
    async for result in examine_slack(access):
        yield CheckResult(words(result.key, **result.details), result.is_well)


async def _discord(settings: Settings) -> AsyncIterator[CheckResult]:
    """Checks token, intents and permissions, if Discord is configured."""
    access = discord_access(settings)
    if access is None:
        yield _missing_token("Discord", "DISCORD_TOKEN")
        return
    from adapters.discord.doctor_checks import run_checks as examine_discord

    words = Words(os.environ.get("LC_ALL") or os.environ.get("LANG") or "en")
    async for result in examine_discord(access):
        yield CheckResult(words(result.key, **result.details), result.is_well)
    waiting = await _servers_to_allow(settings)
    if waiting:
        yield CheckResult(words("discord.doctor.waiting", servers=", ".join(waiting)), True)


async def _servers_to_allow(settings: Settings) -> list[str]:
    """Returns the Discord servers that the operator has not allowed to use a configured host.

    Empty if there is no host besides the sandbox, or if the database cannot be read.
    """
    try:
        hosts = configured_hosts(settings, TunerAddress("http://127.0.0.1", "unused"))
        await hosts.close()
        if set(hosts.names()) == {SANDBOX_HOST}:
            return []
        database = await Database.open(settings.database)
    except (SettingsError, OSError, RuntimeError):
        return []
    try:
        async with database.reading() as records:
            workspaces = await records.workspaces.page(is_allowed=False)
    finally:
        await database.close()
    return [
        f"{workspace.name} ({workspace.id.partition(':')[2]})"
        for workspace in workspaces
        if workspace.id not in settings.allowed_workspaces and workspace.closed_at is None
    ]


def _missing_token(platform: str, token: str, *, has_other: bool = False) -> CheckResult:
    """Returns the result for a platform without a token, with the places that were searched.

    It is a fault if the other token of the platform is set.
    """
    what = f"{platform} is off: no {token} in the environment or in {Path.cwd() / '.env'}"
    return CheckResult(what, not has_other)


async def _models(
    hosts: ConfiguredHosts, *, without: HostName | None = None
) -> AsyncIterator[CheckResult]:
    """Checks all hosts concurrently and yields the results in the order of the hosts."""
    names = [name for name in hosts.names() if name != without]
    for finding in await asyncio.gather(*(_host(name, hosts) for name in names)):
        yield finding
    await hosts.close()


async def _host(name: HostName, hosts: ConfiguredHosts) -> CheckResult:
    """Checks a host's chat and training API with requests that are free."""
    host = hosts.get(name)
    kind = (
        host.profile.name if host.profile.was_tested_live else f"{host.profile.name}, never tried"
    )
    try:
        async with asyncio.timeout(_MAX_WAIT):
            check = await host.check_access()
    except (HostError, TimeoutError) as error:
        if isinstance(error, WrongAddress) and (
            result := await _without_model_list(name, kind, host)
        ):
            return result
        why = error if isinstance(error, HostError) else HostTimeout(host=name)
        return CheckResult(f"Host {name} ({kind})", False, why.sentence)
    what = f"Host {name} ({kind}): answers; models: {check.model_count}"
    if isinstance(check.refusal, TuningGone):
        what = f"{what}; for chat only: {check.refusal.sentence}"
    elif isinstance(check.refusal, HostNotFound):
        what = f"{what}; for chat only, it trains nothing"
    elif check.refusal is not None:
        return CheckResult(what, False, f"It does not train: {check.refusal.sentence}")
    else:
        what = f"{what}; trains"
    return await _base(what, host)


async def _without_model_list(name: HostName, kind: str, host: OpenAIHost) -> CheckResult | None:
    """Returns the result for a server that lists no models but answers; None if it does not."""
    if not host.bases:
        return None
    result = await _base(f"Host {name} ({kind}): lists no models", host, must_answer=True)
    return result if result.is_well else None


async def _base(what: str, host: OpenAIHost, *, must_answer: bool = False) -> CheckResult:
    """Requests one token from the host's first base, which is the only cost of the checks.

    At a host on which models must be deployed, the base may fail unless `must_answer`.
    """
    if host.profile.name == SANDBOX_HOST:
        return CheckResult(what, True)
    if not host.bases:
        remedy = "It has no base: set ATTUNE_BASE_MODEL, or `bases` in the file of hosts."
        return CheckResult(what, False, remedy)
    base = host.bases[0]
    try:
        async with asyncio.timeout(_MAX_WAIT):
            await _ask_for_a_token(host, base)
    except (HostError, TimeoutError) as error:
        why = error if isinstance(error, HostError) else HostTimeout(host=host.name)
        is_deployed = must_answer or host.profile.serving is Serving.READY_WHEN_TRAINED
        what = f"{what}; {base} does not answer there"
        return CheckResult(what, not is_deployed, why.sentence if is_deployed else "")
    return CheckResult(f"{what}; {base} answers", True)


async def _ask_for_a_token(host: OpenAIHost, base: ModelName) -> None:
    question = [{"role": "user", "content": "Hello"}]
    try:
        async with aclosing(host.chat(base, question, Sampling(max_tokens=1))) as deltas:
            await anext(deltas, None)
    except EmptyAnswer:
        return  # one token may be too few for any text
