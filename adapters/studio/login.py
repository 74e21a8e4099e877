"""The login page in plain HTML, so that no script of the studio runs before the login."""

from __future__ import annotations

import html
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.studio.access_guard import AccessPolicy, set_http_only_cookie
from adapters.studio.login_sessions import SESSION_COOKIE
from adapters.studio.login_throttle import MAX_DELAY, LoginThrottle
from adapters.studio.plain_page import locale_of, plain_page
from bot.ports.dependencies import App
from bot.ports.store import Clock

BROWSER_COOKIE = "attune-browser"


def add_login(web: FastAPI, policy: AccessPolicy, app: App, clock: Clock) -> None:
    """Registers `/login` and `/logout`."""
    page, throttle = _Page(policy, app), LoginThrottle(clock)

    @web.get("/login")
    async def show(request: Request, next: str = "/") -> Response:  # noqa: A002
        return page.show(request, next)

    @web.post("/login")
    async def enter(
        request: Request,
        password: str = Form("", max_length=1000),
        next: str = Form("/", max_length=2000),  # noqa: A002
    ) -> Response:
        address = request.client.host if request.client else ""
        throttle_key = throttle.throttle_key(address, request.cookies.get(BROWSER_COOKIE, ""))
        if not await throttle.wait_before_check(throttle_key):
            return page.show(request, next, "login.too_often", 429)
        cookie = policy.sessions.open(password)
        if cookie is None:
            throttle.note_wrong(throttle_key)
            return page.show(request, next, page.wrong, 401)
        throttle.forgive(throttle_key)
        response = RedirectResponse(_local_path(next), status_code=303)
        is_secure = policy.is_secure_for(request)
        set_http_only_cookie(response, SESSION_COOKIE, cookie, is_secure=is_secure)
        set_http_only_cookie(
            response, BROWSER_COOKIE, throttle.remember_browser(), is_secure=is_secure
        )
        return response

    @web.post("/logout")
    async def leave(request: Request) -> Response:
        policy.sessions.close(request.cookies.get(SESSION_COOKIE, ""))
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(SESSION_COOKIE)
        return response


class _Page:
    def __init__(self, policy: AccessPolicy, app: App) -> None:
        self._app = app
        self._kind = "token" if policy.sessions.by_token else "password"
        self.wrong = "login.wrong_token" if policy.sessions.by_token else "login.wrong"

    def show(self, request: Request, target: str, problem: str = "", status: int = 200) -> Response:
        locale = locale_of(request)

        def say(key: str) -> str:
            return html.escape(self._app.translate(key, locale))

        hint = f'<p class="hint">{say("login.token_hint")}</p>' if self._kind == "token" else ""
        body = _FORM.format(
            title=say("login.title"),
            hint=hint,
            label=say(f"login.{self._kind}"),
            target=html.escape(_local_path(target)),
            problem=say(problem) if problem else "",
            enter=say("login.enter"),
        )
        response = plain_page(body, locale=locale, status=status)
        if status == 429:
            response.headers["retry-after"] = str(int(MAX_DELAY.total_seconds()))
        return response


def _local_path(target: str) -> str:
    """Returns the target if it is a path of the studio, else "/", to prevent open redirects."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_path = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_path and not parts.netloc and not parts.scheme else "/"


_FORM = """<form method="post" action="/login"><h1>{title}</h1>{hint}
<label for="password">{label}</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus>
<input type="hidden" name="next" value="{target}">
<p class="problem" role="alert">{problem}</p><button>{enter}</button></form>"""
