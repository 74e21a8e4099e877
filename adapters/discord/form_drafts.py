"""Forms that can be opened again by a button: rejected input, or forms that came too late."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from adapters.bounded_cache import store_bounded
from adapters.discord.api_port import Json
from adapters.discord.embeds_and_modals import post_nonce
from adapters.discord.payload_parsing import inputs_of
from bot.domain import Place

DRAFT_ID_PREFIX = "draft:"
_CAPACITY = 1000
_TEXT_INPUT, _LABEL = 4, 18


class FormDrafts:
    """Keeps up to 1,000 forms of each kind in memory; a draft is returned only to its sender."""

    def __init__(self) -> None:
        self._shown: OrderedDict[tuple[str, str], tuple[Place, Json]] = OrderedDict()
        self._sent: OrderedDict[str, tuple[Place, str, Json]] = OrderedDict()

    def store_shown_form(self, place: Place, user: str, modal: Json) -> None:
        """Stores an opened form, which is shown again if its input is rejected."""
        store_bounded(self._shown, (user, str(modal["custom_id"])), (place, modal), _CAPACITY)

    def remember_submitted_form(
        self, place: Place, event_key: str, user: str, submission: Json
    ) -> None:
        """Stores a form with the submitted values.

        `submission` is the `data` of an interaction of type 5.
        """
        _, shown = self._shown.get((user, str(submission.get("custom_id"))), (place, None))
        modal = shown if shown is not None else _rebuilt(submission)
        if modal["components"]:
            store_bounded(
                self._sent, _action(event_key), (place, user, _filled(modal, submission)), _CAPACITY
            )

    def forget(self, gone: Place) -> None:
        """Deletes the forms of a deleted channel or thread with what was typed in them."""
        for form in [key for key, (place, _) in self._shown.items() if gone.contains(place)]:
            del self._shown[form]
        for action in [key for key, (place, *_) in self._sent.items() if gone.contains(place)]:
            del self._sent[action]

    def remember_late_form(self, place: Place, event_key: str, user: str, modal: Json) -> str:
        """Stores a form whose interaction expired; returns the action that opens the form."""
        action = _action(event_key)
        store_bounded(self._sent, action, (place, user, modal), _CAPACITY)
        return action

    def reopen_action(self, event_key: str) -> str | None:
        """Returns the action of the button that reopens a submitted form, None if unknown."""
        action = _action(event_key)
        return action if action in self._sent else None

    def find(self, action: str, user: str) -> Json | None:
        """Returns the form behind a button's action; None if it is unknown or another user's."""
        stored = self._sent.get(action)
        return stored[2] if stored is not None and stored[1] == user else None


def _action(event_key: str) -> str:
    return f"{DRAFT_ID_PREFIX}{post_nonce(event_key)}"


def _filled(modal: Json, submission: Json) -> Json:
    typed = {part["custom_id"]: part for part in inputs_of(submission.get("components") or ())}
    return {**modal, "components": [_with_value(part, typed) for part in modal["components"]]}


def _with_value(part: Json, typed: Mapping[str, Mapping[str, Any]]) -> Json:
    """Returns a part of a form with the submitted value; Discord's forms cannot hold files."""
    component: Json = dict(part.get("component") or {})
    submitted = typed.get(str(component.get("custom_id")))
    if submitted is None:
        return part
    match component.get("type"):
        case 4:
            component.pop("value", None)
            component |= {"value": submitted["value"]} if submitted.get("value") else {}
        case 3:
            chosen = submitted.get("values") or ()
            component["options"] = [
                {**option, "default": option["value"] in chosen} for option in component["options"]
            ]
        case 23:
            component["default"] = bool(submitted.get("value"))
    return {**part, "component": component}


def _rebuilt(submission: Json) -> Json:
    """Returns a form with a submission's text inputs, for a form of an earlier process."""
    inputs = [
        part for part in inputs_of(submission.get("components") or ()) if part.get("type") == 4
    ]
    return {
        "custom_id": submission.get("custom_id"),
        "title": str(submission.get("custom_id")).partition(":")[0][:45],
        "components": [
            {
                "type": _LABEL,
                "label": str(text_input["custom_id"])[:45],
                "component": {
                    "type": _TEXT_INPUT,
                    "custom_id": text_input["custom_id"],
                    "style": 2,
                    "required": False,
                },
            }
            for text_input in inputs
        ],
    }
