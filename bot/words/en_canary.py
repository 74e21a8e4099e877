"""The sentences about canaries, models that answer a share of the questions, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "option.share": "let it answer so many of the questions only, such as 20%, beside the model in use",
    "noun.canary": "trial",
    "button.promote": "Use for all",
    "canary.begun": "{model} answers {share} of the questions from now on. A message shows how it is received.",
    "canary.share": "The share is between 1% and 99%, such as share:20%.",
    "canary.another": "{model} is on trial already. Stop that trial first.",
    "canary.title": "Trial of {model} on {share} of the questions",
    "canary.how": "It answers {share} of the people, the model in use answers the others; a thread stays with one model. It stops by itself if it fails, or is disliked, more than chance explains.",
    "canary.own": "on trial",
    "canary.other": "in use",
    "canary.received": "answers: {answers} · 👍 {liked} 👎 {disliked} ({share}) · failed: {failed}",
    "canary.liked": "Decided: it is liked more than the model in use, by more than chance explains.",
    "canary.promoted": "{model} answers all questions now, by {name}.",
    "canary.promoting": "{model} answers all questions now.",
    "canary.stopping": "{model} answers no more questions.",
    "canary.stopped.by_hand": "Stopped by {name}. The model in use answers all questions.",
    "canary.stopped.failing": "Stopped by itself: it failed too often. The model in use answers all questions.",
    "canary.stopped.disliked": "Stopped by itself: it is liked less than the model in use, by more than chance explains. The model in use answers all questions.",
    "canary.stopped.replaced": "Over: another model was put to use.",
    "canary.stopped.deleted": "Over: the model was deleted.",
    "canary.history": "on trial for {share}, by {by}",
    "canary.history.running": "still running",
    "canary.history.promoted": "used for all",
    "canary.history.by_hand": "stopped by {name}",
    "canary.history.failing": "stopped: failed too often",
    "canary.history.disliked": "stopped: liked less",
    "canary.history.replaced": "over: another model was put to use",
    "canary.history.deleted": "over: deleted",
    "chat.fell_back_to": "{model} could not answer, so {instead} did. {why}",
    "fact.votes": "votes",
    "model.votes": "👍 {liked} 👎 {disliked}",
}
