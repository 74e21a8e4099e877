"""Files whose questions and answers are nested: documents, question sets, trees, annotations."""

import json

import pytest

from bot.rows import Problem
from tests.test_import_kinds import zipped
from tests.test_imports import jsonl, looked_at, planned, refused, said

U, A = "user", "assistant"
PAIRS = [("Which oil?", "Wet lube."), ("And in summer?", "Dry lube."), ("Free?", "It is.")]
TALKS = [[(U, question), (A, answer)] for question, answer in PAIRS]
QUESTIONS, ANSWERS = (list(texts) for texts in zip(*PAIRS, strict=True))


def each(form: str) -> str:
    return "".join(form.format(question, answer) for question, answer in PAIRS)


def docx(body: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    return zipped({"[Content_Types].xml": "", "word/document.xml": document})


PARAGRAPH = "<w:p>{}<w:r>{}<w:t>{}</w:t></w:r></w:p>"
HEADED = PARAGRAPH.format('<w:pPr><w:pStyle w:val="berschrift2"/></w:pPr>', "", "{}")
BOLD = PARAGRAPH.format("", "<w:rPr><w:b/></w:rPr>", "{}")
PLAIN = PARAGRAPH.format("", "", "{}")
CELLS = f"<w:tr><w:tc>{PLAIN}</w:tc><w:tc>{PLAIN}</w:tc></w:tr>"
HTML = "<!DOCTYPE html><html><body><nav>Home?</nav><h1>Help</h1>{}</body></html>"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# FAQ\n\nHello.\n\n## Oil\n\n" + each("### {}\n\n{}\n\n"), "faq.md"),
        (each("**{}**\n\n{}\n\n"), "faq.md"),
        ("# FAQ\n\n| Question | Answer |\n|:--|---|\n" + each("| {} | {} |\n"), "faq.md"),
        ("Our FAQ\n\n" + each("Q: {}\nA: {}\n\n"), "faq.txt"),
        (each("**Q1: {}**\n\n**A:** {}\n\n"), "faq.md"),
        (each("Frage: {}\nAntwort: {}\n"), "faq.txt"),
        (each("问：{}\n答：{}\n"), "faq"),
        (each("1. {}\n{}\n\n"), "faq.txt"),
        (HTML.format(each("<h3>{}</h3><p>{}</p>")), "faq.html"),
        (HTML.format(each("<h3>{}</h3><p><![foo x]>{}</p>")), "faq.html"),
        (HTML.format("<dl>" + each("<dt>{}</dt><dd>{}</dd>") + "</dl>"), "faq.html"),
        (HTML.format(each("<details><summary>{}</summary>{}</details>")), "faq.html"),
        (
            HTML.format(
                "<table><tr><th></th><th>A</th><th>B</th></tr>"
                "<tr><th>1</th><td>question</td><td>answer</td></tr>"
                + each("<tr><th>2</th><td>{}</td><td>{}</td></tr>")
                + "</table>"
            ),
            "published.html",
        ),
        (docx(HEADED.format("FAQ") + each(HEADED + PLAIN)), "faq.docx"),
        (docx(each(BOLD + PLAIN)), "faq.docx"),
        (docx(each(PLAIN.format("Q: {}") + PLAIN.format("A: {}"))), "faq.docx"),
        (
            docx(f"<w:tbl>{CELLS.format('Question', 'Answer')}{each(CELLS)}</w:tbl>"),
            "faq.docx",
        ),
    ],
    ids=range(17),
)
def test_of_a_document_its_questions_are_read_with_their_answers(
    text: str | bytes, name: str
) -> None:
    file = text.encode() if isinstance(text, str) else text

    assert said(file, name) == TALKS
    plan = planned(file, name)
    assert (plan.is_sure, plan.encodings) == (False, ())


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (
            "Open the settings.\nSolution: press reset.",
            "A: Open the settings.\nSolution: press reset.",
        ),
        ("Run it.\n\nOutput: a page.", "A: Run it.\n\nOutput: a page."),
        ("Ask the bot.\nUser: hello\nBot: hi", "A: Ask the bot.\nUser: hello\nBot: hi"),
        ("Wet lube.\nOr wax.", "A: Wet lube.\nA: Or wax."),
    ],
)
def test_an_answer_with_other_labels_in_it_is_learned_whole(answer: str, lines: str) -> None:
    text = f"Q: How?\n{lines}\n\nQ: Free?\nA: It is.\n"

    assert said(text.encode(), "faq.md") == [[(U, "How?"), (A, answer)], TALKS[2]]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# Values\n\nWe are kind.\n\n# Shop\n\nWhere? In Bern.\n", "handbook.md"),
        ("A letter.\n\nIt has two paragraphs.\n", "letter.txt"),
        (HTML.format("<p>We sell oil.</p>"), "page.html"),
        (docx(PLAIN.format("A letter.")), "letter.docx"),
    ],
)
def test_a_document_without_questions_is_refused(text: str | bytes, name: str) -> None:
    file = text.encode() if isinstance(text, str) else text

    problem = looked_at(file, name)

    assert isinstance(problem, Problem)
    assert problem.code == "document_without_questions"


