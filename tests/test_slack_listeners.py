"""Behind the middleware that keeps every payload, bolt's listeners answer each kind of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.request import SocketModeRequest

from adapters.slack.listeners import FORM_RESPONSE_KEY, IS_STORED_KEY, add_listeners
from tests.slack_scene import Scene

USER, TEAM = {"id": "U2", "team_id": "T1"}, {"id": "T1", "domain": "here"}
ACTION = {"type": "button", "action_id": "a.1", "block_id": "b", "action_ts": "1.1", "value": "x"}
VIEW = {"id": "V1", "type": "modal", "callback_id": "form\nof two lines", "blocks": []}
EVENT = {"type": "app_home_opened", "user": "U2", "channel": "D1", "tab": "home"}
INNER = {"type": "event_callback", "team_id": "T1", "event_id": "Ev77", "event": EVENT}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "event": ("events_api", INNER),
    "command": ("slash_commands", {"command": "/tune", "text": "help", "user_id": "U2"}),
    "action": ("interactive", {"type": "block_actions", "actions": [ACTION]}),
    "view": ("interactive", {"type": "view_submission", "view": VIEW}),
    "closed view": ("interactive", {"type": "view_closed", "view": VIEW}),
    "shortcut": ("interactive", {"type": "shortcut", "callback_id": "make"}),
    "message shortcut": ("interactive", {"type": "message_action", "callback_id": "save"}),
    "options": (
        "interactive",
        {"type": "block_suggestion", "action_id": "a", "block_id": "b", "value": ""},
    ),
    "malformed": ("interactive", {"type": "block_actions", "actions": "none"}),
    "unknown": ("interactive", {"type": "something_new"}),
}


def request(kind: str) -> SocketModeRequest:
    envelope, payload = KINDS[kind]
    known = {"user": USER, "team": TEAM, "team_id": "T1", "token": "t", "trigger_id": "1.2"}
    return SocketModeRequest(envelope, "E1", {**known, **payload})


def app_that(keeps: list[str]) -> AsyncApp:
    app = AsyncApp(
        token="xoxb-fake",
        signing_secret="s",
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        request_verification_enabled=False,
        ssl_check_enabled=False,
    )
    app._async_middleware_list.clear()

    async def persist(body: dict[str, Any], context: Any, next: Any) -> None:  # noqa: A002
        keeps.append(str(body.get("type")))
        context[FORM_RESPONSE_KEY] = {"response_action": "errors", "errors": {"b": "no"}}
        context[IS_STORED_KEY] = True
        await next()

    app.middleware(persist)
    add_listeners(app)
    return app


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_kept_first_and_then_acknowledged(kind: str) -> None:
    kept: list[str] = []

    response = await run_async_bolt_app(app_that(kept), request(kind))

    assert response.status == 200
    assert len(kept) == 1


async def test_a_form_is_answered_by_its_listener() -> None:
    response = await run_async_bolt_app(app_that([]), request("view"))

    assert json.loads(response.body) == {"response_action": "errors", "errors": {"b": "no"}}


async def test_a_menu_that_asks_for_options_gets_none() -> None:
    response = await run_async_bolt_app(app_that([]), request("options"))

    assert json.loads(response.body) == {"options": []}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_kind_is_left_unacknowledged_by_the_whole_bot(in_slack: Scene, kind: str) -> None:
    assert in_slack.app is not None
    assert in_slack.app.slack is not None
    app = in_slack.app.slack._bolt
    assert app is not None

    response = await run_async_bolt_app(app, request(kind))

    assert response.status == 200
