"""Reads what a chat answer must be: a call of a function, or JSON in a form."""

from collections.abc import Mapping, Sequence

from tuner.api.answering import AnswerOptions
from tuner.api.schemas import CreateChat, NamedTool, SchemaFormat
from tuner.errors import ApiError

_ANY_OBJECT: Mapping[str, object] = {"type": "object"}


def output_constraints_of(wanted: CreateChat) -> AnswerOptions:
    tools, template = wanted.tools or [], wanted.chat_template_kwargs
    return AnswerOptions(
        tools=[] if wanted.tool_choice == "none" else tools,
        forced_tools=_forced(wanted, tools),
        has_parallel_calls=wanted.parallel_tool_calls is not False,
        schema=_schema(wanted),
        is_thinking=template is not None and template.enable_thinking,
    )


def _forced(
    wanted: CreateChat, tools: Sequence[Mapping[str, object]]
) -> Sequence[Mapping[str, object]]:
    choice = wanted.tool_choice
    if choice in (None, "none", "auto"):
        return ()
    if not tools:
        raise ApiError("'tool_choice' is only allowed when 'tools' are given.", param="tool_choice")
    if not isinstance(choice, NamedTool):
        return tools
    named = [tool for tool in tools if _name_of(tool) == choice.function.name]
    if not named:
        raise ApiError(
            f"'tool_choice' names '{choice.function.name}', which is not among 'tools'.",
            param="tool_choice",
        )
    return named


def _name_of(tool: Mapping[str, object]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _schema(wanted: CreateChat) -> Mapping[str, object] | None:
    form = wanted.response_format
    if form is None or form.type == "text":
        return None
    if isinstance(form, SchemaFormat):
        return form.json_schema.schema_ or _ANY_OBJECT
    return _ANY_OBJECT