INDEXED = {str(number): number for number in range(3)}


@pytest.mark.parametrize(
    "written",
    [
        {"question": QUESTIONS, "answer": ANSWERS, "id": [1, 2, 3]},
        {
            "question": dict(zip(INDEXED, QUESTIONS, strict=True)),
            "answer": dict(zip(INDEXED, ANSWERS, strict=True)),
        },
        {
            index: {"question": question, "answer": answer}
            for index, (question, answer) in zip(INDEXED, PAIRS, strict=True)
        },
        {"columns": ["question", "answer"], "index": [0, 1, 2], "data": [list(p) for p in PAIRS]},
        {"schema": {"fields": [{"name": "question"}], "pandas_version": "1.4.0"}}
        | {"data": [{"index": 0, "question": q, "answer": a} for q, a in PAIRS]},
    ],
    ids=["lists", "columns", "index", "split", "table"],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_rows_are_read_however_pandas_writes_them(written: object, indent: int | None) -> None:
    assert said(json.dumps(written, indent=indent).encode(), "rows.json") == TALKS


ASKED = [
    {"question": question, "id": "1", "answers": [{"text": answer, "answer_start": 0}]}
    for question, answer in PAIRS
]
UNANSWERED = {"question": "Why?", "answers": [], "is_impossible": True}


def test_question_sets_are_read_with_their_context() -> None:
    with_context = {"context": "Oil keeps chains.", "qas": [*ASKED, UNANSWERED]}
    bare = {"data": [{"title": "Oil", "paragraphs": [{"qas": ASKED}]}]}
    file = json.dumps({"data": [{"title": "Oil", "paragraphs": [with_context]}]}).encode()
    flat = jsonl({"question": "Which oil?", "answers": {"text": ["Wet lube.", "Lube."]}})

    assert refused(file, "squad.json") == [(4, "cell_empty")]
    assert planned(file, "squad.json").columns["context"] == "context"
    assert said(json.dumps(bare).encode(), "squad.json") == TALKS
    assert said(flat, "squad.jsonl") == TALKS[:1]


@pytest.mark.parametrize(
    "right",
    [{"correct": 1}, {"answer_idx": 1}, {"answerKey": "B"}, {"correct_answer": "Wet lube."}],
)
def test_of_several_choices_the_right_one_is_learned(right: dict[str, object]) -> None:
    choices = {"question": "Which oil?", "answers": ["None.", "Wet lube."]}

    assert said(jsonl({**choices, **right}), "quiz.jsonl") == TALKS[:1]


@pytest.mark.parametrize(
    "right", [{"correct": 2}, {"label": -1}, {"correct": None}, {"answerKey": "1"}]
)
def test_of_several_choices_without_a_clear_right_one_none_is_learned(
    right: dict[str, object],
) -> None:
    choices = {"question": "Which oil?", "answers": ["None.", "Wet lube."], **right}

    assert refused(jsonl(choices), "quiz.jsonl") == [(1, "cell_empty")]


def test_an_answer_may_be_a_text_in_an_object() -> None:
    file = jsonl({"question": "Which oil?", "answers": {"text": "Wet lube."}})

    assert said(file, "squad.jsonl") == TALKS[:1]


@pytest.mark.parametrize("role", [["user"], {"name": "user"}, None])
def test_a_message_with_a_broken_role_in_a_saved_chat_is_omitted(role: object) -> None:
    def saved(key: str, role: object, text: str, parent: str | None) -> dict[str, object]:
        message = {"author": {"role": role}, "content": {"parts": [text]}}
        return {key: {"message": message, "parent": parent}}

    mapping = saved("1", role, "Hm", None) | saved("2", U, "Which oil?", "1")
    mapping |= saved("3", A, "Wet lube.", "2")

    assert said(jsonl({"mapping": mapping, "current_node": "3"}), "chat.jsonl") == TALKS[:1]


def node(role: str, text: str, *replies: dict[str, object], rank: int = 0) -> dict[str, object]:
    return {"role": role, "text": text, "rank": rank, "replies": list(replies)}


def test_of_a_tree_the_best_answers_are_conversations() -> None:
    later = [node("prompter", "Why?", node("assistant", "So.")), node("prompter", "Hm?")]
    answers = node("assistant", "No idea.", rank=1), node("assistant", "Wet.", *later)
    file = jsonl({"message_tree_id": "1", "prompt": node("prompter", "Which oil?", *answers)})
    flat = jsonl(
        {"message_id": "1", "parent_id": None, "role": "prompter", "text": "Which oil?"},
        {"message_id": "2", "parent_id": "1", "role": "assistant", "text": "Wet."},
    )

    assert said(file, "trees.jsonl") == [[(U, "Which oil?"), (A, "Wet."), (U, "Why?"), (A, "So.")]]
    problem = looked_at(flat, "messages.jsonl")
    assert isinstance(problem, Problem)
    assert problem.code == "rows_of_tree"


def annotation(text: str, **more: object) -> dict[str, object]:
    return {"result": [{"value": {"text": [text]}, "type": "textarea"}], **more}


@pytest.mark.parametrize(
    "row",
    [
        lambda question, answer: {
            "fields": {"instruction": question, "response": "A draft."},
            "responses": {"text": [{"value": "?", "status": "draft"}, {"value": answer}]},
        },
        lambda question, answer: {
            "instruction": question,
            "response": "A draft.",
            "text.responses": [answer],
            "text.responses.users": ["ann"],
        },
        lambda question, answer: {
            "data": {"question": question},
            "annotations": [annotation("?", was_cancelled=True), annotation(answer)],
        },
    ],
    ids=["argilla", "argilla in columns", "label studio"],
)
def test_of_annotated_rows_the_answer_of_the_annotator_is_learned(row: object) -> None:
    assert callable(row)
    rows = [row(question, answer) for question, answer in PAIRS]

    assert said(json.dumps(rows).encode(), "annotated.json") == TALKS


def test_kept_chats_with_models_are_conversations() -> None:
    nodes = {
        "a": {"message": None, "parent": None},
        "b": {"message": {"author": {"role": "user"}, "content": {"parts": ["Which oil?"]}}}
        | {"parent": "a"},
        "c": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["Wet lube."]}}}
        | {"parent": "b"},
        "d": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["Another."]}}}
        | {"parent": "b"},
    }
    sent = [{"sender": "human", "text": "Which oil?"}, {"sender": "assistant", "text": "Wet lube."}]

    for kept in ({"mapping": nodes, "current_node": "c"}, {"uuid": "1", "chat_messages": sent}):
        assert said(json.dumps([kept]).encode(), "conversations.json") == TALKS[:1]


