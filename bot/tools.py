"""Tools of ours that a model may call while it answers, each switched on for an assistant."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bot import references
from bot.domain import Notice, ToolCall
from bot.events import MessageReceived
from bot.examples.asking_admins import tell_admins
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.prompts import nearest_shots, shot_pool, words_in
from bot.replies import Drawn, Text, one_line
from bot.request import Request
from bot.words import Words

HANDED_OVER = "handed_over"
MOST_ROUNDS = 4
"""So many times a model may call tools for one answer; then it has to answer without."""
_FOUND = 5
_LONGEST = 300

Run = Callable[[Request, str, Dependencies], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """What the model is told of it, the one argument that it takes, and what it does."""

    description: str
    argument: str
    run: Run

    def schema(self, name: str) -> Mapping[str, object]:
        """https://platform.openai.com/docs/guides/function-calling."""
        taken = {self.argument: {"type": "string"}} if self.argument else {}
        parameters = {"type": "object", "properties": taken, "required": list(taken)}
        function = {"name": name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


async def _search(request: Request, query: str, deps: Dependencies) -> str:
    """The nearest approved examples that may be shown in this place."""
    async with deps.store.reading() as records:
        pool = await shot_pool(records, request.place, request.assistant, question=query)
    asked = words_in(query)
    alike = [shot for shot in pool if asked & shot[0]]
    found = nearest_shots(alike, query, count=_FOUND)
    return "\n".join(f"{one['role']}: {one['content']}" for one in found) or "Nothing was found."


async def _today(request: Request, argument: str, deps: Dependencies) -> str:
    return f"{request.now:%A, %Y-%m-%d, %H:%M} UTC"


async def _hand_over(request: Request, reason: str, deps: Dependencies) -> str:
    """Each admin who can be reached hears of it, once for an answer."""
    what = request.event.what
    link = what.message.permalink if isinstance(what, MessageReceived) else None
    names = await tell_admins(
        request,
        HANDED_OVER,
        deps,
        key=request.event.key,
        link=link,
        reason=one_line(reason, _LONGEST),
    )
    return f"These people were told: {names}." if names else "Nobody could be told."


TOOLS: Mapping[str, Tool] = {
    "search_examples": Tool("Search the team's approved answers.", "query", _search),
    "today": Tool("Today's date and the time in UTC.", "", _today),
    "hand_over": Tool(
        "Tell a person of the team that they are needed here, and why.", "reason", _hand_over
    ),
}


async def render_handover_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    details = notice.details
    where = details.get("link") or references.channel_reference(str(details.get("channel")))
    said = {"name": details.get("name"), "reason": details.get("reason")}
    return Text(words("tool.handed_over", where=where, **said))


class AnswerTools:
    """The tools of an assistant during one answer."""

    def __init__(self, request: Request, deps: Dependencies) -> None:
        self._request = request
        self._deps = deps
        self._known = {name: TOOLS[name] for name in request.assistant.tools if name in TOOLS}

    def schemas(self, rounds: int) -> Sequence[Mapping[str, object]]:
        """Tool schemas for the host; none after MOST_ROUNDS rounds."""
        if rounds >= MOST_ROUNDS:
            return ()
        return [tool.schema(name) for name, tool in self._known.items()]

    def knows(self, calls: Sequence[ToolCall]) -> bool:
        """Whether all of them are ours, so that they can be answered."""
        return bool(calls) and all(one.name in self._known for one in calls)

    def notice_of(self, call: ToolCall) -> str:
        """What whoever reads the answer sees of a call."""
        return self._request.words(f"tool.{call.name}", argument=one_line(self._given(call), 100))

    async def run_calls(
        self, calls: Sequence[ToolCall], text: str
    ) -> Sequence[Mapping[str, object]]:
        """The calls and their results, as messages that go on."""
        numbered = [(f"call_{number}", one) for number, one in enumerate(calls, start=1)]
        asked = [
            {
                "id": number,
                "type": "function",
                "function": {"name": one.name, "arguments": one.arguments or "{}"},
            }
            for number, one in numbered
        ]
        messages: list[Mapping[str, object]] = [
            {"role": "assistant", "content": text, "tool_calls": asked}
        ]
        for number, one in numbered:
            result = await self._known[one.name].run(self._request, self._given(one), self._deps)
            messages.append({"role": "tool", "tool_call_id": number, "content": result})
        return messages

    def _given(self, call: ToolCall) -> str:
        """The one argument, whatever the model has called it; empty where it gave none."""
        try:
            given = json.loads(call.arguments or "{}")
        except ValueError:
            return ""
        values = given.values() if isinstance(given, dict) else ()
        return next((value for value in values if isinstance(value, str)), "")
