"""Calls of functions are read out of an answer in the form of its family, and broken ones stay."""

import json

import pytest

from tuner.tool_calls import calls_in

CALL = '{"name": "look", "arguments": {"word": "figs & jam", "times": 2}}'
FIGS = {"word": "figs & jam", "times": 2}


@pytest.mark.parametrize(
    "said",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<tool_call>{CALL}",
        "<tool_call>\n<function=look>\n<parameter=word>\nfigs & jam\n</parameter>\n"
        "<parameter=times>\n2\n</parameter>\n</function>\n</tool_call>",
        "<tool_call>look\n<arg_key>word</arg_key>\n<arg_value>figs & jam</arg_value>\n"
        "<arg_key>times</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
        '<|tool_call>call:look{times:2,word:<|"|>figs & jam<|"|>}<tool_call|>',
        "<|tool_call_start|>[look(word='figs & jam', times=2)]<|tool_call_end|>",
        ' to=functions.look<|channel|>commentary json<|message|>{"word": "figs & jam", "times": 2}',
        '[TOOL_CALLS][{"name": "look", "arguments": {"word": "figs & jam", "times": 2}}]</s>',
        '[TOOL_CALLS]look[ARGS]{"word": "figs & jam", "times": 2}',
        '{"name": "look", "parameters": {"word": "figs & jam", "times": 2}}<|eot_id|>',
        '<|python_tag|>{"name": "look", "parameters": {"word": "figs & jam", "times": 2}}',
    ],
)
def test_a_call_is_read_in_the_form_of_its_family(said: str) -> None:
    rest, [call] = calls_in(said)

    assert rest in ("", "to")
    function = call["function"]
    assert isinstance(function, dict)
    assert (function["name"], json.loads(function["arguments"])) == ("look", FIGS)


@pytest.mark.parametrize(
    "said",
    [
        "Just an answer.",
        '{"in_stock": true}',
        '{"name": "Ann", "age": 3}',
        '<tool_call>{"name": "look", "argu',
        "<tool_call></tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        "<|tool_call_start|>[__import__('os').system('x')(1)]<|tool_call_end|>",
        "<|tool_call_start|>[look(word=open('x'))]<|tool_call_end|>",
        "<|tool_call>call:look{word:}<tool_call|>",
        "[TOOL_CALLS][1, 2]",
        "[TOOL_CALLS]look[ARGS]{oops}",
        "to=functions.look<|channel|>commentary json<|message|>{oops}<|call|>",
    ],
)
def test_what_is_no_whole_call_stays_text(said: str) -> None:
    assert calls_in(said) == (said, [])


def test_text_and_several_calls_are_told_apart() -> None:
    one = '<tool_call>{"name": "a", "arguments": {}}</tool_call>'
    other = one.replace('"a"', '"b"')

    rest, calls = calls_in(f"I look. {one}\n{other}")

    assert rest == "I look."
    assert [call["function"] for call in calls] == [
        {"name": "a", "arguments": "{}"},
        {"name": "b", "arguments": "{}"},
    ]
