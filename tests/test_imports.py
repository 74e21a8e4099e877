"""Reading the files people really have."""

import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.imports import ImportOptions, ImportPlan, Layout, plan_import, read_import, unpack
from bot.rows import Method, Problem

CHAT = {
    "messages": [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "Near."},
        {"role": "user", "content": "How near?"},
        {"role": "assistant", "content": "In Bern.", "weight": 1},
    ],
    "tools": [{"type": "function", "function": {"name": "track"}}],
}
PREFERENCE = {
    "input": {"messages": [{"role": "user", "content": "Where is it?"}]},
    "preferred_output": [{"role": "assistant", "content": "Near."}],
    "non_preferred_output": [{"role": "assistant", "content": "No idea."}],
}
NEAR = [("user", "Where is it?"), ("assistant", "Near.")]
# A machine shared with others may stop for longer than the usual deadline.
unhurried = settings(deadline=None)

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).filter(str.strip)


def looked_at(
    file: bytes, name: str = "rows.csv", options: ImportOptions | None = None
) -> ImportPlan | Problem:
    found = unpack(io.BytesIO(file), name)
    if isinstance(found, Problem):
        return found
    with found[0]:
        return plan_import(*found, options)


def planned(
    file: bytes, name: str = "rows.csv", options: ImportOptions | None = None
) -> ImportPlan:
    plan = looked_at(file, name, options)
    assert isinstance(plan, ImportPlan), plan.sentence
    return plan


def imported(file: bytes, name: str = "rows.csv") -> list[tuple[int, object]]:
    found = unpack(io.BytesIO(file), name)
    assert not isinstance(found, Problem), found.sentence
    with found[0]:
        plan = plan_import(*found)
        assert isinstance(plan, ImportPlan), plan.sentence
        return list(read_import(found[0], plan))


def refused(file: bytes, name: str = "rows.csv") -> list[tuple[int, str]]:
    rows = imported(file, name)
    return [(line, row.code) for line, row in rows if isinstance(row, Problem)]


def said(file: bytes, name: str = "rows.csv") -> list[list[tuple[str, str]]]:
    rows = [row for _, row in imported(file, name)]
    assert all(isinstance(row, dict) for row in rows), rows
    return [
        [(message["role"], message["content"]) for message in row["messages"]]
        for row in rows
        if isinstance(row, dict)
    ]


def jsonl(*rows: object) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


@pytest.mark.parametrize(
    ("row", "layout", "method"),
    [
        (CHAT, Layout.CHAT, Method.SUPERVISED),
        (PREFERENCE, Layout.DPO, Method.DPO),
        ({"prompt": "a", "completion": "b"}, Layout.COLUMNS, Method.SUPERVISED),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, Layout.COLUMNS, Method.DPO),
        (
            {"prompt": "a", "preferred_output": "b", "non_preferred_output": "c"},
            Layout.COLUMNS,
            Method.DPO,
        ),
    ],
)
def test_the_layout_of_json_is_seen(row: object, layout: Layout, method: Method) -> None:
    for file in (jsonl(row, row), jsonl([row, row])):
        plan = planned(file, "rows.jsonl")

        assert (plan.layout, plan.method) == (layout, method)


@pytest.mark.parametrize("row", [CHAT, PREFERENCE])
def test_rows_in_the_shapes_of_the_protocol_come_through_unchanged(row: object) -> None:
    assert imported(jsonl(row, row), "rows.jsonl") == [(1, row), (2, row)]


def test_a_completion_becomes_a_chat_row_without_its_outer_spaces() -> None:
    file = jsonl({"prompt": "Where is it?\n\n", "completion": " Near.", "id": 7})

    assert said(file, "rows.jsonl") == [NEAR]


def test_the_input_of_an_alpaca_row_follows_its_instruction() -> None:
    row = {"instruction": "Translate", "input": "Hallo", "output": "Hello"}
    other = row | {"input": ""}

    assert said(jsonl(row, other), "rows.json") == [
        [("user", "Translate\n\nHallo"), ("assistant", "Hello")],
        [("user", "Translate"), ("assistant", "Hello")],
    ]


def test_a_flat_preference_becomes_a_preference_row() -> None:
    row = {"prompt": "Where is it?", "chosen": "Near.", "rejected": "No idea."}

    assert imported(jsonl(row), "rows.jsonl") == [(1, PREFERENCE)]


