"""The checks of Discord that `attune doctor` runs, and the look-up of the application's id."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from adapters.discord.api_port import Access, Json, error_code
from adapters.discord.gateway import HttpApi
from adapters.discord.invite_link import missing_permissions
from bot.errors import SettingsError, SurfaceError

CONTENT_INTENT_FLAGS = (1 << 18) | (1 << 19)
"""Flags of an app that may read message content.

https://docs.discord.com/developers/resources/application: one flag for verified apps, one for
others.
"""
_MIN_STARTS = 20


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check: a key of bot/words with its details."""

    key: str
    is_well: bool
    details: Mapping[str, object]


async def run_checks(access: Access) -> AsyncIterator[CheckResult]:
    """Checks token, intents, connections and permissions, in the order of setting up."""
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
        yield await _check_intents(api)
        yield await _check_public(api)
        yield await _check_gateway(api)
        async for finding in _check_guilds(api):
            yield finding
    finally:
        await api.close()


async def application_id(access: Access) -> str:
    """Returns the application's id from Discord, or from the token if Discord does not answer.

    Raises SettingsError for a token without id.
    """
    api = HttpApi(access)
    try:
        await api.log_in()
        return str((await _fetch_application(api))["id"])
    except (SurfaceError, KeyError) as error:
        token_id = _id_in_token(access.token)
        if token_id is None:
            raise SettingsError(
                variable="DISCORD_TOKEN",
                problem="Discord refuses it or cannot be reached",
                remedy="At discord.com/developers, page Bot, reset the token and copy it anew.",
            ) from error
        return token_id
    finally:
        await api.close()


async def _check_intents(api: HttpApi) -> CheckResult:
    """Checks the message content intent.

    Without it the result is a hint, as most functions work.
    """
    try:
        flags = int((await _fetch_application(api)).get("flags") or 0)
    except SurfaceError:
        flags = 0
    key = "discord.doctor.content" if flags & CONTENT_INTENT_FLAGS else "discord.doctor.no_content"
    return CheckResult(key, True, {})


async def _check_public(api: HttpApi) -> CheckResult:
    """Says whether the bot is public, so that anybody may invite it.

    Other guilds have only the sandbox model until the operator allows more.
    """
    try:
        is_public = bool((await _fetch_application(api)).get("bot_public", True))
    except SurfaceError:
        is_public = True
    return CheckResult(f"discord.doctor.{'public' if is_public else 'private'}", True, {})


async def _check_gateway(api: HttpApi) -> CheckResult:
    try:
        response = await api.call("GET", "/gateway/bot", patience=1)
    except SurfaceError:
        return CheckResult("discord.doctor.no_gateway", False, {})
    remaining = (response.get("session_start_limit") or {}).get("remaining")
    if isinstance(remaining, int) and remaining < _MIN_STARTS:
        return CheckResult("discord.doctor.few_starts", False, {"count": remaining})
    return CheckResult("discord.doctor.gateway", True, {})


async def _check_guilds(api: HttpApi) -> AsyncIterator[CheckResult]:
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


async def _fetch_application(api: HttpApi) -> Json:
    try:
        return await api.call("GET", "/applications/@me", patience=1)
    except SurfaceError:
        return await api.call("GET", "/oauth2/applications/@me", patience=1)


def _id_in_token(token: str) -> str | None:
    """Returns the bot's id, which is also the application's, from the start of a token."""
    encoded = token.partition(".")[0]
    try:
        bot_id = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (ValueError, binascii.Error):
        return None
    return bot_id if bot_id.isdecimal() else None
