"""Bolt's listeners: what Slack is answered for each kind of payload once it is kept."""

from __future__ import annotations

import logging
import re

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_bolt.error import BoltUnhandledRequestError

log = logging.getLogger(__name__)

FORM_ANSWER = "form_answer"
"""Under this name the middleware leaves the response to a `view_submission` in the context."""
IS_KEPT = "is_kept"
"""Whether the middleware has kept the payload."""

_ANY = re.compile(".*", re.DOTALL)


def add_listeners(app: AsyncApp) -> None:
    """They run after the app's middleware has kept the payload and called `next`."""
    app.event(_ANY)(_hear)
    app.command(_ANY)(_acknowledge)
    app.action(_ANY)(_acknowledge)
    app.shortcut(_ANY)(_acknowledge)
    app.view(_ANY)(_answer_form)
    app.options(_ANY)(_offer_no_options)
    app.error(_acknowledge_kept)


async def _hear() -> None:
    """Bolt acknowledges events by itself."""


async def _acknowledge(ack: AsyncAck) -> None:
    await ack()


async def _answer_form(ack: AsyncAck, context: AsyncBoltContext) -> None:
    await ack(**context.get(FORM_ANSWER, {}))


async def _offer_no_options(ack: AsyncAck) -> None:
    """Our menus come with their options; one that asks for them is from an older version."""
    await ack(options=[])


async def _acknowledge_kept(error: Exception, context: AsyncBoltContext) -> BoltResponse | None:
    """What was kept but has no listener is acknowledged, for Slack would only send it again."""
    if not isinstance(error, BoltUnhandledRequestError):
        log.error("A listener failed", extra={"why": type(error).__name__})
    return BoltResponse(status=200, body="") if context.get(IS_KEPT) else None
