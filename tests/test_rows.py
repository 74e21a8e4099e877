"""The rules of training rows."""

import json
import tracemalloc
from collections.abc import Iterator, Mapping
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rows import (
    PROBLEM_TEXTS,
    Method,
    Problem,
    check_row,
    check_rows,
    count_tokens,
    detect_method,
    estimate_text_tokens,
    find_overlaps,
    fingerprint,
    prompt_fingerprint,
    read_lines,
)
from bot.rows.problems import FILE_PROBLEM_TEXTS
from bot.rows.validation import is_plain_row

USER = {"role": "user", "content": "Where is my parcel?"}
ANSWER = {"role": "assistant", "content": "On its way!"}
CALL = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": "{}"}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "in Bern"}
TOOL = {"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/parcel.png"}}


def chat(*messages: object, **extras: object) -> dict[str, object]:
    return {"messages": list(messages), **extras}


def asked(**message: object) -> dict[str, object]:
    return chat({"role": "user", **message}, ANSWER)


def answered(**message: object) -> dict[str, object]:
    return chat(USER, {"role": "assistant", **message})


def called(**call: object) -> dict[str, object]:
    return chat(USER, {"role": "assistant", "tool_calls": [CALL | call]})


def preference(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "input": {"messages": [USER]},
        "preferred_output": [ANSWER],
        "non_preferred_output": [{"role": "assistant", "content": "No idea."}],
    }
    return {key: value for key, value in (row | changes).items() if value is not None}


def preferred(**message: object) -> dict[str, object]:
    return preference(preferred_output=[{"role": "assistant", **message}])


def nested(depth: int) -> list[object]:
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def called_twice() -> dict[str, object]:
    return chat(USER, {"role": "assistant", "tool_calls": [CALL, CALL]})


BOTH_CALLING = {"role": "assistant", "tool_calls": [CALL, CALL | {"id": "c2"}]}
OLD_CALLING = {"role": "assistant", "function_call": {"name": "track", "arguments": "{}"}}

OTHER_TOOL = {"type": "function", "function": {"name": "pack"}}


def wrapped(*names: str) -> dict[str, object]:
    """Calls of functions made together, as OpenAI's models wrap them."""
    uses = [{"recipient_name": name, "parameters": {}} for name in names]
    together = {"name": "multi_tool_use.parallel", "arguments": json.dumps({"tool_uses": uses})}
    return {"role": "assistant", "tool_calls": [CALL | {"function": together}]}


ACCEPTED = {
    "question and answer": chat(USER, ANSWER),
    "system": chat({"role": "system", "content": "Be kind."}, USER, ANSWER),
    "developer": chat({"role": "developer", "content": "Be kind."}, USER, ANSWER),
    "many turns with weights": chat(USER, ANSWER | {"weight": 0}, USER, ANSWER | {"weight": 1}),
    "an answer without a question": chat(ANSWER),
    "a tool call": chat(USER, CALLING, RESULT, ANSWER, tools=[TOOL], parallel_tool_calls=False),
    "parallel calls": chat(
        USER, BOTH_CALLING, RESULT | {"tool_call_id": "c2"}, RESULT, ANSWER, tools=[TOOL]
    ),
    "calls wrapped as one": chat(
        USER, wrapped("functions.track", "pack"), RESULT, ANSWER, tools=[TOOL, OTHER_TOOL]
    ),
    "a call as the answer": chat(USER, CALLING | {"content": None}, tools=[TOOL]),
    "an old function call": chat(
        USER,
        OLD_CALLING,
        {"role": "function", "name": "track", "content": "in Bern"},
        ANSWER,
        functions=[{"name": "track"}],
    ),
    "a refusal": answered(content=None, refusal="I cannot help with that."),
    "parts": asked(content=[{"type": "text", "text": "Is it this?"}, IMAGE]),
    "a name": asked(content="Hello", name="ann"),
    "empty fields as the API writes them": answered(content="Hi", tool_calls=None, refusal=None),
    "something like a control token": asked(content="a <| b |> c <|two words|>"),
}

_WEIGHTS = (True, 1.0, 0.5, 2, 10**5000, "1", None)

