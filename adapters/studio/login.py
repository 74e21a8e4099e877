"""The login page: plain HTML, so that nothing runs before somebody is known."""

from __future__ import annotations

import html
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.studio.access_guard import AccessPolicy, keep_cookie
from adapters.studio.login_throttle import LONGEST_PAUSE, LoginThrottle
from adapters.studio.plain_page import locale_of, plain_page
from adapters.studio.sessions import COOKIE
from bot.ports.dependencies import App
from bot.ports.store import Clock

BROWSER = "attune-browser"


def add_login(web: FastAPI, policy: AccessPolicy, app: App, clock: Clock) -> None:
    """`/login` and `/logout`."""
    page, guesses = _Page(policy, app), LoginThrottle(clock)

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
        guesser = guesses.throttle_key(address, request.cookies.get(BROWSER, ""))
        if not await guesses.wait_before_check(guesser):
            return page.show(request, next, "login.too_often", 429)
        cookie = policy.sessions.open(password)
        if cookie is None:
            guesses.note_wrong(guesser)
            return page.show(request, next, page.wrong, 401)
        guesses.forgive(guesser)
        answer = RedirectResponse(_inside(next), status_code=303)
        is_secure = policy.is_secure_for(request)
        keep_cookie(answer, COOKIE, cookie, is_secure=is_secure)
        keep_cookie(answer, BROWSER, guesses.remember_browser(), is_secure=is_secure)
        return answer

    @web.post("/logout")
    async def leave(request: Request) -> Response:
        policy.sessions.close(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer


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
            target=html.escape(_inside(target)),
            problem=say(problem) if problem else "",
            enter=say("login.enter"),
        )
        answer = plain_page(body, locale=locale, status=status)
        if status == 429:
            answer.headers["retry-after"] = str(int(LONGEST_PAUSE.total_seconds()))
        return answer


def _inside(target: str) -> str:
    """Only a path of ours: a login must not lead to another site."""
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
