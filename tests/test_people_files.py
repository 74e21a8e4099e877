"""Files as people and other programs write them: wrappers, other roles, repeated columns."""

import gzip
import itertools
import json
import sys

import pytest

from bot.imports.plan import ImportPlan
from bot.imports.tables import distinct_headings
from bot.rows import Problem
from bot.words import Words
from tests.test_import_kinds import FAQ_ROWS, OLE, TABLE, workbook, zipped
from tests.test_imports import imported, jsonl, looked_at, planned, refused, said

U, A, S = "user", "assistant", "system"
PAIR = {"question": "Which oil?", "answer": "Wet lube."}
OTHER = {"question": "And in summer?", "answer": "Dry lube."}
TALK, OTHER_TALK = ([(U, one["question"]), (A, one["answer"])] for one in (PAIR, OTHER))
VIEWED = {"row_idx": 0, "row": PAIR, "truncated_cells": []}


def named(file: bytes, name: str) -> list[str]:
    """The sentences of the refused rows."""
    words = Words("en")
    return [words.problem_text(row) for _, row in imported(file, name) if isinstance(row, Problem)]


@pytest.mark.parametrize(
    "value",
    [
        {"version": "1.2", "data": {"train": [PAIR, OTHER]}},
        {"result": {"count": 2, "records": [PAIR, OTHER]}},
        {"train": [PAIR], "validation": [OTHER]},
        [{"rows": [VIEWED]}, {"rows": [{**VIEWED, "row": OTHER}]}],
        {"features": [], "rows": [VIEWED, {**VIEWED, "row": OTHER}]},
    ],
    ids=["data", "result", "splits", "pages", "viewer"],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_are_found_under_whatever_wraps_them(value: object, indent: int | None) -> None:
    assert said(json.dumps(value, indent=indent).encode(), "rows.json") == [TALK, OTHER_TALK]


@pytest.mark.parametrize(
    "value",
    [
        [PAIR, {**OTHER, "answer": ""}],
        {"data": [PAIR, {**OTHER, "answer": ""}]},
        {"rows": [VIEWED, {**VIEWED, "row": {**OTHER, "answer": ""}}]},
    ],
    ids=["list", "wrapped", "viewer"],
)
def test_a_refused_row_among_others_on_one_line_is_named_by_its_number(value: object) -> None:
    one_line = json.dumps(value).encode()

    assert named(one_line, "rows.json") == ["Row 2: “answer” is empty, fill it or remove the row."]
    assert named(json.dumps(value, indent=1).encode(), "rows.json")[0].startswith("Line ")


def test_a_cell_that_a_viewer_has_cut_is_no_lesson() -> None:
    rows = [VIEWED, {**VIEWED, "row": OTHER, "truncated_cells": ["answer"]}]

    assert refused(json.dumps({"rows": rows}).encode(), "rows.json") == [(2, "cell_truncated")]


BEDROCK = {
    "schemaVersion": "bedrock-conversation-2024",
    "system": [{"text": "Be brief."}],
    "messages": [
        {"role": U, "content": [{"text": PAIR["question"]}]},
        {"role": A, "content": [{"text": PAIR["answer"]}]},
    ],
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": U, "parts": [{"text": PAIR["question"]}]},
        {"role": "model", "parts": [{"text": "Wet"}, {"text": "lube."}]},
    ],
}
COHERE = {
    "messages": [
        {"role": "System", "content": "Be brief."},
        {"role": "User", "content": PAIR["question"]},
        {"role": "Chatbot", "content": PAIR["answer"]},
    ]
}


@pytest.mark.parametrize(
    ("row", "answer"),
    [(BEDROCK, "Wet lube."), (GEMINI, "Wet\nlube."), (COHERE, "Wet lube.")],
    ids=["bedrock", "gemini", "cohere"],
)
def test_the_formats_of_other_hosts_are_read(row: dict[str, object], answer: str) -> None:
    assert said(jsonl(row), "rows.jsonl") == [[(S, "Be brief."), TALK[0], (A, answer)]]


