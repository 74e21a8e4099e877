"""Which hosts, origins and sessions may come in, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.links import PATH
from adapters.studio.sessions import COOKIE, LONGEST, Sessions
from adapters.studio.sockets import hold_socket

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OPEN = ("/healthz", "/readyz", "/metrics", "/login")
_SIGNED = "/slack/"
"""Below it nothing of the studio stands, so whatever is not the signed path is nowhere."""
_SOCKETS = "/_nicegui_ws/"
_PARAMETER = "token"
# A link that was given to one person is its own password.
_GIVEN = PATH
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

# NiceGUI compiles templates in the browser, hence eval; nothing may come from elsewhere.
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
    """Under which names the studio is reached, and who has logged in.

    `signed_path` is the one that takes requests with a platform's signature, if any does.
    """

    host: str
    public_url: str
    sessions: Sessions
    signed_path: str = ""

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by https."""
        return self.public_url.startswith("https://")

    def is_secure_for(self, connection: HTTPConnection) -> bool:
        return self.is_secure or connection.url.scheme == "https"

    def is_allowed_host(self, host: str) -> bool:
        """Whether a Host header is one of ours: another site's name may point here too."""
        name = _name_of(host)
        known = {*_LOOPBACK, self.host.lower(), urlsplit(self.public_url).hostname or ""}
        # Behind a password any name may lead here: a stranger's page never has the cookie.
        return name in known - {""} or not (self.sessions.by_token or self.public_url)


class AccessGuard:
    """Stands before everything, also before websockets."""

    def __init__(self, app: ASGIApp, *, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if self._is_nowhere(scope):
            await _refuse("Not found", scope, receive, send, status=404)
            return
        refusal = self._refusal(connection)
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
        elif self._brings_token(connection):
            await self._take_token(connection, scope, receive, send)
        elif self._is_stranger(connection):
            await self._to_login(connection, scope, receive, send)
        elif scope["type"] == "websocket":
            cookie = connection.cookies.get(COOKIE, "")
            await hold_socket(self._app, self._policy.sessions, cookie, scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send, is_secure=self._policy.is_secure))

    def _refusal(self, connection: HTTPConnection) -> str | None:
        """Why nobody is let in this way, whoever they are."""
        if self._is_signed(connection.scope) or connection.url.path in _OPEN[:3]:
            return None
        host = connection.headers.get("host", "")
        if not self._policy.is_allowed_host(host):
            return "This name does not lead here. Set ATTUNE_PUBLIC_URL to allow it."
        if _changes_something(connection.scope) and not self._is_ours(connection.headers, host):
            return "This request comes from another site."
        return None

    def _is_signed(self, scope: Scope) -> bool:
        """Whether whoever listens there checks a signature."""
        path = self._policy.signed_path
        return bool(path) and scope["type"] == "http" and scope["path"] == path

    def _is_nowhere(self, scope: Scope) -> bool:
        return scope["path"].startswith(_SIGNED) and not self._is_signed(scope)

    def _is_open(self, scope: Scope) -> bool:
        """Whether it stands outside the studio and its sessions."""
        path = scope["path"]
        is_outside = path in _OPEN or path.startswith(_GIVEN) or self._is_signed(scope)
        return scope["type"] == "http" and is_outside

    def _is_ours(self, headers: Headers, host: str) -> bool:
        """Browsers always name the origin of what can do harm."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "same-origin"
        ours = {host.lower(), urlsplit(self._policy.public_url).netloc.lower()}
        return urlsplit(origin).netloc.lower() in ours - {""}

    def _is_stranger(self, connection: HTTPConnection) -> bool:
        path, cookie = connection.url.path, connection.cookies.get(COOKIE, "")
        if self._is_open(connection.scope):
            return False
        return not self._policy.sessions.is_valid(cookie, is_active=not path.startswith(_SOCKETS))

    def _brings_token(self, connection: HTTPConnection) -> bool:
        is_read = connection.scope["type"] == "http" and connection.scope["method"] == "GET"
        is_asked = is_read and not self._is_open(connection.scope)
        return is_asked and self._policy.sessions.by_token and _PARAMETER in connection.query_params

    async def _take_token(
        self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """A cookie for the token of the printed address; the address goes on without it."""
        given = URL(scope=scope)
        plain = given.remove_query_params(_PARAMETER)
        # One slash at its beginning, else it would name another site.
        path = "/" + plain.path.lstrip("/\\")
        target = f"{path}?{plain.query}" if plain.query else path
        cookie = self._policy.sessions.open(connection.query_params[_PARAMETER])
        if cookie is None and self._is_stranger(connection):
            target = str(URL("/login").include_query_params(next=target))
        answer = RedirectResponse(target, status_code=303)
        if cookie is not None:
            keep_cookie(answer, COOKIE, cookie, is_secure=self._policy.is_secure_for(connection))
        answer.headers["cache-control"] = "no-store"
        await answer(scope, receive, _with_headers(send, is_secure=self._policy.is_secure))

    async def _to_login(
        self, connection: HTTPConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] == "websocket" or scope["method"] not in _READING:
            await _refuse("Log in first.", scope, receive, send, status=401)
            return
        wanted = URL(scope=scope)
        target = f"{wanted.path}?{wanted.query}" if wanted.query else wanted.path
        page = URL("/login").include_query_params(next=target)
        answer = RedirectResponse(str(page), status_code=303)
        await answer(scope, receive, _with_headers(send, is_secure=self._policy.is_secure))


def keep_cookie(answer: Response, name: str, cookie: str, *, is_secure: bool) -> None:
    """Out of reach of scripts and of other sites' forms; Lax, so that links from a chat lead in."""
    answer.set_cookie(
        name,
        cookie,
        max_age=int(LONGEST.total_seconds()),
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


def _changes_something(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in _READING


def _with_headers(send: Send, *, is_secure: bool) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _all_headers(is_secure=is_secure):
                headers.setdefault(name, value)
        await send(message)

    return send_more


def _all_headers(*, is_secure: bool) -> Iterable[tuple[str, str]]:
    yield from _HEADERS.items()
    if is_secure:
        yield "strict-transport-security", "max-age=31536000"


def _name_of(host: str) -> str:
    """Without its port; IPv6 keeps its brackets."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