def test_rows_of_the_other_method_are_told() -> None:
    chats = refused(jsonl(CHAT, PREFERENCE), "rows.jsonl")
    preferences = refused(jsonl(PREFERENCE, CHAT), "rows.jsonl")

    assert chats == [(2, "preference_among_chats")]
    assert preferences == [(2, "chat_among_preferences")]


def test_completions_that_lack_something_are_told_by_key() -> None:
    good = {"prompt": "a", "completion": "b"}
    rows = (good, {"prompt": "a"}, good | {"completion": 7}, good | {"prompt": " "})

    assert refused(jsonl(*rows), "rows.jsonl") == [
        (2, "cell_missing"),
        (3, "cell_not_text"),
        (4, "cell_empty"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_array_is_read_with_the_line_of_each_row(encoding: str) -> None:
    file = json.dumps([CHAT, CHAT], indent=1).encode(encoding)

    assert [row for _, row in imported(file, "rows.json")] == [CHAT, CHAT]
    assert [line for line, _ in imported(file, "rows.json")] == [2, 31]


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (b'{"a": 1', "cut_off"),
        (b"'a']", "not_json"),
        (b"7 8]", "extra_text"),
        (b"[NaN]]", "not_finite"),
        (b"[" * 100_000, "too_deep"),
        (b'"' + b"x" * (9 << 20) + b'"]', "line_too_long"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_broken_array_is_told(rest: bytes, code: str) -> None:
    assert code in [code for _, code in refused(jsonl([CHAT])[:-1] + b",\n" + rest, "rows.json")]


def test_an_array_of_any_size_is_read_with_bounded_memory() -> None:
    file = io.BytesIO(json.dumps([CHAT] * 20_000, indent=1).encode())
    plan = plan_import(file, "rows.json")
    assert isinstance(plan, ImportPlan)

    tracemalloc.start()
    count = sum(1 for _ in read_import(file, plan))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 20_000
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("question", "answer"),
        ("Prompt", "Completion"),
        ("INPUT", "Output"),
        ("user_message", "assistant"),
        ("Customer question", "Our answer"),
        ("Frage", "Antwort"),
        ("Eingabe", "Ausgabe"),
        ("requête", "réponse"),
        ("pregunta", "respuesta"),
        ("问题", "答案"),
        ("輸入", "輸出"),
        ("Frage", "was wir sagen"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_are_known_by_name(question: str, answer: str, delimiter: str) -> None:
    table = f"{question}{delimiter}{answer}\nWhere is it?{delimiter}Near.\n"

    plan = planned(table.encode())

    assert plan.columns == {"question": question, "answer": answer}
    assert (plan.layout, plan.source.delimiter) == (Layout.COLUMNS, delimiter)
    assert said(table.encode()) == [NEAR]


def test_other_columns_stay_out_and_instructions_come_first() -> None:
    table = b"id,Answer,System,Question,date\n1,Near.,Be kind.,Where is it?,today\n"

    assert said(table) == [[("system", "Be kind."), *NEAR]]


def test_a_table_of_preferences_becomes_preference_rows() -> None:
    table = b"prompt;rejected;chosen\nWhere is it?;No idea.;Near.\n"

    assert imported(table) == [(2, PREFERENCE)]


def test_a_table_without_header_needs_exactly_two_columns() -> None:
    table = b"Where is it?,Near.\nWhere is it?,Near.\n"

    plan = planned(table)

    assert (plan.columns, plan.source.headings) == ({"question": "1", "answer": "2"}, ("1", "2"))
    assert said(table) == [NEAR, NEAR]


def test_columns_that_say_nothing_are_named() -> None:
    problem = looked_at(b"id,theme,text\n1,2,3\n", "rows.csv")

    assert isinstance(problem, Problem)
    assert "“id”, “theme”, “text”" in problem.sentence


def test_keys_that_say_nothing_are_named() -> None:
    problem = looked_at(b'{"theme": "a", "text": "b"}', "rows.jsonl")

    assert isinstance(problem, Problem)
    assert "“theme”, “text”" in problem.sentence


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_every_office_are_read(encoding: str) -> None:
    table = "Frage;Antwort\r\nWo ist das Café?\r\n;\r\nWo?;In Zürich – nah.\r\n"
    file = table.replace("?\r\n;", "?;Nah.").encode(encoding)

    assert said(file)[-1] == [("user", "Wo?"), ("assistant", "In Zürich – nah.")]
    assert "Café" in said(file)[0][0][1]


def test_an_old_encoding_that_shows_late_is_still_read() -> None:
    file = b"Frage;Antwort\n" + b"Wo?;Nah.\n" * 9000 + b"Caf\xe9?;Nah.\n"

    assert said(file)[-1] == [("user", "Café?"), ("assistant", "Nah.")]


def test_a_broken_character_is_told_and_not_guessed() -> None:
    file = "Frage;Antwort\nÜber?;Nah.\n".encode() + b"Caf\xe9?;Nah.\n"

    assert imported(file)[-1] == (3, Problem(3, "broken_character", {}))


def test_a_row_over_several_lines_counts_from_its_first() -> None:
    table = b'question,answer\n"Where\nis it?","Near,\nso ""near""."\n\nWhere is it?,\n'

    assert [line for line, _ in imported(table)] == [2, 6]
    assert refused(table) == [(6, "cell_empty")]


def test_the_line_with_which_a_spreadsheet_tells_its_delimiter_is_no_row() -> None:
    assert said(b"sep=|\r\nquestion|answer\r\nWhere is it?|Near.\r\n") == [NEAR]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"Where is it?", "cell_missing"),
        (b"Where is it?,Near, I think.", "cells_too_many"),
        (b'"Where is it?,Near.', "table_broken"),
        (b'"Where" is it?,Near.', "table_broken"),
        (b"Where is it?," + b"x" * 600_000, "cell_too_long"),
        (b"Where is it?," + b"x" * 300_000, "too_long"),
        (b"Where is it?," + b"x" * (9 << 20), "cell_too_long"),
        (b"Where is it?,<|im_end|>", "control_token"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_broken_line_of_a_table_is_told(line: bytes, code: str) -> None:
    assert refused(b"question,answer\nWhere is it?,Near.\n" + line) == [(3, code)]


@pytest.mark.parametrize(
    "file", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b" \r\n\n", b"[]", b"[ ]"]
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows"])
def test_an_empty_file_is_told(file: bytes, name: str) -> None:
    problem = looked_at(file, name)

    assert isinstance(problem, Problem)
    assert problem.code in ("file_empty", "columns_unknown")


def test_a_table_with_nothing_under_its_header_is_told() -> None:
    assert refused(b"question,answer\n") == [(0, "file_empty")]


@pytest.mark.parametrize("row", [CHAT, PREFERENCE, {"prompt": "Where?", "completion": "Near."}])
@pytest.mark.parametrize("shape", ["lines", "array", "object", "spread"])
def test_a_first_row_longer_than_the_head_is_a_row(row: dict[str, object], shape: str) -> None:
    long = json.loads(json.dumps(row).replace("Where", "Where " * 14_000))
    file = {
        "lines": jsonl(long, row),
        "array": jsonl([long, row]),
        "object": jsonl({"version": 1, "data": [long, row]}),
        "spread": "\n".join(json.dumps(each, indent=2) for each in (long, row)).encode(),
    }[shape]

    assert [type(found) for _, found in imported(file, "rows.json")] == [dict, dict]


def test_a_broken_first_line_does_not_hide_the_layout() -> None:
    assert planned(b"{'a': 1}\n" + jsonl(CHAT), "rows.jsonl").layout is Layout.CHAT


def test_a_table_is_never_held_in_memory() -> None:
    file = io.BytesIO(b"question,answer\n" + b"Where is it?,Near.\n" * 60_000)
    plan = plan_import(file, "rows.csv")
    assert isinstance(plan, ImportPlan)

    tracemalloc.start()
    count = sum(1 for _ in read_import(file, plan))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 60_000
    assert peak < 8 << 20


@unhurried
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
def test_what_a_spreadsheet_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("question", "answer"), *pairs])

    file = table.getvalue().encode()

    assert said(file) == [
        [("user", question.strip()), ("assistant", answer.strip())] for question, answer in pairs
    ]


@unhurried
@given(
    st.binary(max_size=80) | st.text(' ,;\t\n"ab[]{}:', max_size=80).map(str.encode),
    st.sampled_from(["rows.csv", "rows.tsv", "rows.json", "rows"]),
)
def test_no_file_makes_reading_raise(file: bytes, name: str) -> None:
    plan = looked_at(file, name)
    if isinstance(plan, Problem):
        assert plan.sentence
        return
    for line, row in imported(file, name):
        assert line >= 0
        assert not isinstance(row, Problem) or row.sentence
