"""A form that was sent: what Slack is answered, and how the form is given back as it was typed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from adapters.message_splitting import chunks
from adapters.slack.api import Json

_MOST_ERROR = 2000
_SECTION = 3000
_SETTLE_SECONDS = 0.5
_KEPT = ("type", "callback_id", "private_metadata", "title", "submit", "close")


class Submission:
    """One `view_submission`; `refuse` shows why beside the input, while Slack waits for us.

    https://docs.slack.dev/surfaces/modals#displaying_errors
    """

    def __init__(self, view: Json) -> None:
        self._view = view
        self.locale = "en"
        self.is_late = False
        self._problem: str | None = None
        self._is_answered = False
        self._answered_at = 0.0
        self._refused = asyncio.Event()

    @property
    def view_id(self) -> str:
        return str(self._view.get("id") or "")

    @property
    def is_refused(self) -> bool:
        return self._problem is not None

    def refuse(self, problem: str) -> bool:
        """False where Slack has its answer already, or where no input can carry an error."""
        if self._is_answered or self._input_to_blame() is None:
            return False
        self._problem = problem
        self._refused.set()
        return True

    async def wait_until_decided(self, task: asyncio.Task[None] | None) -> None:
        """Until the work is done or has refused."""
        if task is None:
            return
        refused = asyncio.create_task(self._refused.wait(), name="slack form refused")
        try:
            await asyncio.wait({task, refused}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            refused.cancel()

    def answer(self, waiting: Json | None = None) -> Json:
        """The response to the submission; `waiting` is the view that stands until more is known."""
        self._is_answered = True
        self.is_late = waiting is not None and self._problem is None
        self._answered_at = time.monotonic()
        block = self._input_to_blame()
        if self._problem is not None and block is not None:
            errors = {block: self._problem[:_MOST_ERROR]}
            return {"response_action": "errors", "errors": errors}
        return {"response_action": "update", "view": waiting} if waiting is not None else {}

    async def wait_until_settled(self) -> None:
        """A response and a call go different ways, so Slack may do first what came last."""
        if self.is_late:
            await asyncio.sleep(self._answered_at + _SETTLE_SECONDS - time.monotonic())

    def forget(self) -> None:
        """What was typed is needed no longer."""
        self._view = {"id": self.view_id}

    def refilled_form(self, problem: str) -> Json | None:
        """The form with all that was typed and the reason above it; None if Slack kept no form."""
        blocks = [one for one in self._view.get("blocks") or () if one.get("type") == "input"]
        if not blocks:
            return None
        reason = [
            {"type": "section", "text": {"type": "plain_text", "text": part, "emoji": True}}
            for part in chunks(problem, _SECTION)
        ]
        view = {name: self._view[name] for name in _KEPT if self._view.get(name)}
        return {**view, "blocks": [*reason, *(self._with_typed(block) for block in blocks)]}

    def _with_typed(self, block: Json) -> Json:
        """A file cannot be put into a form; all else can."""
        element: Json = dict(block.get("element") or {})
        typed = self._typed(str(block.get("block_id")), str(element.get("action_id")))
        for initial in ("initial_value", "initial_option", "initial_options"):
            element.pop(initial, None)
        for name, initial in (
            ("value", "initial_value"),
            ("selected_option", "initial_option"),
            ("selected_options", "initial_options"),
        ):
            if typed.get(name):
                element[initial] = typed[name]
        return {**block, "element": element}

    def _typed(self, block: str, action: str) -> Json:
        values = (self._view.get("state") or {}).get("values") or {}
        typed = (values.get(block) or {}).get(action)
        return typed if isinstance(typed, dict) else {}

    def _input_to_blame(self) -> str | None:
        """The first text that was left empty, else the first text, else the first input."""
        inputs = list(self._inputs())
        texts = [one for one in inputs if one[1]]
        empty = [one for one in texts if one[2]]
        return next((one[0] for one in (*empty, *texts, *inputs)), None)

    def _inputs(self) -> Iterator[tuple[str, bool, bool]]:
        """Block, whether text is typed there, whether none was."""
        values: dict[str, dict[str, Any]] = (self._view.get("state") or {}).get("values") or {}
        for block, actions in values.items():
            for typed in actions.values():
                is_text = "value" in typed
                yield block, is_text, is_text and not str(typed.get("value") or "").strip()
