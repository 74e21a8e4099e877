"""The studio: web pages of the local workspace and of the administration."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from nicegui import app as nicegui_app
from nicegui import ui

from adapters.studio.access_guard import AccessGuard, AccessPolicy
from adapters.studio.downloads import add_downloads
from adapters.studio.invitation_form import add_form_link_routes
from adapters.studio.login import add_login
from adapters.studio.login_sessions import SessionFile, Sessions
from adapters.studio.page_session import GENERAL, Studio
from adapters.studio.pages.admin_pages import ADMIN_PAGES, RunPage, run_page
from adapters.studio.pages.channel_page import room_page
from adapters.studio.pages.check import check_page
from adapters.studio.pages.compare import compare_page
from adapters.studio.pages.evaluations import evaluations_page
from adapters.studio.pages.examples import examples_page
from adapters.studio.pages.jobs import jobs_page
from adapters.studio.pages.models import models_page
from adapters.studio.pages.review import review_page
from adapters.studio.plain_page import locale_of, plain_page
from adapters.studio.request_body_limits import RequestBodyLimits
from adapters.studio.shell import ASSETS_FOLDER

__all__ = ["AccessPolicy", "SessionFile", "Sessions", "Studio", "open_studio", "register_pages"]

_LOST = ("text", "home")
_CHANNEL = re.compile(r"\w[\w.-]{0,79}")


def open_studio(web: FastAPI, studio: Studio, policy: AccessPolicy) -> None:
    """Registers the pages with an application, behind the access guard."""
    web.add_middleware(RequestBodyLimits)
    web.add_middleware(AccessGuard, policy=policy)
    add_login(web, policy, studio.app, studio.clock)
    add_form_link_routes(web, studio.app, studio.links, studio.clock)
    register_pages(studio)
    ui.run_with(
        web,
        title="Attune",
        favicon=ASSETS_FOLDER / "favicon.svg",
        reconnect_timeout=20,
        tailwind=False,
        show_welcome_message=False,
    )


def register_pages(studio: Studio) -> None:
    """Registers every page with the single application that NiceGUI has in a process."""
    ui.button.default_props("no-caps")
    nicegui_app.add_static_files("/studio-assets", ASSETS_FOLDER, max_cache_age=31_536_000)
    add_downloads(nicegui_app, studio.room)
    nicegui_app.add_exception_handler(404, _not_found_handler(studio))
    for register in (_room_pages, _teach_pages, _train_pages, _run_pages):
        register(studio)


def _not_found_handler(studio: Studio) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Returns the handler for status 404: a page with a link to the home page."""

    async def not_found(request: Request, error: Exception) -> Response:
        locale = locale_of(request)
        text, home = (html.escape(studio.app.translate(f"lost.{key}", locale)) for key in _LOST)
        body = f'<main><h1>Attune</h1><p>{text}</p><a href="/">{home}</a></main>'
        return plain_page(body, locale=locale, status=404)

    return not_found


def _room_pages(studio: Studio) -> None:
    @ui.page("/", response_timeout=30)
    async def home(request: Request) -> None:
        await room_page(studio, request, "general")

    @ui.page("/room/{channel}", response_timeout=30)
    async def room(request: Request, channel: str) -> None:
        is_name = _CHANNEL.fullmatch(channel) is not None
        await room_page(studio, request, channel if is_name else GENERAL)


def _teach_pages(studio: Studio) -> None:
    @ui.page("/review", response_timeout=30)
    async def review(request: Request) -> None:
        await review_page(studio, request)

    @ui.page("/examples", response_timeout=30)
    async def examples(request: Request) -> None:
        await examples_page(studio, request, method="supervised")

    @ui.page("/check", response_timeout=150)
    async def check(request: Request) -> None:
        await check_page(studio, request)

    @ui.page("/preferences", response_timeout=30)
    async def preferences(request: Request) -> None:
        await examples_page(studio, request, method="dpo")


def _train_pages(studio: Studio) -> None:
    @ui.page("/jobs", response_timeout=30)
    async def jobs(request: Request) -> None:
        await jobs_page(studio, request, None)

    @ui.page("/jobs/{number}", response_timeout=30)
    async def job(request: Request, number: str) -> None:
        await jobs_page(studio, request, number)

    @ui.page("/evaluations", response_timeout=30)
    async def evaluations(request: Request) -> None:
        await evaluations_page(studio, request, None)

    @ui.page("/evaluations/{number}", response_timeout=30)
    async def evaluation(request: Request, number: str) -> None:
        await evaluations_page(studio, request, number)

    @ui.page("/models", response_timeout=30)
    async def models(request: Request) -> None:
        await models_page(studio, request)

    @ui.page("/compare", response_timeout=30)
    async def compare(request: Request) -> None:
        await compare_page(studio, request)


def _run_pages(studio: Studio) -> None:
    for name, page in ADMIN_PAGES.items():
        _register_run_page(studio, name, page)


def _register_run_page(studio: Studio, name: str, page: RunPage) -> None:
    @ui.page(f"/{name}", response_timeout=30)
    async def run(request: Request) -> None:
        await run_page(studio, request, name, page)
