"""A submitted form: the response to Slack, and the form with its values for another try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from adapters.message_splitting import split_at_words
from adapters.slack.api_port import Json

_ERROR_LENGTH = 2000
_SECTION_LENGTH = 3000
_SETTLE_SECONDS = 0.5
_VIEW_ATTRIBUTES = ("type", "callback_id", "private_metadata", "title", "submit", "close")


class Submission:
    """A `view_submission`; `refuse` shows an error beside an input while Slack waits.

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
        """Rejects the form with an error.

        Returns False if it is too late or no input can show errors.
        """
        if self._is_answered or self._error_block() is None:
            return False
        self._problem = problem
        self._refused.set()
        return True

    async def wait_until_decided(self, task: asyncio.Task[None] | None) -> None:
        """Waits until the task is done or the form is rejected."""
        if task is None:
            return
        refused = asyncio.create_task(self._refused.wait(), name="slack form refused")
        try:
            await asyncio.wait({task, refused}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            refused.cancel()

    def answer(self, waiting: Json | None = None) -> Json:
        """Returns the response to the submission.

        `waiting` is the view to show until the task is done.
        """
        self._is_answered = True
        self.is_late = waiting is not None and self._problem is None
        self._answered_at = time.monotonic()
        block = self._error_block()
        if self._problem is not None and block is not None:
            errors = {block: self._problem[:_ERROR_LENGTH]}
            return {"response_action": "errors", "errors": errors}
        return {"response_action": "update", "view": waiting} if waiting is not None else {}

    async def wait_until_applied(self) -> None:
        """Waits until Slack has applied the response: a call may overtake the response."""
        if self.is_late:
            await asyncio.sleep(self._answered_at + _SETTLE_SECONDS - time.monotonic())

    def forget(self) -> None:
        """Deletes the submitted values."""
        self._view = {"id": self.view_id}

    def refilled_form(self, problem: str) -> Json | None:
        """Returns the form with the submitted values and the error above.

        None if Slack sent no form.
        """
        blocks = [block for block in self._view.get("blocks") or () if block.get("type") == "input"]
        if not blocks:
            return None
        reason = [
            {"type": "section", "text": {"type": "plain_text", "text": part, "emoji": True}}
            for part in split_at_words(problem, _SECTION_LENGTH)
        ]
        view = {name: self._view[name] for name in _VIEW_ATTRIBUTES if self._view.get(name)}
        return {**view, "blocks": [*reason, *(self._with_typed(block) for block in blocks)]}

    def _with_typed(self, block: Json) -> Json:
        """Returns an input block with the submitted value.

        Files are left out, as forms cannot hold them.
        """
        element: Json = dict(block.get("element") or {})
        submitted = self._submitted(str(block.get("block_id")), str(element.get("action_id")))
        for initial in ("initial_value", "initial_option", "initial_options"):
            element.pop(initial, None)
        for name, initial in (
            ("value", "initial_value"),
            ("selected_option", "initial_option"),
            ("selected_options", "initial_options"),
        ):
            if submitted.get(name):
                element[initial] = submitted[name]
        return {**block, "element": element}

    def _submitted(self, block: str, action: str) -> Json:
        values = (self._view.get("state") or {}).get("values") or {}
        submitted = (values.get(block) or {}).get(action)
        return submitted if isinstance(submitted, dict) else {}

    def _error_block(self) -> str | None:
        """Returns the block to show an error at: the first empty text, text or input."""
        inputs = list(self._inputs())
        texts = [text_input for text_input in inputs if text_input[1]]
        empty = [text_input for text_input in texts if text_input[2]]
        return next((block for block, *_ in (*empty, *texts, *inputs)), None)

    def _inputs(self) -> Iterator[tuple[str, bool, bool]]:
        """Yields each input's block id, whether the input is a text, and whether it is empty."""
        values: dict[str, dict[str, Any]] = (self._view.get("state") or {}).get("values") or {}
        for block, actions in values.items():
            for typed in actions.values():
                is_text = "value" in typed
                yield block, is_text, is_text and not str(typed.get("value") or "").strip()