_NO_SCHEMAS: tuple[object, ...] = (
    [],
    {"properties": {}},
    {"type": "string"},
    {"type": "object", "properties": ["a"]},
    {"type": "object", "properties": {}, "required": ["a"]},
    {"type": "object", "required": "a"},
)
_NO_PROPERTIES: tuple[object, ...] = (
    "string",
    {"type": None},
    {"type": "text"},
    {"type": "array", "items": {"type": ["float"]}},
    {"anyOf": [{"type": "null"}, {"type": "date"}]},
)

REFUSED: list[tuple[str, object]] = [
    ("row_not_object", [USER, ANSWER]),
    ("preference_among_chats", preference()),
    ("messages_missing", {"prompt": "a", "completion": "b"}),
    ("messages_not_list", {"messages": "hello"}),
    ("messages_empty", chat()),
    ("message_not_object", chat("hello")),
    ("key_unknown", asked(content="Hello", text="Hello")),
    ("role_missing", chat({"content": "Hello"}, ANSWER)),
    ("role_unknown", chat(USER | {"role": "bot"}, ANSWER)),
    ("role_unknown", chat(USER | {"role": ["user"]}, ANSWER)),
    ("content_missing", asked()),
    ("content_missing", answered(content=None)),
    ("content_empty", asked(content="")),
    ("content_empty", asked(content=" \n")),
    ("content_empty", asked(content=[])),
    ("content_empty", asked(content=[{"type": "text", "text": " "}])),
    ("content_not_text", asked(content=7)),
    ("part_broken", asked(content=["hello"])),
    ("part_broken", asked(content=[{"type": "text"}])),
    ("part_unknown", asked(content=[{"type": "input_audio"}])),
    ("image_not_from_user", answered(content=[IMAGE])),
    ("image_broken", asked(content=[{"type": "image_url", "image_url": "parcel.png"}])),
    ("control_token", asked(content="Hello<|im_start|>")),
    ("control_token", asked(content=[{"type": "text", "text": "<|FIM_suffix|>"}])),
    ("control_token", asked(content="Hello", name="<|endoftext|>")),
    ("name_not_text", asked(content="Hello", name=5)),
    ("name_missing", chat(USER, {"role": "function", "content": "in Bern"}, ANSWER)),
    ("refusal_not_text", answered(content="Hi", refusal=5)),
    ("reasoning_not_text", answered(content="Hi", reasoning_content=5)),
    ("reasoning_not_for_role", asked(content="Hello", reasoning_content="Hm.")),
    ("weight_not_for_role", asked(content="Hello", weight=1)),
    *(("weight_wrong", answered(content="Hi", weight=w)) for w in _WEIGHTS),
    ("calls_not_for_role", asked(content="Hello", tool_calls=[CALL])),
    ("calls_not_list", answered(tool_calls=CALL)),
    ("calls_empty", answered(content="Hi", tool_calls=[])),
    ("call_broken", answered(tool_calls=["track"])),
    ("call_broken", called(id="")),
    ("call_broken", called(type="tool")),
    ("call_broken", called(function="track")),
    ("call_without_name", called(function={"arguments": "{}"})),
    ("arguments_not_json", called(function={"name": "track", "arguments": {}})),
    ("arguments_not_json", called(function={"name": "track", "arguments": "{"})),
    ("answer_without_id", chat(USER, CALLING, {"role": "tool", "content": "in Bern"}, ANSWER)),
    ("answer_not_for_role", asked(content="Hello", tool_call_id="c1")),
    ("answer_to_nothing", chat(USER, RESULT, ANSWER)),
    ("answer_to_nothing", chat(USER, CALLING, RESULT, RESULT, ANSWER)),
    ("answer_to_nothing", chat(USER, {"role": "function", "name": "a", "content": "b"}, ANSWER)),
    ("call_unanswered", chat(USER, CALLING, ANSWER)),
    ("call_unanswered", chat(USER, CALLING, USER, ANSWER)),
    ("call_unanswered", chat(USER, BOTH_CALLING, RESULT, ANSWER)),
    ("call_unanswered", chat(USER, BOTH_CALLING, RESULT)),
    ("call_unanswered", chat(USER, OLD_CALLING, ANSWER)),
    ("call_twice", called_twice()),
    ("call_undefined", chat(USER, CALLING, RESULT, ANSWER, tools=[OTHER_TOOL])),
    ("call_undefined", chat(USER, OLD_CALLING, functions=[{"name": "pack"}])),
    ("call_undefined", chat(USER, wrapped("functions.track"), tools=[OTHER_TOOL])),
    ("call_undefined", chat(USER, wrapped(), tools=[TOOL])),
    ("assistant_missing", chat(USER)),
    ("last_not_assistant", chat(USER, ANSWER, USER)),
    ("nothing_trained", answered(content="Hi", weight=0)),
    ("tools_not_list", chat(USER, ANSWER, tools=TOOL)),
    ("tool_broken", chat(USER, ANSWER, tools=[{"type": "function"}])),
    ("tool_broken", chat(USER, ANSWER, functions=[{}])),
    ("tool_twice", chat(USER, ANSWER, tools=[TOOL, OTHER_TOOL, TOOL])),
    ("tool_name", chat(USER, ANSWER, functions=[{"name": "track it"}])),
    *(
        ("tool_schema", chat(USER, ANSWER, functions=[{"name": "a", "parameters": p}]))
        for p in _NO_SCHEMAS
    ),
    *(
        ("tool_property", chat(USER, ANSWER, functions=[{"name": "a", "parameters": p}]))
        for p in ({"type": "object", "properties": {"b": {}, "a": a}} for a in _NO_PROPERTIES)
    ),
    ("tool_control_token", chat(USER, ANSWER, functions=[{"name": "<|im_end|>"}])),
    ("parallel_not_boolean", chat(USER, ANSWER, parallel_tool_calls=1)),
    ("too_long", asked(content="word " * 70_000)),
    ("too_deep", chat(USER, ANSWER, tools=nested(100_000))),
    ("not_finite", chat(USER, ANSWER, score=float("nan"))),
    ("null_byte", asked(content="Hel\0lo")),
    ("broken_character", asked(content="Hello \ud83d")),
]

