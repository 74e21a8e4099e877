"""The login page: plain HTML, so that nothing runs before somebody is known."""

from __future__ import annotations

import html
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from adapters.studio.guard import Door
from adapters.studio.sessions import COOKIE, LASTS, Sessions
from bot.ports.world import House


def add_login(app: FastAPI, door: Door, sessions: Sessions, house: House) -> None:
    """`/login` and `/logout`."""

    def page(request: Request, target: str, problem: str = "", status: int = 200) -> Response:
        wanted = request.headers.get("accept-language", "en").lower()
        locale = "zh" if wanted.startswith("zh") else "en"
        said = {
            name: html.escape(house.say(f"login.{name}", locale))
            for name in ("title", "password", "enter")
        }
        why = html.escape(house.say(problem, locale)) if problem else ""
        body = _PAGE.format(
            lang=locale, style=_STYLE, problem=why, target=html.escape(target), **said
        )
        return HTMLResponse(body, status_code=status, headers={"cache-control": "no-store"})

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


_STYLE = """
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #22252f;
  font: 15px/1.5 "Segoe UI", Roboto, "Helvetica Neue", "PingFang SC", sans-serif; }
form { background: #fff; padding: 34px 36px 30px; border-radius: 16px; width: min(300px, 78vw);
  display: flex; flex-direction: column; gap: 12px; box-shadow: 0 20px 60px rgba(0,0,0,.35); }
h1 { font-size: 20px; margin: 0 0 4px; } label { color: #697080; font-size: 13px; }
input { font: inherit; padding: 10px 12px; border: 1px solid #cfd3dc; border-radius: 8px; }
button { font: inherit; font-weight: 600; color: #fff; background: #3f51b5; border: 0;
  padding: 11px; border-radius: 8px; cursor: pointer; }
p { margin: 0; color: #8c1d18; min-height: 1.5em; }
:focus-visible { outline: 2px solid #3f51b5; outline-offset: 2px; }
"""

_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>Attune</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body><form method="post" action="/login"><h1>{title}</h1>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus>
<input type="hidden" name="next" value="{target}">
<p role="alert">{problem}</p><button>{enter}</button></form></body></html>
"""
