"""Forms that wait behind a button, in memory for a while: refused as typed, or late to be shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from adapters.discord.api import Json
from adapters.discord.inbound import inputs_of
from adapters.discord.outbound import nonce
from bot.domain import Place

DRAFT = "draft:"
_MOST = 1000
_TEXT_INPUT, _LABEL = 4, 18


class FormDrafts:
    """What was typed is its sender's alone; the oldest go first."""

    def __init__(self) -> None:
        self._shown: OrderedDict[tuple[str, str], tuple[Place, Json]] = OrderedDict()
        self._sent: OrderedDict[str, tuple[Place, str, Json]] = OrderedDict()

    def remember_shown_form(self, place: Place, user: str, modal: Json) -> None:
        _put(self._shown, (user, str(modal["custom_id"])), (place, modal))

    def remember_submitted_form(
        self, place: Place, event_key: str, user: str, submission: Json
    ) -> None:
        """`submission` is the `data` of an interaction of type 5."""
        _, shown = self._shown.get((user, str(submission.get("custom_id"))), (place, None))
        modal = shown if shown is not None else _rebuilt(submission)
        if modal["components"]:
            _put(self._sent, _action(event_key), (place, user, _filled(modal, submission)))

    def forget(self, gone: Place) -> None:
        """What was typed in a channel or thread goes with it."""
        for form in [key for key, (place, _) in self._shown.items() if gone.contains(place)]:
            del self._shown[form]
        for action in [key for key, (place, *_) in self._sent.items() if gone.contains(place)]:
            del self._sent[action]

    def remember_late_form(self, place: Place, event_key: str, user: str, modal: Json) -> str:
        """A form that came too late to be shown; the action of the button that opens it."""
        action = _action(event_key)
        _put(self._sent, action, (place, user, modal))
        return action

    def reopen_action(self, event_key: str) -> str | None:
        """The action of the button that opens it again."""
        action = _action(event_key)
        return action if action in self._sent else None

    def find(self, action: str, user: str) -> Json | None:
        found = self._sent.get(action)
        return found[2] if found is not None and found[1] == user else None


def _action(event_key: str) -> str:
    return f"{DRAFT}{nonce(event_key)}"


def _put(held: OrderedDict[Any, Any], key: object, value: object) -> None:
    held[key] = value
    held.move_to_end(key)
    while len(held) > _MOST:
        held.popitem(last=False)


def _filled(modal: Json, submission: Json) -> Json:
    typed = {one["custom_id"]: one for one in inputs_of(submission.get("components") or ())}
    return {**modal, "components": [_with(one, typed) for one in modal["components"]]}


def _with(part: Json, typed: Mapping[str, Mapping[str, Any]]) -> Json:
    """A file cannot be put into a form; all else can."""
    held: Json = dict(part.get("component") or {})
    answer = typed.get(str(held.get("custom_id")))
    if answer is None:
        return part
    match held.get("type"):
        case 4:
            held.pop("value", None)
            held |= {"value": answer["value"]} if answer.get("value") else {}
        case 3:
            chosen = answer.get("values") or ()
            held["options"] = [
                {**option, "default": option["value"] in chosen} for option in held["options"]
            ]
        case 23:
            held["default"] = bool(answer.get("value"))
    return {**part, "component": held}


def _rebuilt(submission: Json) -> Json:
    """The form as an earlier run showed it is not known; its texts are, by their names."""
    inputs = [one for one in inputs_of(submission.get("components") or ()) if one.get("type") == 4]
    return {
        "custom_id": submission.get("custom_id"),
        "title": str(submission.get("custom_id")).partition(":")[0][:45],
        "components": [
            {
                "type": _LABEL,
                "label": str(one["custom_id"])[:45],
                "component": {
                    "type": _TEXT_INPUT,
                    "custom_id": one["custom_id"],
                    "style": 2,
                    "required": False,
                },
            }
            for one in inputs
        ],
    }
