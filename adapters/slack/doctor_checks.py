"""The checks of Slack that `attune doctor` runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from adapters.slack.api_port import Access, error_code
from adapters.slack.http_api import HttpApi
from adapters.slack.manifest import BOT_SCOPES, OPTIONAL_SCOPES
from bot.errors import SurfaceError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check: a key of bot/words with its details."""

    key: str
    is_well: bool
    details: Mapping[str, object]


async def run_checks(access: Access) -> AsyncIterator[CheckResult]:
    """Checks tokens, scopes, and Socket Mode or HTTP, in the order in which they are set up."""
    api = HttpApi(access)
    try:
        try:
            auth, granted = await api.scopes()
        except SurfaceError as error:
            is_unreachable = bool(error.details.get("is_unknown"))
            key = "slack.doctor.unreachable" if is_unreachable else "slack.doctor.token_bad"
            yield CheckResult(key, False, {**error.details, "address": access.api_url})
            return
        yield CheckResult("slack.doctor.token", True, {"team": auth.get("team", "?")})
        missing = sorted(set(BOT_SCOPES) - granted) if granted else []
        details = {"scopes": ", ".join(missing)}
        key = "slack.doctor.scopes_missing" if missing else "slack.doctor.scopes"
        yield CheckResult(key, not missing, details)
        declined = sorted(set(OPTIONAL_SCOPES) - granted) if granted else []
        if declined:
            yield CheckResult("slack.doctor.declined", True, {"scopes": ", ".join(declined)})
        if access.is_http:
            is_signed = bool(access.signing_secret)
            key = "slack.doctor.http" if is_signed else "slack.doctor.no_secret"
            yield CheckResult(key, is_signed, {})
            return
        problem = await _socket_problem(api)
        key = "slack.doctor.socket_bad" if problem else "slack.doctor.socket"
        yield CheckResult(key, problem is None, {"code": problem})
        if problem is None:
            yield CheckResult("slack.doctor.events", True, {})
    finally:
        await api.close()


async def _socket_problem(api: HttpApi) -> str | None:
    """Returns the error code of the app token, None if a socket could be opened."""
    try:
        await api.socket_url()
    except SurfaceError as error:
        return error_code(error) or "unreachable"
    return None
