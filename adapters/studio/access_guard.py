"""Checks host, origin and session of each request, and adds security headers to responses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.signed_links import INVITATION_PATH
from adapters.studio.login_sessions import MAX_LIFETIME, SESSION_COOKIE, Sessions
from adapters.studio.websocket_closing import run_until_session_ends

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PUBLIC_PATHS = ("/healthz", "/readyz", "/metrics", "/login")
_SIGNED_PREFIX = "/slack/"
"""Prefix without pages of the studio: every path below it but `signed_path` gets status 404."""
_SOCKETS = "/_nicegui_ws/"
_PARAMETER = "token"
# A link of this path contains a secret token, so it needs no session.
_LINK_PATH = INVITATION_PATH
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# NiceGUI compiles templates in the browser, which needs eval; other sites are not allowed.
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """The allowed names of the studio and its sessions.

    `signed_path` is the path of requests that a platform signs, "" if there is none.
    """

    host: str
    public_url: str
    sessions: Sessions
    signed_path: str = ""

    @property
    def is_secure(self) -> bool:
        """Whether the public address of the studio is https."""
        return self.public_url.startswith("https://")

    def is_secure_for(self, connection: HTTPConnection) -> bool:
        return self.is_secure or connection.url.scheme == "https"

    def is_allowed_host(self, host: str) -> bool:
        """Whether a Host header names the studio, as a defence against DNS rebinding."""
        name = _host_name(host)
        own_names = {*_LOOPBACK, self.host.lower(), urlsplit(self.public_url).hostname or ""}
        # With a password any name is allowed: a page of another name does not have the cookie.
        return name in own_names - {""} or not (self.sessions.by_token or self.public_url)


class AccessGuard:
    """ASGI middleware that checks every HTTP request and websocket before the application."""

    def __init__(self, app: ASGIApp, *, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if self._is_unsigned_path(scope):
            await _refuse("Not found", scope, receive, send, status=404)
            return
        refusal = self._refusal(connection)
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
        elif self._has_token(connection):
            await self._log_in_by_token(connection, scope, receive, send)
        elif self._lacks_session(connection):
            await self._redirect_to_login(connection, scope, receive, send)
        elif scope["type"] == "websocket":
            cookie = connection.cookies.get(SESSION_COOKIE, "")
            await run_until_session_ends(
                self._app, self._policy.sessions, cookie, scope, receive, send
            )
        else:
            await self._app(scope, receive, _with_headers(send, is_secure=self._policy.is_secure))

    def _refusal(self, connection: HTTPConnection) -> str | None:
        """Returns why the request is refused regardless of a session, or None."""
        if self._is_signed(connection.scope) or connection.url.path in _PUBLIC_PATHS[:3]:
            return None
        host = connection.headers.get("host", "")
        if not self._policy.is_allowed_host(host):
            return "This name does not lead here. Set ATTUNE_PUBLIC_URL to allow it."
        if _may_change_state(connection.scope) and not self._is_same_origin(
            connection.headers, host
        ):
            return "This request comes from another site."
        return None

    def _is_signed(self, scope: Scope) -> bool:
        """Whether the request is for the path whose handler checks a signature."""
        path = self._policy.signed_path
        return bool(path) and scope["type"] == "http" and scope["path"] == path

    def _is_unsigned_path(self, scope: Scope) -> bool:
        return scope["path"].startswith(_SIGNED_PREFIX) and not self._is_signed(scope)

    def _is_public(self, scope: Scope) -> bool:
        """Whether the path needs no session."""
        path = scope["path"]
        is_outside = path in _PUBLIC_PATHS or path.startswith(_LINK_PATH) or self._is_signed(scope)
        return scope["type"] == "http" and is_outside

    def _is_same_origin(self, headers: Headers, host: str) -> bool:
        """Whether the request comes from a page of the studio.

        Browsers send Origin with websockets and with every method other than GET and HEAD.
        """
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "same-origin"
        own_origins = {host.lower(), urlsplit(self._policy.public_url).netloc.lower()}
        return urlsplit(origin).netloc.lower() in own_origins - {""}

    def _lacks_session(self, connection: HTTPConnection) -> bool:
        path, cookie = connection.url.path, connection.cookies.get(SESSION_COOKIE, "")
        if self._is_public(connection.scope):
            return False
        return not self._policy.sessions.is_valid(cookie, is_active=not path.startswith(_SOCKETS))

    def _has_token(self, connection: HTTPConnection) -> bool:
        is_page_load = connection.scope["type"] == "http" and connection.scope["method"] == "GET"
        is_protected = is_page_load and not self._is_public(connection.scope)
        return (
            is_protected
            and self._policy.sessions.by_token
            and _PARAMETER in connection.query_params
        )

    async def _log_in_by_token(
        self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Opens a session for the token in the address, and redirects to it without the token."""
        address = URL(scope=scope)
        plain = address.remove_query_params(_PARAMETER)
        # Exactly one leading slash: //name would redirect to another site.
        path = "/" + plain.path.lstrip("/\\")
        target = f"{path}?{plain.query}" if plain.query else path
        cookie = self._policy.sessions.open(connection.query_params[_PARAMETER])
        if cookie is None and self._lacks_session(connection):
            target = str(URL("/login").include_query_params(next=target))
        response = RedirectResponse(target, status_code=303)
        if cookie is not None:
            set_http_only_cookie(
                response, SESSION_COOKIE, cookie, is_secure=self._policy.is_secure_for(connection)
            )
        response.headers["cache-control"] = "no-store"
        await response(scope, receive, _with_headers(send, is_secure=self._policy.is_secure))

    async def _redirect_to_login(
        self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS:
            await _refuse("Log in first.", scope, receive, send, status=401)
            return
        address = URL(scope=scope)
        target = f"{address.path}?{address.query}" if address.query else address.path
        page = URL("/login").include_query_params(next=target)
        response = RedirectResponse(str(page), status_code=303)
        await response(scope, receive, _with_headers(send, is_secure=self._policy.is_secure))


def set_http_only_cookie(response: Response, name: str, cookie: str, *, is_secure: bool) -> None:
    """Sets an HttpOnly cookie with SameSite=Lax; with Strict, links in chats would not send it."""
    response.set_cookie(
        name,
        cookie,
        max_age=int(MAX_LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=is_secure,
    )


async def _refuse(
    why: str, scope: Scope, receive: Receive, send: Send, *, status: int = 403
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    await PlainTextResponse(why, status_code=status, headers=_HEADERS)(scope, receive, send)


def _may_change_state(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS


def _with_headers(send: Send, *, is_secure: bool) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _all_headers(is_secure=is_secure):
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


def _all_headers(*, is_secure: bool) -> Iterable[tuple[str, str]]:
    yield from _HEADERS.items()
    if is_secure:
        yield "strict-transport-security", "max-age=31536000"


def _host_name(host: str) -> str:
    """Returns a Host header's name in lower case without the port; IPv6 keeps its brackets."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
