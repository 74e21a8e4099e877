"""Reads calls of functions out of a model's answer, in the form of its family.

The forms are those that the families' chat templates write: Hermes, Qwen 2.5 and 3, SmolLM3 (JSON
in a tag), Qwen 3.5 and Nemotron (XML in it), GLM 4 (keys and values in it), Gemma 4, LFM2, gpt-oss,
Mistral and Llama 3 (bare JSON).
"""

import ast
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

CALL = "<tool_call>"
MARKS = (CALL, "<|tool_call>", "<|tool_call_start|>", "[TOOL_CALLS]", "to=functions.")
"""What a call may begin with; Llama's begins with a brace, and is the whole answer."""

_Found = tuple[str, object]
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
    """The text without the calls of functions in it, and the calls; a broken one stays text."""
    for pattern, read in _FORMS:
        calls: list[dict[str, object]] = []
        rest = pattern.sub(partial(_taken, read, calls), text)
        if calls:
            return rest.strip(), calls
    return text, []


def _taken(
    read: Callable[[re.Match[str]], Iterator[_Found]],
    calls: list[dict[str, object]],
    found: re.Match[str],
) -> str:
    try:
        shown = [_shown(name, arguments) for name, arguments in read(found)]
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError, RecursionError):
        return found[0]
    calls += shown
    return "" if shown else found[0]


def _shown(name: str, arguments: object) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def _tagged(found: re.Match[str]) -> Iterator[_Found]:
    said = found[1]
    if said.lstrip().startswith("{"):
        yield _of_json(json.loads(said))
    elif xml := _XML.match(said):
        yield xml[1], {key: _value(text) for key, text in _PARAMETER.findall(xml[2])}
    elif keyed := _KEYED.match(said):
        yield keyed[1], {key: _value(text) for key, text in _PAIR.findall(keyed[2])}


def _of_json(call: Mapping[str, object]) -> _Found:
    arguments = call.get("arguments", call.get("parameters", {}))
    return str(call["name"]), json.loads(arguments) if isinstance(arguments, str) else arguments


def _value(text: str) -> object:
    """These forms write texts without quotes, and all else as JSON."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def _gemma(found: re.Match[str]) -> Iterator[_Found]:
    parts = found[2].split(_STRING)
    parts[0::2] = [_GEMMA_KEY.sub(r'\1"\2":', part) for part in parts[0::2]]
    parts[1::2] = [json.dumps(part) for part in parts[1::2]]
    yield found[1], json.loads("".join(parts))


def _python(found: re.Match[str]) -> Iterator[_Found]:
    listed = ast.parse(found[1], mode="eval").body
    for call in listed.elts if isinstance(listed, ast.List) else ():
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name | ast.Attribute):
            raise ValueError("no call")
        arguments = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        yield ast.unparse(call.func), arguments


def _named(found: re.Match[str]) -> Iterator[_Found]:
    yield found[1], json.loads(found[2])


def _listed(found: re.Match[str]) -> Iterator[_Found]:
    for call in json.loads(found[1]):
        yield _of_json(call)


def _bare(found: re.Match[str]) -> Iterator[_Found]:
    call = json.loads(found[1])
    if call.keys() in ({"name", "parameters"}, {"type", "name", "parameters"}):
        yield _of_json(call)


_FORMS: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[_Found]]]] = (
    (_TAG, _tagged),
    (_GEMMA, _gemma),
    (_PYTHON, _python),
    (_CHANNEL, _named),
    (_LISTED, _listed),
    (_NAMED, _named),
    (_BARE, _bare),
)