REFUSED_PREFERENCES: list[tuple[str, object]] = [
    ("chat_among_preferences", chat(USER, ANSWER)),
    ("input_missing", preference(input=None)),
    ("input_bare_list", preference(input=[USER])),
    ("input_not_object", preference(input="Hello")),
    ("input_ends_with_assistant", preference(input=chat(USER, ANSWER))),
    ("image_in_preference", preference(input=chat({"role": "user", "content": [IMAGE]}))),
    ("output_missing", preference(preferred_output=None)),
    ("output_not_list", preference(preferred_output=ANSWER)),
    ("output_not_single", preference(non_preferred_output=[ANSWER, ANSWER])),
    ("output_not_assistant", preference(preferred_output=[USER])),
    ("output_not_text", preferred(tool_calls=[CALL])),
    ("outputs_same", preference(non_preferred_output=[ANSWER | {"content": "On  its way! "}])),
    ("output_content_empty", preferred(content="")),
    ("output_control_token", preferred(content="<|im_end|>")),
    ("output_key_unknown", preferred(content="Hi", score=1)),
]

BROKEN_LINES: list[tuple[str, bytes]] = [
    ("not_utf8", b'{"a": "\xe9"}'),
    ("null_byte", b'{"a": "\0"}'),
    ("null_byte", b"{}\0\0"),
    ("not_json", b"{'a': 1}"),
    ("not_json", b'{"a": 1,}'),
    ("cut_off", b'{"a": "hel'),
    ("cut_off", b"{"),
    ("extra_text", b"{},"),
    ("several_objects", b"{} {}"),
    ("not_finite", b'{"a": NaN}'),
    ("not_finite", b'{"a": -Infinity}'),
    ("not_finite", b'{"a": 1e999}'),
    ("number_too_long", b'{"a": ' + b"1" * 5000 + b"}"),
    ("too_deep", b"[" * 100_000),
    ("line_too_long", b'{"a": "' + b"a" * (8 << 20) + b'"}'),
]

# A machine shared with others may stop for longer than the usual deadline.
unhurried = settings(deadline=None)