@pytest.mark.parametrize(
    ("text", "app"),
    [
        ('{\n "name": "Shop",\n "type": "personal_chat",\n "messages": []}', "Telegram"),
        ('{"about": "x", "personal_information": {"user_id": 1}, "chats": {}}', "Telegram"),
        ('{"messages": [{"sender_name": "Ann", "timestamp_ms": 1, "content": "?"}]}', "Messenger"),
        ('{"value": [{"messageType": "message", "id": "1", "body": {"content": "?"}}]}', "Teams"),
    ],
)
def test_a_chat_whose_writers_cannot_be_asked_is_refused_by_name(text: str, app: str) -> None:
    problem = looked_at(text.encode(), "result.json")

    assert isinstance(problem, Problem)
    assert (problem.code, problem.details) == ("file_chat_export", {"app": app})


def test_a_chat_as_text_is_told_below_a_line_that_nobody_said() -> None:
    lines = "1/5/26, 9:00 AM - Messages are encrypted.\n" + 2 * "1/5/26, 9:00 AM - Ann: Hi\n"

    problem = looked_at(lines.encode(), "chat.txt")

    assert isinstance(problem, Problem)
    assert problem.code == "file_chat_text"


def test_changes_of_tickets_give_their_public_comments() -> None:
    def change(author: int, minute: int, **event: object) -> dict[str, object]:
        own = {"ticket_id": 7, "author_id": author, "created_at": f"2026-01-05T09:0{minute}:00Z"}
        return {**own, "id": minute, "events": [{"type": "Change", "value": "open"}, event]}

    audits = [
        change(9, 3, type="Comment", body="Wet lube.", public=True),
        change(5, 1, type="Comment", body="Which oil?", public=True),
        change(9, 2, type="Comment", body="He asks a lot.", public=False),
        change(9, 4, type="Notification", body="{{ticket.comments}}"),
    ]
    ticket = {"id": 7, "requester_id": 5, "audits": audits}

    assert said(json.dumps({"audits": audits, "next_page": None}).encode(), "a.json") == TALKS[:1]
    assert said(jsonl(ticket), "tickets.jsonl") == TALKS[:1]


def test_comments_in_cells_are_refused_and_a_state_is_no_answer() -> None:
    headings = "Issue key,Reporter,Resolution,Description,Comment,Comment\n"
    comments = '"05/Jan/26 9:10 AM;bo;Wet lube.",""\n'
    with_comments = headings + "A-1,ann,Done,Which oil?," + comments
    without = "Issue key,Resolution,Description\nA-1,Done,Which oil?\nA-2,Fixed,And now?\n"

    codes = [looked_at(text.encode(), "jira.csv") for text in (with_comments, without)]

    assert all(isinstance(problem, Problem) for problem in codes)
    assert [problem.code for problem in codes if isinstance(problem, Problem)] == [
        "comments_in_cells",
        "columns_unknown",
    ]
