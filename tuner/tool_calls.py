"""Extracts function calls from a model's answer, in the form of each model family.

The forms are those of the families' chat templates: Hermes, Qwen 2.5 and 3, SmolLM3 (JSON in a
tag), Qwen 3.5 and Nemotron (XML in the tag), GLM 4 (keys and values in the tag), Gemma 4, LFM2,
gpt-oss, Mistral and Llama 3 (bare JSON).
"""

import ast
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

HERMES_CALL_MARK = "<tool_call>"
CALL_MARKS = (
    HERMES_CALL_MARK,
    "<|tool_call>",
    "<|tool_call_start|>",
    "[TOOL_CALLS]",
    "to=functions.",
)
"""Markers at the start of a call; a Llama call is the whole answer and starts with a brace."""

_Call = tuple[str, object]
_STRING = '<|"|>'
_NAME = r"([\w.-]+)"
_TAG = re.compile(r"<tool_call>((?:(?!</?tool_call>).)*)(?:</tool_call>|$)", re.DOTALL)
_XML = re.compile(rf"\s*<function={_NAME}>(.*?)(?:</function>)?\s*$", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_KEYED = re.compile(rf"\s*{_NAME}\s*(?=<arg_key>|$)(.*)$", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_GEMMA = re.compile(rf"<\|tool_call>call:{_NAME}(\{{.*?\}})(?:<tool_call\|>|$)", re.DOTALL)
_GEMMA_KEY = re.compile(r"([{,]\s*)([\w.-]+):")
_PYTHON = re.compile(r"<\|tool_call_start\|>(\[.*?\])(?:<\|tool_call_end\|>|$)", re.DOTALL)
_CHANNEL = re.compile(
    rf"to=functions\.{_NAME}\s*<\|channel\|>commentary (?:json|<\|constrain\|>json)"
    r"<\|message\|>(\{.*?\})\s*(?:<\|call\|>|$)",
    re.DOTALL,
)
_LISTED = re.compile(r"\[TOOL_CALLS\]\s*(\[.*\])\s*(?:</s>)?\s*$", re.DOTALL)
_NAMED = re.compile(
    rf"\[TOOL_CALLS\]{_NAME}(?:\[ARGS\])?(\{{.*?\}})(?=\[TOOL_CALLS\]|\s*$|</s>)", re.DOTALL
)
_BARE = re.compile(r"^\s*(?:<\|python_tag\|>)?(\{.*\})\s*(?:<\|\w+\|>\s*)*$", re.DOTALL)


def calls_in(text: str) -> tuple[str, list[dict[str, object]]]:
    """Returns the text without function calls, and the calls; malformed calls stay in the text."""
    for pattern, parse in _FORMS:
        calls: list[dict[str, object]] = []
        remaining = pattern.sub(partial(_replace_call, parse, calls), text)
        if calls:
            return remaining.strip(), calls
    return text, []


def _replace_call(
    parse: Callable[[re.Match[str]], Iterator[_Call]],
    calls: list[dict[str, object]],
    match: re.Match[str],
) -> str:
    try:
        parsed = [_call_object(name, arguments) for name, arguments in parse(match)]
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError, RecursionError):
        return match[0]
    calls += parsed
    return "" if parsed else match[0]


def _call_object(name: str, arguments: object) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def _parse_tag(match: re.Match[str]) -> Iterator[_Call]:
    content = match[1]
    if content.lstrip().startswith("{"):
        yield _parse_object(json.loads(content))
    elif xml := _XML.match(content):
        yield xml[1], {key: _value(text) for key, text in _PARAMETER.findall(xml[2])}
    elif pairs := _KEYED.match(content):
        yield pairs[1], {key: _value(text) for key, text in _PAIR.findall(pairs[2])}


def _parse_object(call: Mapping[str, object]) -> _Call:
    arguments = call.get("arguments", call.get("parameters", {}))
    return str(call["name"]), json.loads(arguments) if isinstance(arguments, str) else arguments


def _value(text: str) -> object:
    """Returns a parameter's value, which is JSON unless it is a string without quotes."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def _parse_gemma(match: re.Match[str]) -> Iterator[_Call]:
    parts = match[2].split(_STRING)
    parts[0::2] = [_GEMMA_KEY.sub(r'\1"\2":', part) for part in parts[0::2]]
    parts[1::2] = [json.dumps(part) for part in parts[1::2]]
    yield match[1], json.loads("".join(parts))


def _parse_python(match: re.Match[str]) -> Iterator[_Call]:
    parsed = ast.parse(match[1], mode="eval").body
    for call in parsed.elts if isinstance(parsed, ast.List) else ():
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
            raise ValueError("no call")
        arguments = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        yield ast.unparse(call.func), arguments


def _parse_named(match: re.Match[str]) -> Iterator[_Call]:
    yield match[1], json.loads(match[2])


def _parse_list(match: re.Match[str]) -> Iterator[_Call]:
    for call in json.loads(match[1]):
        yield _parse_object(call)


def _parse_bare(match: re.Match[str]) -> Iterator[_Call]:
    call = json.loads(match[1])
    if call.keys() in ({"name", "parameters"}, {"type", "name", "parameters"}):
        yield _parse_object(call)


_FORMS: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[_Call]]]] = (
    (_TAG, _parse_tag),
    (_GEMMA, _parse_gemma),
    (_PYTHON, _parse_python),
    (_CHANNEL, _parse_named),
    (_LISTED, _parse_list),
    (_NAMED, _parse_named),
    (_BARE, _parse_bare),
)
