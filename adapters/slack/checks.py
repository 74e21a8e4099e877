"""What `attune doctor` asks of Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from adapters.slack.api import Access, error_code
from adapters.slack.http_api import HttpApi
from adapters.slack.manifest import OPTIONAL_SCOPES, SCOPES
from bot.errors import SurfaceError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing the doctor looked at: a key of the catalogue with its details."""

    key: str
    is_well: bool
    details: Mapping[str, object]


async def examine(access: Access) -> AsyncIterator[CheckResult]:
    """Tokens, scopes, Socket Mode or HTTP, in the order in which they are set up."""
    api = HttpApi(access)
    try:
        try:
            answer, held = await api.scopes()
        except SurfaceError as error:
            is_away = bool(error.details.get("is_unknown"))
            key = "slack.doctor.unreachable" if is_away else "slack.doctor.token_bad"
            yield CheckResult(key, False, {**error.details, "address": access.api_url})
            return
        yield CheckResult("slack.doctor.token", True, {"team": answer.get("team", "?")})
        missing = sorted(set(SCOPES) - held) if held else []
        names = {"scopes": ", ".join(missing)}
        key = "slack.doctor.scopes_missing" if missing else "slack.doctor.scopes"
        yield CheckResult(key, not missing, names)
        declined = sorted(set(OPTIONAL_SCOPES) - held) if held else []
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
    """Slack's word for what is wrong with the app token; None when a socket could be opened."""
    try:
        await api.socket_url()
    except SurfaceError as error:
        return error_code(error) or "unreachable"
    return None
