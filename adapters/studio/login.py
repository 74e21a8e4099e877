"""The login page: plain HTML, so that nothing runs before somebody is known."""

from __future__ import annotations

import html
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.studio.guard import Door
from adapters.studio.plain import locale_of, plain_page
from adapters.studio.sessions import COOKIE, LASTS, Sessions
from bot.ports.world import House


def add_login(app: FastAPI, door: Door, sessions: Sessions, house: House) -> None:
    """`/login` and `/logout`."""

    def page(request: Request, target: str, problem: str = "", status: int = 200) -> Response:
        locale = locale_of(request)
        said = {
            name: html.escape(house.say(f"login.{name}", locale))
            for name in ("title", "password", "enter")
        }
        why = html.escape(house.say(problem, locale)) if problem else ""
        body = _FORM.format(problem=why, target=html.escape(target), **said)
        return plain_page(body, locale=locale, status=status)

    @app.get("/login")
    async def show(request: Request, next: str = "/") -> Response:  # noqa: A002
        return page(request, _inside(next))

    @app.post("/login")
    async def enter(
        request: Request,
        password: str = Form("", max_length=1000),
        next: str = Form("/"),  # noqa: A002
    ) -> Response:
        address = request.client.host if request.client else ""
        if sessions.is_guessing(address):
            return page(request, _inside(next), "login.too_often", 429)
        token = sessions.open(password, address=address)
        if token is None:
            return page(request, _inside(next), "login.wrong", 401)
        answer = RedirectResponse(_inside(next), status_code=303)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(LASTS.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=door.is_secure,
        )
        return answer

    @app.post("/logout")
    async def leave(request: Request) -> Response:
        sessions.close(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer


def _inside(target: str) -> str:
    """Only a path of ours: a login must not lead to another site."""
    parts = urlsplit(target)
    is_path = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_path and not parts.netloc and not parts.scheme else "/"


_FORM = """<form method="post" action="/login"><h1>{title}</h1>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus>
<input type="hidden" name="next" value="{target}">
<p class="problem" role="alert">{problem}</p><button>{enter}</button></form>"""
