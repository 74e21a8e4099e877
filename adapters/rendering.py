"""Rendering that the chat platforms share: the text of a reply and progress bars."""

from __future__ import annotations

from typing import assert_never

from bot.replies import Card, Drawn, Listing, Progress, Text

_BAR = 20


def reply_text(reply: Drawn) -> str:
    """Returns the text of a reply without its buttons."""
    match reply:
        case Text():
            return reply.text
        case Card():
            facts = (f"{fact.label}: {fact.value}" for fact in reply.facts)
            columns = (f"{column.title}: {column.text}" for column in reply.columns)
            return "\n".join((reply.title, *reply.lines, *facts, *columns))
        case Listing():
            lines = (f"{line.text} {line.note}".strip() for line in reply.lines)
            return "\n".join((reply.title, *lines) if reply.lines else (reply.title, reply.empty))
        case _:
            assert_never(reply)


def bar(progress: Progress) -> str:
    """Returns a progress bar of characters with the percentage and the steps."""
    share = min(1.0, max(0.0, progress.done / progress.total)) if progress.total > 0 else 0.0
    full = round(share * _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {share:.0%} ({progress.done}/{progress.total})"
