"""Reads the constraints of a chat answer: a function call, or JSON with a schema."""

from collections.abc import Mapping, Sequence

from tuner.api.answering import AnswerOptions
from tuner.api.schemas import CreateChat, NamedTool, SchemaFormat
from tuner.errors import ApiError

_ANY_OBJECT: Mapping[str, object] = {"type": "object"}


def output_constraints_of(params: CreateChat) -> AnswerOptions:
    tools, template = params.tools or [], params.chat_template_kwargs
    return AnswerOptions(
        tools=[] if params.tool_choice == "none" else tools,
        forced_tools=_forced_tools(params, tools),
        has_parallel_calls=params.parallel_tool_calls is not False,
        schema=_schema(params),
        is_thinking=template is not None and template.enable_thinking,
    )


def _forced_tools(
    params: CreateChat, tools: Sequence[Mapping[str, object]]
) -> Sequence[Mapping[str, object]]:
    choice = params.tool_choice
    if choice in (None, "none", "auto"):
        return ()
    if not tools:
        raise ApiError("'tool_choice' is only allowed when 'tools' are given.", param="tool_choice")
    if not isinstance(choice, NamedTool):
        return tools
    matching = [tool for tool in tools if _name_of(tool) == choice.function.name]
    if not matching:
        raise ApiError(
            f"'tool_choice' names '{choice.function.name}', which is not among 'tools'.",
            param="tool_choice",
        )
    return matching


def _name_of(tool: Mapping[str, object]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else None


def _schema(params: CreateChat) -> Mapping[str, object] | None:
    form = params.response_format
    if form is None or form.type == "text":
        return None
    if isinstance(form, SchemaFormat):
        return form.json_schema.schema_ or _ANY_OBJECT
    return _ANY_OBJECT