def test_an_unknown_key_beside_another_name_of_a_role_is_refused() -> None:
    messages = [{"role": "User", "content": "Hi", "mood": "good"}, {"role": A, "content": "Hello."}]

    assert refused(jsonl({"messages": messages}), "rows.jsonl") == [(1, "key_unknown")]


def test_messages_in_a_cell_may_be_written_as_pandas_writes_them() -> None:
    first = "{'content': 'Which oil?', 'role': 'user'}"
    second = "{'content': 'Wet.', 'role': 'assistant'}"
    cell = f"[{first}\n {second}]"
    file = f'id,messages\n1,"{cell}"\n'.encode()

    assert said(file) == [[(U, "Which oil?"), (A, "Wet.")]]


def test_a_second_column_of_the_same_name_is_named_and_asked_about() -> None:
    plan = planned(b"question,answer,answer,\nWhich oil?,Wet.,Dry.,\nAnd now?,Wax.,None.,\n")

    assert plan.unused == ("answer (2)",)
    assert not plan.is_sure


def test_columns_are_all_there_also_if_some_have_the_name_of_a_second() -> None:
    names = ("a", "a (2)", "a", "a (2)", "", "#5")

    assert distinct_headings(names) == ("a", "a (2)", "a (3)", "a (2) (2)", "#5", "#5 (2)")


@pytest.mark.parametrize("names", ["{}", "", "a", "a ({})"])
def test_columns_are_named_in_time_in_proportion_to_their_number(names: str) -> None:
    calls = []
    for size in (1_000, 2_000):
        cells = [names.format(number) for number in range(size)] + ["a"] * size
        count, previous = itertools.count(), sys.getprofile()
        sys.setprofile(lambda *_, count=count: next(count))
        try:
            distinct_headings(cells)
        finally:
            sys.setprofile(previous)
        calls.append(next(count))

    assert calls[1] < 3 * calls[0]


def test_a_column_without_a_heading_is_left_out_by_its_number() -> None:
    assert planned(b"question,answer,\nWhich oil?,Wet.,draft\n").unused == ("#3",)


@pytest.mark.parametrize(
    "headings",
    [
        "prompt,response_a,response_b,winner",
        "prompt,answer 1,answer 2,choice",
        "question 1,answer 1,question 2,answer 2",
        "question,Response A,Response B,Which?",
    ],
)
def test_one_of_several_columns_of_a_kind_is_never_guessed(headings: str) -> None:
    problem = looked_at(f"{headings}\nWhich oil?,Wet lube.,Dry lube.,the second\n".encode())

    assert isinstance(problem, Problem)
    assert problem.code == "columns_numbered"


@pytest.mark.parametrize("ending", ["Best, Ann", "Thanks, Kim Doe", "Danke, Jörg"])
def test_a_closing_with_a_name_on_its_line_is_no_lesson(ending: str) -> None:
    table = f'Ticket ID,Assignee,Description,Resolution\n1,Ann,Which oil?,"Wet lube.\n{ending}"\n'

    assert said(table.encode()) == [TALK]


def test_thanks_for_something_are_kept() -> None:
    table = 'Ticket ID,Assignee,Description,Resolution\n1,Ann,"It broke.\nThanks, it did",Wax it.\n'

    assert said(table.encode())[0][0] == (U, "It broke.\nThanks, it did")


def test_a_text_of_a_classic_mac_is_read_in_its_encoding() -> None:
    text = "Question;Réponse\rOù êtes-vous situés ?;Près de la gare, côté théâtre.\r"

    plan = planned(text.encode("mac-roman"))

    assert (plan.source.encoding, plan.encodings) == ("mac_roman", ())


def test_an_encoding_that_reads_the_same_is_called_by_its_usual_name() -> None:
    text = (
        "Frage;Antwort\nKönnen Sie es reparieren?;Natürlich, für 20 € – größere Schäden später.\n"
    )

    assert planned(text.encode("cp1252")).source.encoding == "cp1252"


