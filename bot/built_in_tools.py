"""Built-in tools that a model may call while it answers, enabled for each assistant."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bot import mentions_and_times
from bot.domain import Notice, ToolCall
from bot.events import MessageReceived
from bot.examples.ask_admins_for_permission import notify_admins
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.prompts import example_messages
from bot.replies import Drawn, Text, one_line
from bot.request import Request
from bot.words import Words

HANDOVER_NOTICE = "handed_over"
MAX_TOOL_ROUNDS = 4
"""Limit of rounds of tool calls for one answer; after that the model gets no tools."""
_MAX_RESULTS = 5
_MIN_SIMILARITY = 0.25
"""Cosine below which an example is about something else."""
_MAX_REASON_LENGTH = 300

ToolFunction = Callable[[Request, str, Dependencies], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: description for the model, name of its only argument ("" for none), and function."""

    description: str
    argument_name: str
    function: ToolFunction

    def schema(self, name: str) -> Mapping[str, object]:
        """Returns the tool's schema; https://platform.openai.com/docs/guides/function-calling."""
        properties = {self.argument_name: {"type": "string"}} if self.argument_name else {}
        parameters = {"type": "object", "properties": properties, "required": list(properties)}
        function = {"name": name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


async def _search(request: Request, query: str, deps: Dependencies) -> str:
    """Returns the nearest approved examples that may be shown in this channel."""
    async with deps.store.reading() as records:
        nearest = await deps.nearest_examples.find(
            records,
            request.place,
            request.assistant,
            query,
            count=_MAX_RESULTS,
            min_similarity=_MIN_SIMILARITY,
        )
    messages = example_messages(nearest)
    return "\n".join(f"{m['role']}: {m['content']}" for m in messages) or "Nothing was found."


async def _today(request: Request, argument: str, deps: Dependencies) -> str:
    return f"{request.now:%A, %Y-%m-%d, %H:%M} UTC"


async def _hand_over(request: Request, reason: str, deps: Dependencies) -> str:
    """Notifies each reachable admin, once for an answer."""
    what = request.event.what
    link = what.message.permalink if isinstance(what, MessageReceived) else None
    names = await notify_admins(
        request,
        HANDOVER_NOTICE,
        deps,
        key=request.event.key,
        link=link,
        reason=one_line(reason, _MAX_REASON_LENGTH),
    )
    return f"These people were told: {names}." if names else "Nobody could be told."


BUILT_IN_TOOLS: Mapping[str, Tool] = {
    "search_examples": Tool("Search the team's approved answers.", "query", _search),
    "today": Tool("Today's date and the time in UTC.", "", _today),
    "hand_over": Tool(
        "Tell a person of the team that they are needed here, and why.", "reason", _hand_over
    ),
}


async def render_handover_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders the notice that the model asked for a person's help."""
    details = notice.details
    where = details.get("link") or mentions_and_times.channel_reference(str(details.get("channel")))
    values = {"name": details.get("name"), "reason": details.get("reason")}
    return Text(words("tool.handed_over", where=where, **values))


class AnswerTools:
    """The tools of an assistant during one answer."""

    def __init__(self, request: Request, deps: Dependencies) -> None:
        self._request = request
        self._deps = deps
        self._tools = {
            name: BUILT_IN_TOOLS[name] for name in request.assistant.tools if name in BUILT_IN_TOOLS
        }

    def schemas(self, rounds: int) -> Sequence[Mapping[str, object]]:
        """Tool schemas for the host; none after MAX_TOOL_ROUNDS rounds."""
        if rounds >= MAX_TOOL_ROUNDS:
            return ()
        return [tool.schema(name) for name, tool in self._tools.items()]

    def are_all_enabled(self, calls: Sequence[ToolCall]) -> bool:
        """Whether there are calls and all are of enabled tools."""
        return bool(calls) and all(call.name in self._tools for call in calls)

    def call_notice_text(self, call: ToolCall) -> str:
        """Returns the text about a call that is shown in the answer."""
        argument = one_line(self._argument_of(call), 100)
        return self._request.words(f"tool.{call.name}", argument=argument)

    async def run_calls(
        self, calls: Sequence[ToolCall], text: str
    ) -> Sequence[Mapping[str, object]]:
        """Runs tool calls; returns the messages with the calls and their results."""
        with_ids = [(f"call_{number}", call) for number, call in enumerate(calls, start=1)]
        tool_calls = [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call_id, call in with_ids
        ]
        messages: list[Mapping[str, object]] = [
            {"role": "assistant", "content": text, "tool_calls": tool_calls}
        ]
        for call_id, call in with_ids:
            argument = self._argument_of(call)
            result = await self._tools[call.name].function(self._request, argument, self._deps)
            messages.append({"role": "tool", "tool_call_id": call_id, "content": result})
        return messages

    def _argument_of(self, call: ToolCall) -> str:
        """Returns the first text argument, whatever its name; "" if there is none."""
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            return ""
        values = arguments.values() if isinstance(arguments, dict) else ()
        return next((value for value in values if isinstance(value, str)), "")