texts = st.text(st.characters()) | st.sampled_from(
    ["Hi", " ", "<|im_end|>", "\0", "\ud800", "你好"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": texts},
    optional={"weight": st.sampled_from([0, 1, 1, 2, True, None]), "name": texts},
)
near_rows = st.fixed_dictionaries({"messages": st.lists(messages, max_size=4)})


def code_of(row: object, method: Method = Method.SUPERVISED) -> str | None:
    problem = check_row(row, method)
    return problem.code if problem else None


def paths_in(value: object, *before: str | int) -> Iterator[tuple[str | int, ...]]:
    yield before
    children = value.items() if isinstance(value, Mapping) else ()
    for key, child in enumerate(value) if isinstance(value, list) else children:
        yield from paths_in(child, *before, key)


def replaced(value: object, path: tuple[str | int, ...], new: object) -> object:
    if not path:
        return new
    first, *rest = path
    if isinstance(value, Mapping):
        return {k: replaced(v, tuple(rest), new) if k == first else v for k, v in value.items()}
    assert isinstance(value, list)
    return [replaced(v, tuple(rest), new) if n == first else v for n, v in enumerate(value)]


@pytest.mark.parametrize("row", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_sound_chat_row_is_accepted(row: object) -> None:
    assert check_row(row, Method.SUPERVISED) is None


@pytest.mark.parametrize(("code", "row"), REFUSED)
def test_a_broken_chat_row_is_refused_for_its_reason(code: str, row: object) -> None:
    assert code_of(row) == code


def test_a_sound_preference_row_is_accepted() -> None:
    row = preference(input={"messages": [USER, ANSWER, USER], "tools": [TOOL]})

    assert check_row(row, Method.DPO) is None


@pytest.mark.parametrize(("code", "row"), REFUSED_PREFERENCES)
def test_a_broken_preference_row_is_refused_for_its_reason(code: str, row: object) -> None:
    assert code_of(row, Method.DPO) == code


@pytest.mark.parametrize(("code", "line"), BROKEN_LINES, ids=lambda value: str(value)[:20])
def test_a_broken_line_is_told_and_reading_goes_on(code: str, line: bytes) -> None:
    found = list(read_lines([b"{}\n", line, b"\n{}\n"]))

    assert [number for number, _ in found if number != 2] == [1, 3]
    problem = found[-2][1]
    assert isinstance(problem, Problem)
    assert (problem.line, problem.code) == (2, code)


@pytest.mark.parametrize(
    ("code", "row", "method"),
    [(code, row, Method.SUPERVISED) for code, row in REFUSED]
    + [(code, row, Method.DPO) for code, row in REFUSED_PREFERENCES],
)
def test_every_refusal_is_a_short_sentence(code: str, row: object, method: Method) -> None:
    problem = check_row(row, method, line=7)

    assert problem is not None
    assert problem.sentence.startswith("Line 7: ")
    assert problem.sentence.endswith(".")
    assert len(problem.sentence) < 180


def test_every_rule_of_rows_has_an_example_that_breaks_it() -> None:
    shown = {code for code, _ in REFUSED + REFUSED_PREFERENCES + BROKEN_LINES}
    of_rows = {
        code for code in PROBLEM_TEXTS if code not in FILE_PROBLEM_TEXTS and code[:7] != "output_"
    }

    assert of_rows | {code for code, _ in BROKEN_LINES} <= shown


@pytest.mark.parametrize("code", PROBLEM_TEXTS)
def test_a_reason_says_what_is_wrong_and_what_to_do(code: str) -> None:
    fields = {name: "x" for _, name, _, _ in Formatter().parse(PROBLEM_TEXTS[code]) if name}

    assert Problem(0, code, fields).sentence[-1] == "."
    assert "{" not in PROBLEM_TEXTS[code].format_map(fields).replace("{}", "").replace("{“", "")


def test_the_sentence_says_where_the_fault_is() -> None:
    problem = check_row(chat(USER, {"role": "bot", "content": "Hi"}), Method.SUPERVISED, line=7)

    assert problem is not None
    assert problem.sentence == (
        "Line 7: message 2 has the role “bot”, use system, developer, user, assistant or tool."
    )


def test_without_a_line_the_sentence_begins_with_a_capital() -> None:
    problem = check_row(chat(USER), Method.SUPERVISED)

    assert problem is not None
    assert problem.sentence.startswith("No message is from the assistant")


def test_a_control_token_is_named() -> None:
    problem = check_row(asked(content="a <|fim_suffix|> b"), Method.SUPERVISED)

    assert problem is not None
    assert problem.details == {"message": 1, "token": "<|fim_suffix|>"}


@unhurried
@given(json_values, st.sampled_from(Method))
def test_checking_never_raises(row: object, method: Method) -> None:
    problem = check_row(row, method)

    assert problem is None or problem.sentence


@unhurried
@given(st.data(), st.sampled_from([*ACCEPTED.values(), preference()]), st.sampled_from(Method))
def test_checking_a_spoilt_row_never_raises(
    st_data: st.DataObject, row: object, to: Method
) -> None:
    path = st_data.draw(st.sampled_from(list(paths_in(row))))
    spoilt = replaced(row, path, st_data.draw(json_values))

    problem = check_row(spoilt, to)

    if problem is None:
        assert isinstance(spoilt, dict)
        assert len(fingerprint(spoilt)) == len(prompt_fingerprint(spoilt)) == 64
        assert count_tokens(spoilt) > 0


@unhurried
@given(near_rows | json_values, st.integers(0, 60))
def test_what_passes_at_a_glance_breaks_no_rule(row: object, max_tokens: int) -> None:
    if is_plain_row(row, max_tokens):
        # An extra key keeps a row from passing at a glance.
        assert check_row(row | {"extra": 1}, Method.SUPERVISED) is None
        assert count_tokens(row) <= max_tokens


@unhurried
@given(st.lists(near_rows, max_size=5), st.integers(1, 40))
def test_rows_survive_any_cut_of_the_file(rows: list[object], size: int) -> None:
    file = "\r\n\n".join(json.dumps(row) for row in rows).encode()
    chunks = [file[start : start + size] for start in range(0, len(file), size)]

    assert [value for _, value in read_lines(chunks)] == rows


@unhurried
@given(st.lists(st.binary(max_size=30), max_size=6))
def test_reading_never_raises(chunks: list[bytes]) -> None:
    for line, value in read_lines(chunks):
        assert line > 0
        assert not isinstance(value, Problem) or value.sentence


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_unicode_file_is_read(encoding: str) -> None:
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    file = (mark + '{"a": "你好 🎓"}\r\n').encode(encoding)

    assert list(read_lines([bytes([byte]) for byte in file])) == [(1, {"a": "你好 🎓"})]


def test_a_broken_utf_16_file_is_told() -> None:
    file = '{"a": "\ud83d"}\n{}\n'.encode("utf-16", "surrogatepass") + b"{"

    found = [v.code if isinstance(v, Problem) else v for _, v in read_lines([file])]

    assert found == ["not_utf8", {}, "not_utf8"]


def test_blank_lines_count() -> None:
    found = list(read_lines([b'\n{"a": 1}\n\n{"d": 4}']))

    assert found == [(2, {"a": 1}), (4, {"d": 4})]


def test_a_file_joined_from_two_with_marks_is_read() -> None:
    assert [value for _, value in read_lines([b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}"])] == [{}, {}]


def test_reading_holds_no_more_than_a_chunk_and_a_line() -> None:
    chunks = (b'{"a": 1}\n' * 1000 if turn % 2 else b"x" * 9000 for turn in range(600))

    tracemalloc.start()
    lines = sum(1 for _ in read_lines(chunks))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert lines == 300_000
    assert peak < 1 << 20


def test_an_endless_line_does_not_fill_the_memory() -> None:
    tracemalloc.start()
    found = list(read_lines(b"x" * (1 << 20) for _ in range(64)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [problem.code for _, problem in found if isinstance(problem, Problem)] == [
        "line_too_long"
    ]
    assert peak < 20 << 20


def test_checked_rows_keep_their_order_and_lines() -> None:
    broken = Problem(2, "cut_off", {})
    rows = [(1, chat(USER, ANSWER)), (2, broken), (3, chat(USER))]

    found = list(check_rows(rows, Method.SUPERVISED))

    assert found[:2] == rows[:2]
    assert found[2] == (3, Problem(3, "assistant_missing", {}))


@pytest.mark.parametrize(
    ("row", "method"),
    [
        (chat(USER, ANSWER), Method.SUPERVISED),
        (preference(), Method.DPO),
        ({"input": [], "preferred_output": []}, Method.DPO),
        ({"prompt": "a"}, None),
        ([], None),
    ],
)
def test_the_method_is_guessed_from_the_keys(row: object, method: Method | None) -> None:
    assert detect_method(row) is method


SAME = [
    (chat(USER, ANSWER), chat(dict(reversed(USER.items())), ANSWER)),
    (chat(USER, ANSWER), asked(content=" Where is\n my  parcel? ")),
    (chat(USER, ANSWER), asked(content=[{"type": "text", "text": "Where is my parcel?"}])),
    (chat(USER, ANSWER), chat(USER, ANSWER | {"weight": 1}, tools=[], note="from Ann")),
    (asked(content="caf\u00e9"), asked(content="cafe\u0301")),
    (
        chat(USER, CALLING, RESULT, ANSWER),
        chat(
            USER,
            {"role": "assistant", "tool_calls": [CALL | {"id": "other"}]},
            RESULT | {"tool_call_id": "other"},
            ANSWER,
        ),
    ),
]

DIFFERENT = [
    (chat(USER, ANSWER), chat(USER, USER)),
    (chat(USER, ANSWER), chat(USER, ANSWER | {"weight": 0})),
    (chat(USER, ANSWER), chat(USER, ANSWER | {"reasoning_content": "They ask again."})),
    (chat(USER, ANSWER), chat(USER, ANSWER, tools=[TOOL])),
    (chat(USER, CALLING), called(function={"name": "track", "arguments": '{"id": 1}'})),
    (chat(USER, ANSWER), preference()),
    (asked(content=[IMAGE]), asked(content=[IMAGE | {"image_url": {"url": "https://other"}}])),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_rows_that_mean_the_same_are_duplicates(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_rows_that_mean_something_else_are_not_duplicates(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_the_same_prompt_is_found_whatever_the_answer_and_the_method() -> None:
    one = prompt_fingerprint(chat(USER, ANSWER))

    assert one == prompt_fingerprint(answered(content="Somewhere else."))
    assert one == prompt_fingerprint(preference())
    assert one != prompt_fingerprint(asked(content="Another question"))


def test_rows_on_both_sides_are_found_with_their_lines() -> None:
    row, other, third = (asked(content=text) for text in ("one", "two", "three"))

    found = find_overlaps([(1, row), (2, other), (3, row)], [(1, third), (2, row), (4, other)])

    assert list(found) == [(1, 2), (2, 4)]


# The greeting with which OpenAI presented the tokenizer o200k_base, and its count of tokens.
GREETINGS = [
    (24, "Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!"),
    (24, "你好，我的名字是GPT-4o。我是一种新型的语言模型，很高兴见到你!"),
    (
        26,
        "こんにちわ、私の名前はGPT−4oです。私は新しいタイプの言語モデルです、初めまして",
    ),
    (
        27,
        "안녕하세요, 제 이름은 GPT-4o입니다. "
        "저는 새로운 유형의 언어 모델입니다, 만나서 반갑습니다!",
    ),
    (23, "Привет, меня зовут GPT-4o. Я — новая языковая модель, приятно познакомиться!"),
]


@pytest.mark.parametrize(("tokens", "text"), GREETINGS)
def test_the_estimate_is_near_the_real_count(tokens: int, text: str) -> None:
    assert estimate_text_tokens(text) == pytest.approx(tokens, rel=0.25)


def test_each_message_and_each_row_costs_a_little_more_than_its_text() -> None:
    assert count_tokens(chat(USER, ANSWER)) == 3 + 4 + estimate_text_tokens(USER["content"]) + 4 + 3


def test_an_image_costs_no_more_for_a_long_address() -> None:
    long = IMAGE | {"image_url": {"url": "data:image/png;base64," + "A" * 100_000}}

    assert check_row(asked(content=[long]), Method.SUPERVISED) is None
    assert count_tokens(asked(content=[long])) < 120


@unhurried
@given(texts)
def test_no_text_is_estimated_above_two_tokens_a_character(text: str) -> None:
    assert estimate_text_tokens(text) <= 2 * len(text)