def test_a_thai_text_can_be_chosen() -> None:
    file = "คำถาม,คำตอบ\nเปิดกี่โมง,เปิดเก้าโมงเช้าถึงหกโมงเย็น\n".encode("cp874")

    assert "cp874" in [encoding.name for encoding in planned(file).encodings]


def test_what_programs_put_into_a_zip_is_no_row_file() -> None:
    files = {
        **dict.fromkeys(("__MACOSX/faq/._faq.csv", "faq/.DS_Store", "faq/~$faq.xlsx"), b"\0\1"),
        **dict.fromkeys(("faq/Thumbs.db", "faq/desktop.ini", "faq/shop.JPG"), b"\0\1"),
        **dict.fromkeys(("dataset_infos.json", "state.json"), b"{}"),
        "faq/faq.csv": TABLE,
    }

    assert said(zipped(files), "faq.zip") == [TALK, OTHER_TALK]


def ole(stream: str) -> bytes:
    return OLE + stream.encode("utf-16-le")


@pytest.mark.parametrize(
    ("file", "name", "code"),
    [
        (
            b"From: Ann <a@b.example>\nTo: c@d.example\nDate: Mon, 2 Nov 2026\n\nHi\n",
            "a.eml",
            "mail",
        ),
        (b"From a@b.example Mon Nov  2\nFrom: Ann <a@b.example>\nSubject: Hi\n\nHi\n", "m", "mail"),
        (ole("__nameid_version1.0"), "a.msg", "mail"),
        (ole("PowerPoint Document"), "a.ppt", "slides"),
        (zipped({"[Content_Types].xml": "", "ppt/presentation.xml": ""}), "a.pptx", "slides"),
        (zipped({"Index/Document.iwa": "", "preview.jpg": ""}), "a.numbers", "apple"),
        (b"\x93NUMPY\1\0v\0{'descr'", "a.npy", "numbers"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0]\x94.", "a.pkl", "pickle"),
        (b"GGUF\3\0\0\0", "a.gguf", "model"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHow?\n\n", "a.srt", "subtitles"),
        (b"BEGIN:VCARD\nFN:Ann\nEND:VCARD\n", "a.vcf", "calendar"),
        (b"-----BEGIN CERTIFICATE-----\nMIIE\n", "a.pem", "key"),
        (b'{"url": "https://docs.google.com/open?id=1", "doc_id": "1"}', "a.gsheet", "link"),
        (b'{"cells": [{"cell_type": "markdown"}], "nbformat": 4}', "a.ipynb", "notebook"),
        (b"- question: When?\n  answer: Nine.\n", "a.yaml", "yaml"),
        (
            b"AuthorID,Author,Date,Content,Attachments,Reactions\n1,kim,,How?,,\n",
            "a.csv",
            "discord_text",
        ),
        (b"<!DOCTYPE html><div class=chatlog__message>How?</div>", "a.html", "discord_text"),
        (
            b'[{"type": "message", "ts": "1767600000.000100", "text": "How?"}]',
            "a.json",
            "slack_export",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_other_kind_of_file_is_called_by_its_name(file: bytes, name: str, code: str) -> None:
    for held, held_name in ((file, name), (gzip.compress(file), f"{name}.gz")):
        problem = looked_at(held, held_name)

        assert isinstance(problem, Problem)
        assert problem.code == f"file_{code}"


def test_a_text_without_columns_is_no_table() -> None:
    problem = looked_at(b"import os\nprint('question')\n", "a.py")

    assert isinstance(problem, Problem)
    assert problem.code == "document_without_questions"


def test_a_table_beside_its_title_in_a_workbook_names_no_empty_column() -> None:
    rows = [["Our FAQ"], ["", *FAQ_ROWS[0]], *(["", *row] for row in FAQ_ROWS[1:])]

    plan = looked_at(workbook({"FAQ": rows}), "faq.xlsx")

    assert isinstance(plan, ImportPlan)
    assert plan.unused == ("id",)
