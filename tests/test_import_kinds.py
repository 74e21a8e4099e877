"""Files of the kinds that people bring: encodings, shapes, workbooks, archives, help desks."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping, Sequence

import pytest

from bot.imports import ImportOptions
from bot.rows import Method, Problem
from tests.test_imports import imported, jsonl, looked_at, planned, refused, said

U, A, S = "user", "assistant", "system"
SHOP = [[(U, "Which oil?"), (A, "Wet lube.")], [(U, "And in summer?"), (A, "Dry lube.")]]
TABLE = b"question,answer\nWhich oil?,Wet lube.\nAnd in summer?,Dry lube.\n"

TEXTS = {
    "gb18030": ("问题", "答案", "怎么退货？", "七天之内带着小票来店里就可以退货。"),
    "big5": ("問題", "答案", "怎麼退貨？", "七天之內帶發票來店裡就可以退貨。"),
    "shift_jis": ("質問", "回答", "何時に開きますか？", "朝九時です。身分証をお持ちください。"),
    "euc_jp": ("質問", "回答", "何時に開きますか？", "朝九時です。身分証をお持ちください。"),
    "euc_kr": ("질문", "답변", "몇 시에 문을 여나요?", "아침 아홉 시입니다."),
    "cp1250": ("question", "answer", "Kdy otevíráte?", "V devět ráno, každý den kromě neděle."),
    "cp1251": ("вопрос", "ответ", "Когда вы открыты?", "С девяти до шести."),
    "cp1252": ("question", "réponse", "Où êtes-vous ?", "À côté de l'église, près du marché."),
    "cp1253": ("question", "answer", "Πότε ανοίγετε;", "Στις εννέα το πρωί."),
    "cp1254": ("question", "answer", "Ne zaman açılıyorsunuz?", "Sabah dokuzda, çarşı girişinde."),
    "cp1256": ("question", "answer", "متى تفتحون؟", "في التاسعة صباحا."),
    "utf-16-le": ("问题", "答案", "怎么退货？", "七天之内带着小票来。"),
    "utf-16": ("question", "answer", "Où ?", "À côté."),
    "utf-32": ("question", "answer", "Où ?", "À côté."),
    "utf-8-sig": ("question", "answer", "Où ?", "À côté."),
}


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_is_read_in_its_own_encoding(encoding: str, end: str) -> None:
    heads, answers = TEXTS[encoding][:2], TEXTS[encoding][2:]
    table = end.join(f"{a}\t{b}" for a, b in (heads, answers, answers)) + end

    assert said(table.encode(encoding), "rows.tsv") == 2 * [[(U, answers[0]), (A, answers[1])]]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("問い合わせ,答え\n送料は？,五百円です。\n", "shift_jis"),
        ("soru,cevap\nAçık mısınız?,Evet açığız.\n", "cp1254"),
        ("klausimas,atsakymas\nKur?,Kasdien iki šešių vakaro ačiū.\n", "cp1257"),
        ("pytanie,odpowiedź\nGdzie są buty?,Na półce.\n", "cp1250"),
        ("question,réponse\nCombien ?,Elle coûte 5 €.\n", "iso8859_15"),
        ("question,answer\nπού;,εδώ.\n", "cp1253"),
    ],
)
def test_headings_of_every_language_are_no_lesson(text: str, encoding: str) -> None:
    line = text.splitlines()[1]

    assert said(text.encode(encoding)) == [[(U, line.split(",")[0]), (A, line.split(",")[1])]]


def test_two_words_above_sentences_are_headings() -> None:
    rows = "Anliegen,Lösungsweg", "Das Rad quietscht.,Bitte ölen.", "Die Kette reißt.,Bitte kürzen."
    table = "\n".join(rows)

    assert planned(table.encode()).columns == {"question": "Anliegen", "answer": "Lösungsweg"}


@pytest.mark.parametrize("text", ["שאלה,תשובה\nמתי אתם פותחים?,בתשע בבוקר.\n"])
def test_an_uncertain_encoding_is_a_choice_with_samples(text: str) -> None:
    file = text.replace("שאלה,תשובה", "question,answer").encode("cp1255")

    plan = planned(file)
    samples = {each.name: each.sample for each in plan.encodings}
    chosen = planned(file, options=ImportOptions(encoding="cp1255"))

    assert not plan.is_sure
    assert "מתי" in samples["cp1255"]
    assert (chosen.is_sure, chosen.source.encoding) == (True, "cp1255")
    assert isinstance(looked_at(file, options=ImportOptions(encoding="klingon")), Problem)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (TABLE, "rows.csv"),
        (TABLE.replace(b",", b";"), "rows.csv"),
        (TABLE.replace(b"\n", b"\r"), "rows.csv"),
        (TABLE.replace(b"oil?,Wet lube.\n", b"oil?,Wet lube.\r"), "rows.csv"),
        (gzip.compress(TABLE), "rows.csv.gz"),
        (jsonl({"train": [{"question": a[0][1], "answer": a[1][1]} for a in SHOP]}), "rows.json"),
        (jsonl({"rows": [{"q": 1, "prompt": a[0][1], "reply": a[1][1]} for a in SHOP]}), "r.json"),
        (jsonl(*[{"id": 1, "domanda": a[0][1], "risposta": a[1][1]} for a in SHOP]), "r.jsonl"),
        (jsonl(*[{"id": 1, "pergunta": a[0][1], "resposta": a[1][1]} for a in SHOP]), "r.jsonl"),
        (jsonl(*[{"질문": a[0][1], "답변": a[1][1]} for a in SHOP]), "r.jsonl"),
        (jsonl(*[{"質問": a[0][1], "回答": a[1][1]} for a in SHOP]), "r.jsonl"),
    ],
    ids=range(11),
)
def test_rows_come_in_whatever_holds_them(file: bytes, name: str) -> None:
    assert said(file, name) == SHOP


def sheet(rows: Sequence[Sequence[str]]) -> str:
    cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    lines = ("".join(cell.format(text) for text in row) for row in rows)
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    data = "".join(f"<row>{line}</row>" for line in lines)
    return f'<worksheet xmlns="{space}"><sheetData>{data}</sheetData></worksheet>'


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


FAQ_ROWS = [["id", "question", "answer"], *(["1", a[0][1], a[1][1]] for a in SHOP)]


def workbook(
    sheets: Mapping[str, Sequence[Sequence[str]]] | None = None, *, hidden: Sequence[str] = ()
) -> bytes:
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    link = f'<Relationships xmlns="{package}/relationships">'
    rows = dict(sheets or {"FAQ": FAQ_ROWS})
    numbered = list(enumerate(rows, 1))

    def state_of(name: str) -> str:
        return "hidden" if name in hidden else "visible"

    parts = (
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/s{n}.xml" ContentType="{kind}.worksheet+xml"/>'
            for n, _ in numbered
        )
    )
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}" state="{state_of(name)}"/>'
        for n, name in numbered
    )
    targets = "".join(
        f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/s{n}.xml"/>'
        for n, _ in numbered
    )
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types">{parts}</Types>',
            "_rels/.rels": f'{link}<Relationship Id="r1" Type="{office}/officeDocument"'
            ' Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}'
            "</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": f"{link}{targets}</Relationships>",
            **{f"xl/worksheets/s{n}.xml": sheet(rows[name]) for n, name in numbered},
        }
    )


def open_document(*, has_password: bool = False) -> bytes:
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    rows = [["question", "answer"], *([a[0][1], a[1][1]] for a in SHOP)]
    lines = ("".join(cell.format(text) for text in row) for row in rows)
    cells = "".join(f"<table:table-row>{line}</table:table-row>" for line in lines)
    space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    manifest = f"<manifest:manifest xmlns:manifest='{space}'>"
    encrypted = "<manifest:encryption-data/>" if has_password else ""
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": f"{manifest}{encrypted}</manifest:manifest>",
            "content.xml": f"<office:document-content {spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="FAQ">{cells}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        }
    )


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (workbook(), "faq.xlsx"),
        (open_document(), "faq.ods"),
        (zipped({"faq.xlsx": workbook(), "README.md": "hello"}), "faq.zip"),
        (zipped({"folder/rows.csv": TABLE, "__MACOSX/._rows.csv": "-"}), "rows.zip"),
    ],
    ids=["xlsx", "ods", "xlsx in zip", "csv in zip"],
)
def test_workbooks_and_archives_are_read(file: bytes, name: str) -> None:
    assert said(file, name) == SHOP


def test_of_a_workbook_each_sheet_with_headings_is_read_and_the_others_are_named() -> None:
    overview = [["Solved", "Yesterday and today"], ["Open", "All of them"], ["Exported", "2026"]]
    german = [["Frage", "Antwort"], ["Wo?", "Hier."], ["Wann?", ""]]
    sheets = {"Overview": overview, "Old": german, "FAQ": FAQ_ROWS, "DE": german}
    file = workbook(sheets, hidden=["Old"])

    plan = planned(file, "faq.xlsx")
    rows = [row for _, row in imported(file, "faq.xlsx")]

    assert not plan.is_sure
    assert plan.unread_sheets == ("Overview", "Old")
    assert [row["messages"][1]["content"] for row in rows if isinstance(row, dict)] == [
        *(answer for _, (_, answer) in SHOP),
        "Hier.",
    ]
    assert [row.details["file"] for row in rows if isinstance(row, Problem)] == ["DE"]


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (b"%PDF-1.7\n1 0 obj", "file_pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "file_picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "file_picture"),
        (b"SQLite format 3\0", "file_database"),
        (b"<!DOCTYPE html><html><body>hello</body></html>", "document_without_questions"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "file_password"),
        (open_document(has_password=True), "file_password"),
        (
            zipped({"[Content_Types].xml": "", "word/document.xml": "<a/>"}),
            "document_without_questions",
        ),
        (
            zipped(
                {
                    "[Content_Types].xml": "",
                    "word/document.xml": '<?xml version="1.0" encoding="foo-8"?><a/>',
                }
            ),
            "archive_broken",
        ),
        (
            zipped({"[Content_Types].xml": "", "word/document.xml": "<a/>"})
            .replace(b"PK\3\4\x14\0\0", b"PK\3\4\x14\0\1")
            .replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"),
            "file_password",
        ),
        (zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "workbook_broken"),
        (zipped({"a.csv": TABLE, "b.csv": TABLE}), "archive_several"),
        (zipped({"notes.md": "hello"}), "archive_empty"),
        (gzip.compress(TABLE)[:30], "archive_broken"),
        (b"PK\3\4broken", "archive_broken"),
        (
            b"[12/03/2024, 09:15:22] Ann: When?\n[12/03/2024, 09:16:02] Shop: At nine, daily.\n",
            "file_chat_text",
        ),
        (b"12/03/24, 09:15 - Ann: When?\n12/03/24, 09:16 - Shop: At nine.\n", "file_chat_text"),
        (b"question,answer\nHow?,By\0 hand\nWhen is it?,Now\n", "null_byte"),
        (b'[{"client_msg_id": "1", "text": "hi"}]', "file_slack_export"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_row_file_is_said(file: bytes, code: str) -> None:
    problem = looked_at(file, "rows.csv")

    assert isinstance(problem, Problem)
    assert problem.code == code


TURNS = [{"from": "human", "value": "Which oil?"}, {"from": "gpt", "value": "Wet lube."}]
WRAPPED = {"q": "Which oil?", "a": "Wet lube."}
MESSAGES = [{"role": U, "content": "Which oil?"}, {"role": A, "content": "Wet lube."}]


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        ({"id": "a", "conversations": TURNS}, SHOP[:1]),
        ({"system": "Be brief.", "conversations": TURNS}, [[(S, "Be brief."), *SHOP[0]]]),
        ({"conversation": MESSAGES}, SHOP[:1]),
        ({"id": 1, "messages": json.dumps(MESSAGES)}, SHOP[:1]),
        ({"id": 1, "messages": str(MESSAGES)}, SHOP[:1]),
        ({"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}, SHOP[:1]),
        (
            {"instruction": "Which oil?", "context": "A wet day.", "response": "Wet lube."},
            [[(U, "Which oil?\n\nA wet day."), (A, "Wet lube.")]],
        ),
        (
            {
                "instruction": "And in summer?",
                "input": "",
                "output": "Dry lube.",
                "history": [["Which oil?", "Wet lube."]],
            },
            [[*SHOP[0], *SHOP[1]]],
        ),
        (
            {"question": "And in summer?", "answer": "Dry lube.", "history": json.dumps(MESSAGES)},
            [[*SHOP[0], *SHOP[1]]],
        ),
        ({"prompt": "Which oil?", "completion": "Wet lube.", "label": True}, SHOP[:1]),
        ({"system": "Be brief.", "messages": MESSAGES}, [[(S, "Be brief."), *SHOP[0]]]),
        ({"conversation": [one | {"language": "en"} for one in MESSAGES], "turn": 1}, SHOP[:1]),
        ({"conversations": [one | {"weight": 0.0} for one in TURNS[:1]] + TURNS[1:]}, SHOP[:1]),
        ({"features": [{"name": "q"}], "rows": [{"row_idx": 0, "row": WRAPPED}]}, SHOP[:1]),
        ({"conversations": TURNS, "tools": json.dumps([{"name": "find"}])}, SHOP[:1]),
    ],
    ids=range(15),
)
def test_the_shapes_of_published_datasets_are_known(
    row: dict[str, object], rows: list[list[tuple[str, str]]]
) -> None:
    assert said(jsonl(row), "rows.jsonl") == rows


def test_a_bad_answer_is_a_preference_beside_a_good_one_and_else_refused() -> None:
    good = {"prompt": "Which oil?", "completion": "Wet lube.", "label": True}
    bad = good | {"completion": "Any.", "label": False}
    alone = {"prompt": "When?", "completion": "Never.", "label": False}
    chat = {"messages": MESSAGES}

    assert imported(jsonl(alone, bad, good, bad), "rows.jsonl")[:-1] == [
        (3, chat),
        (2, PAIR),
        (4, PAIR),
    ]
    assert refused(jsonl(good, bad, alone), "rows.jsonl") == [(3, "label_bad")]


@pytest.mark.parametrize("column", ["label", "feedback", "Rating"])
@pytest.mark.parametrize("marks", [("thumbs_up", "thumbs_down"), ("1", "0"), (True, False)])
@pytest.mark.parametrize("is_chat", [True, False])
def test_a_bad_answer_is_no_lesson_whatever_its_column_is_called(
    column: str, marks: Sequence[object], *, is_chat: bool
) -> None:
    rows: list[dict[str, object]] = [
        {"messages": messages} if is_chat else {"question": "Which oil?", "answer": answer}
        for messages, answer in ((MESSAGES, "Wet lube."), (WORSE, "Any."))
    ]
    file = jsonl(*[row | {column: mark} for row, mark in zip(rows, marks, strict=True)])

    assert [row for _, row in imported(file, "rows.jsonl")] == [{"messages": MESSAGES}, PAIR]
    assert planned(file, "rows.jsonl").is_sure == (column == "label")


def test_an_answer_without_a_mark_is_a_lesson_where_marks_may_be_missing() -> None:
    marks = ("good", "bad", "", None)
    rows = [
        {"question": f"Which {number}?", "answer": "This.", "feedback": mark}
        for number, mark in enumerate(marks)
    ]

    assert [line for line, _ in imported(jsonl(*rows), "rows.jsonl")[:3]] == [1, 3, 4]
    assert refused(jsonl(*rows), "rows.jsonl") == [(2, "label_bad")]
    rows = [{"label" if key == "feedback" else key: row[key] for key in row} for row in rows]
    assert [line for line, _ in refused(jsonl(*rows), "rows.jsonl")] == [2, 3, 4]


WORSE = [MESSAGES[0], {"role": A, "content": "Any."}]
PAIR = {
    "input": {"messages": MESSAGES[:1]},
    "preferred_output": MESSAGES[1:],
    "non_preferred_output": WORSE[1:],
}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Which oil?", "chosen": MESSAGES, "rejected": WORSE, "score_chosen": 9.0},
        {"prompt": MESSAGES[:1], "chosen": MESSAGES[1:], "rejected": WORSE[1:]},
        {"chosen": MESSAGES, "rejected": WORSE},
        {"prompt": "Which oil?", "chosen": "Wet lube.", "rejected": "Any."},
        {
            "chosen": "\n\nHuman: Which oil?\n\nAssistant: Wet lube.",
            "rejected": "\n\nHuman: Which oil?\n\nAssistant: Any.",
        },
        {"prompt": "Which oil?", "chosen": str(MESSAGES), "rejected": str(WORSE)},
        {"prompt": "Which oil?", "chosen": MESSAGES, "rejected": WORSE, "messages": MESSAGES},
        {
            "conversations": TURNS[:1],
            "chosen": TURNS[1],
            "rejected": {"from": "gpt", "value": "Any."},
        },
    ],
    ids=range(8),
)
def test_preferences_are_read_as_texts_and_as_messages(row: dict[str, object]) -> None:
    assert planned(jsonl(row), "rows.jsonl").method is Method.DPO
    assert imported(jsonl(row), "rows.jsonl") == [(1, PAIR)]


@pytest.mark.parametrize(
    ("table", "columns", "unused"),
    [
        (
            "question_id,prompt,answer\n17,When?,At nine.\n18,Where?,Here.\n",
            {"question": "prompt", "answer": "answer"},
            ("question_id",),
        ),
        (
            "user,subject,question,agent reply,answer score\nkim,Tube,How much?,Seven.,5\n",
            {"question": "question", "answer": "agent reply"},
            ("user", "subject", "answer score"),
        ),
        (
            "user,customer message question,response time,our response\n"
            "kim,How?,3,So.\nlee,Why?,4,Thus.\n",
            {"question": "customer message question", "answer": "our response"},
            ("user", "response time"),
        ),
        (
            "answer,answer_date,frage,antwort_id\nSo.,2026-01-01,Wie?,1\nNein.,2026-01-02,Wo?,2\n",
            {"question": "frage", "answer": "answer"},
            ("answer_date", "antwort_id"),
        ),
    ],
    ids=range(4),
)
def test_ids_scores_and_dates_are_never_chosen(
    table: str, columns: dict[str, str], unused: tuple[str, ...]
) -> None:
    plan = planned(table.encode())

    assert (plan.columns, plan.unused) == (columns, unused)


@pytest.mark.parametrize(
    "table", ["id,messages\n1,hello\n2,there\n", "1,5\n2,7\n", "name,score\nkim,5\nlee,7\n"]
)
def test_a_table_without_texts_is_no_table_of_pairs(table: str) -> None:
    assert isinstance(looked_at(table.encode()), Problem)


def test_columns_may_be_said() -> None:
    table = b"topic,text a,text b\nTube,How much?,Seven.\n"

    assert isinstance(looked_at(table), Problem)
    plan = planned(table, options=ImportOptions({"question": "Text A", "answer": "text b"}))
    wrong = looked_at(table, options=ImportOptions({"question": "nothing", "answer": "text b"}))

    assert plan.columns == {"question": "text a", "answer": "text b"}
    assert isinstance(wrong, Problem)
    assert wrong.code == "column_not_there"
