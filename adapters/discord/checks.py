"""What `attune doctor` asks of Discord, and the application's number."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from adapters.discord.api import Access, Json, error_code
from adapters.discord.gateway import HttpApi
from adapters.discord.manifest import missing_permissions
from bot.errors import SettingsError, SurfaceError

CONTENT_FLAGS = (1 << 18) | (1 << 19)
"""https://docs.discord.com/developers/resources/application: whole, and for less known bots."""
_FEW_STARTS = 20


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing the doctor looked at: a key of the catalogue with its details."""

    key: str
    is_well: bool
    details: Mapping[str, object]


async def examine(access: Access) -> AsyncIterator[CheckResult]:
    """Token, intents, connections and each guild's permissions, in the order of setting up."""
    api = HttpApi(access)
    try:
        try:
            me = await api.log_in()
        except SurfaceError as error:
            key = (
                "discord.doctor.token_bad"
                if error_code(error) == 401
                else "discord.doctor.unreachable"
            )
            yield CheckResult(key, False, {})
            return
        yield CheckResult("discord.doctor.token", True, {"name": me.get("username", "?")})
        yield await _intents(api)
        yield await _public(api)
        yield await _gateway(api)
        async for finding in _guilds(api):
            yield finding
    finally:
        await api.close()


async def application_id(access: Access) -> str:
    """As Discord says it, else as the token does. Raises SettingsError for neither."""
    api = HttpApi(access)
    try:
        await api.log_in()
        return str((await _application(api))["id"])
    except (SurfaceError, KeyError) as error:
        number = _number_in(access.token)
        if number is None:
            raise SettingsError(
                variable="DISCORD_TOKEN",
                problem="Discord refuses it or cannot be reached",
                remedy="At discord.com/developers, page Bot, reset the token and copy it anew.",
            ) from error
        return number
    finally:
        await api.close()


async def _intents(api: HttpApi) -> CheckResult:
    """Without the words of messages most of it works, so that is no fault."""
    try:
        flags = int((await _application(api)).get("flags") or 0)
    except SurfaceError:
        flags = 0
    key = "discord.doctor.content" if flags & CONTENT_FLAGS else "discord.doctor.no_content"
    return CheckResult(key, True, {})


async def _public(api: HttpApi) -> CheckResult:
    """Anybody may invite a public bot; until they are allowed they have the sandbox alone."""
    try:
        is_public = bool((await _application(api)).get("bot_public", True))
    except SurfaceError:
        is_public = True
    return CheckResult(f"discord.doctor.{'public' if is_public else 'private'}", True, {})


async def _gateway(api: HttpApi) -> CheckResult:
    try:
        answer = await api.call("GET", "/gateway/bot", patience=1)
    except SurfaceError:
        return CheckResult("discord.doctor.no_gateway", False, {})
    left = (answer.get("session_start_limit") or {}).get("remaining")
    if isinstance(left, int) and left < _FEW_STARTS:
        return CheckResult("discord.doctor.few_starts", False, {"count": left})
    return CheckResult("discord.doctor.gateway", True, {})


async def _guilds(api: HttpApi) -> AsyncIterator[CheckResult]:
    try:
        guilds = await api.get_list("/users/@me/guilds")
    except SurfaceError:
        return
    if not guilds:
        yield CheckResult("discord.doctor.no_guilds", False, {})
    for guild in guilds:
        missing = missing_permissions(int(guild.get("permissions") or 0))
        details = {"guild": guild.get("name", "?"), "permissions": ", ".join(missing)}
        key = "discord.doctor.missing" if missing else "discord.doctor.guild"
        yield CheckResult(key, not missing, details)


async def _application(api: HttpApi) -> Json:
    try:
        return await api.call("GET", "/applications/@me", patience=1)
    except SurfaceError:
        return await api.call("GET", "/oauth2/applications/@me", patience=1)


def _number_in(token: str) -> str | None:
    """A token begins with the bot's number, which is the application's as well."""
    head = token.partition(".")[0]
    try:
        number = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode()
    except (ValueError, binascii.Error):
        return None
    return number if number.isdecimal() else None
