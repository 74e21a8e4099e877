"""Notices that a model failed and that another model answered in its place."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from bot.domain import LOCAL, ModelName, Notice
from bot.errors import AttuneError, HostError, NotFound, deserialize, serialize
from bot.models_in_use import find_display_name
from bot.outbox import LOCALE_DETAIL
from bot.ports.store import Records
from bot.replies import Drawn, Text
from bot.request import Request
from bot.words import Words

log = logging.getLogger(__name__)

FALLBACK_NOTICE = "model.fell_back"


async def queue_fallback_notice(
    request: Request,
    model: ModelName,
    error: HostError | NotFound,
    records: Records,
    *,
    instead: ModelName | None,
) -> None:
    """Queues a notice for the channel, at most one a day and failing model.

    `instead` is the model that answers, None for the base.
    """
    log.warning("A tuned model failed, another one answers", extra={"why": error.key})
    scope = f"{request.place.channel}.{model}.{request.now.date()}"
    details = {"model": model, "why": serialize(error), LOCALE_DETAIL: request.words.language}
    await records.outbox.put(
        f"{request.workspace_id}.{scope}.fell_back",
        replace(request.place, thread=None),
        FALLBACK_NOTICE,
        details=details if instead is None else {**details, "instead": instead},
        at=request.now,
    )


async def render_fallback_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the notice that tells a channel why a model failed and which model answered."""
    model, serialized = notice.details.get("model"), notice.details.get("why")
    error = (deserialize(serialized) if isinstance(serialized, Mapping) else None) or AttuneError()
    # Everybody in a channel reads the notice, but only the operator reads the local room.
    why = (
        words.error_text(error)
        if notice.place.workspace == LOCAL
        else words.error_text_without_host_message(error)
    )
    models = [ModelName(str(one)) for one in (model, notice.details.get("instead")) if one]
    names = [await find_display_name(records, notice.place.workspace, one) for one in models]
    key = "chat.fell_back_to" if len(names) > 1 else "chat.fell_back"
    return Text(words(key, model=names[0], instead=names[-1], why=why))
