"""Bolt's listeners: the responses to each kind of payload once the payload is stored."""

from __future__ import annotations

import logging
import re

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_bolt.error import BoltUnhandledRequestError

log = logging.getLogger(__name__)

FORM_RESPONSE_KEY = "form_answer"
"""Key of the context in which the middleware leaves the response to a `view_submission`."""
IS_STORED_KEY = "is_kept"
"""Key of the context that says whether the middleware has stored the payload."""

_ANY = re.compile(".*", re.DOTALL)


def add_listeners(app: AsyncApp) -> None:
    """Adds the listeners, which run after the middleware has stored the payload."""
    app.event(_ANY)(_ignore_event)
    app.command(_ANY)(_acknowledge)
    app.action(_ANY)(_acknowledge)
    app.shortcut(_ANY)(_acknowledge)
    app.view(_ANY)(_answer_form)
    app.options(_ANY)(_answer_options)
    app.error(_acknowledge_stored)


async def _ignore_event() -> None:
    """Does nothing, as Bolt acknowledges events by itself."""


async def _acknowledge(ack: AsyncAck) -> None:
    await ack()


async def _answer_form(ack: AsyncAck, context: AsyncBoltContext) -> None:
    await ack(**context.get(FORM_RESPONSE_KEY, {}))


async def _answer_options(ack: AsyncAck) -> None:
    """Sends no options: only menus of older versions ask for them."""
    await ack(options=[])


async def _acknowledge_stored(error: Exception, context: AsyncBoltContext) -> BoltResponse | None:
    """Acknowledges a stored payload without a listener, which Slack would else send again."""
    if not isinstance(error, BoltUnhandledRequestError):
        log.error("A listener failed", extra={"why": type(error).__name__})
    return BoltResponse(status=200, body="") if context.get(IS_STORED_KEY) else None
