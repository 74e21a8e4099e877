"""Tickets as help desks export them: as tables, one row a message, and as JSON."""

import csv
import html
import io
import json
from collections.abc import Callable

import pytest

from bot.imports.mail_text import strip_quotes_and_signature
from tests.test_imports import imported, planned, refused, said

U, A = "user", "assistant"

DESK = """ticket_id,created_at,author_role,visibility,body
7,2026-01-01 10:05,agent,public,Seven euros.
7,2026-01-01 10:00,customer,public,How much is a tube?
8,2026-01-01 10:01,end-user,public,Do you fix flats?
7,2026-01-01 10:06,agent,private,He is always asking.
8,2026-01-01 10:02,end-user,public,It is urgent.
8,2026-01-01 11:00,agent,public,Yes. Bring it.
7,2026-01-01 10:07,customer,public,And a tyre?
7,2026-01-01 10:09,agent,public,Thirty.
7,2026-01-01 10:10,customer,public,Thanks!
9,2026-01-02 09:00,customer,public,Anybody?
"""


WROTE = [
    ("customer", "Ann Lee", "Hello,\n\nhow much is a tube?\n\nThanks\nAnn\nSent from my iPhone"),
    ("system", "System", "Ticket assigned to Bo"),
    ("note", "Bo Ek", "He is always asking."),
    (
        "agent",
        "Bo Ek",
        "Hi Ann,\nseven euros.\n\nBest regards,\nBo Ek\nDesk | www.x.example",
    ),
    (
        "customer",
        "Ann Lee",
        "And a tyre?\n\nOn Mon, 5 Jan 2026, Bo <bo@bikes.example> wrote:\n> seven euros.",
    ),
    ("agent", "Bo Ek", "Thirty.\n-- \nBo"),
    ("system", "System", "Status changed to solved"),
]
TALK = [(U, "how much is a tube?"), (A, "seven euros."), (U, "And a tyre?"), (A, "Thirty.")]


def at(number: int) -> str:
    return f"2026-01-05T10:0{number}:00Z"


def table_of(headings: str, cells: Callable[[int, int, str, str, str], list[object]]) -> bytes:
    """The ticket, and a second and third so that columns repeat."""
    out = io.StringIO()
    csv.writer(out).writerows(line.split(",") for line in headings.splitlines())
    for ticket in (7, 8, 9):
        for number, (side, who, text) in enumerate(WROTE):
            name = f"{who} {ticket}" if side == "customer" else who
            row = cells(ticket, number, side, name, text)
            csv.writer(out).writerows([row] if row else [])
    return out.getvalue().encode()


def html_of(text: str) -> str:
    return "<p>" + html.escape(text).replace("\n", "<br>") + "</p>"


ROLES = {"customer": "End-user", "agent": "Agent", "note": "Agent", "system": "System"}
ZENDESK = table_of(
    "Ticket ID,Ticket status,Comment ID,Author role,Author name,Created,Public,Comment body",
    lambda t, n, side, who, text: [
        *(t, "Solved", t * 10 + n, ROLES[side], who, at(n), str(side != "note").lower(), text)
    ],
)
FRESHDESK = table_of(
    "Conversations\nExported,today\n,\nTicket ID,Subject,Type,Incoming,Created time,Body",
    lambda t, n, side, who, text: [
        *(t, f"Tube {t}", {"note": "Note", "system": "Status"}.get(side, "Reply")),
        *(str(side == "customer"), f"1/{12 + n}/2026 9:00 PM", text),
    ],
)
NAMES = table_of(
    "Thread ID,Date,From,Message",
    lambda t, n, side, who, text: (
        [f"19:{t}", f"{('30.01.2026', '01.02.2026')[n > 3]} 1{n}:00", who, text]
        if side in ("customer", "agent")
        else []
    ),
)
PARTS = {"note": "note", "system": "assignment"}
AUTHORS = {"customer": "user", "system": "bot"}
INTERCOM = json.dumps(
    {
        "type": "conversation.list",
        "conversations": [
            {
                "type": "conversation",
                "id": "7",
                "source": {"body": html_of(WROTE[0][2]), "author": {"type": "user"}},
                "conversation_parts": {
                    "type": "conversation_part.list",
                    "conversation_parts": [
                        {
                            "type": "conversation_part",
                            "part_type": PARTS.get(side, "comment"),
                            "body": html_of(text),
                            "author": {"type": AUTHORS.get(side, "admin"), "id": who},
                            "created_at": 1767600000 + number,
                        }
                        for number, (side, who, text) in enumerate(WROTE[1:])
                    ],
                },
            }
        ],
    }
).encode()
NUMBERS = {"customer": 5, "agent": 1, "note": 1, "system": -1}


def desk_of(
    part: Callable[[int, str, str], dict[str, object] | None],
    wrap: Callable[[list[dict[str, object]]], object],
) -> bytes:
    """A ticket of JSON; of a message that a desk does not keep, the part is None."""
    parts = [part(number, side, text) for number, (side, _, text) in enumerate(WROTE)]
    return json.dumps(wrap([one for one in parts if one is not None]), indent=1).encode()


HUBSPOT_TYPES = {"note": "COMMENT", "system": "THREAD_STATUS_CHANGE"}
WAYS = {"customer": "INCOMING", "agent": "OUTGOING"}
HUBSPOT = desk_of(
    lambda n, side, text: {
        "id": n,
        "type": HUBSPOT_TYPES.get(side, "MESSAGE"),
        "createdAt": at(n),
        "text": text,
        **({"direction": WAYS[side]} if side in WAYS else {}),
    },
    lambda parts: [{"id": 7, "messages": parts}],
)
SCOUT_TYPES = {"customer": "customer", "agent": "message", "note": "note", "system": "lineitem"}
HELP_SCOUT = desk_of(
    lambda n, side, text: {
        "type": SCOUT_TYPES[side],
        "body": html_of(text),
        "createdAt": at(n),
        "createdBy": {"id": NUMBERS[side], "type": "customer" if side == "customer" else "user"},
    },
    lambda parts: {"_embedded": {"conversations": [{"id": 7, "_embedded": {"threads": parts}}]}},
)
JIRA = desk_of(
    lambda n, side, text: (
        None
        if side == "system"
        else {
            "body": text,
            "created": at(n),
            "jsdPublic": side != "note",
            "author": {"accountId": NUMBERS[side], "accountType": "atlassian"},
        }
    ),
    lambda parts: {
        "issues": [
            {"fields": {"reporter": {"accountId": 5}, "comment": {"comments": parts}}, "key": "A-7"}
        ]
    },
)
LIVECHAT = desk_of(
    lambda n, side, text: {
        "type": "system_message" if side == "system" else "message",
        "text": text,
        "author_id": NUMBERS[side],
        "created_at": at(n),
        "visibility": "agents" if side == "note" else "all",
    },
    lambda parts: {
        "chats": [
            {
                "users": [{"id": 5, "type": "customer"}, {"id": 1, "type": "agent"}],
                "thread": {"events": parts},
            }
        ]
    },
)
CRISP_TYPES = {"note": "note", "system": "event"}
CRISP = desk_of(
    lambda n, side, text: {
        "type": CRISP_TYPES.get(side, "text"),
        "timestamp": 1767600000000 + n,
        "from": "user" if side == "customer" else "operator",
        "content": {"namespace": "state"} if side == "system" else text,
    },
    lambda parts: {"session_id": "7", "messages": parts},
)
CHATWOOT = desk_of(
    lambda n, side, text: {
        "content": text,
        "created_at": 1767600000 + n,
        "private": side == "note",
        "message_type": {"customer": 0, "system": 2}.get(side, 1),
        **(
            {}
            if side == "system"
            else {"sender": {"type": "contact" if side == "customer" else "user"}}
        ),
    },
    lambda parts: [{"id": 7, "messages": parts}],
)
FRONT = desk_of(
    lambda n, side, text: (
        {"is_inbound": side == "customer", "text": text, "created_at": 1767600000.5 + n}
        if side in WAYS
        else None
    ),
    lambda parts: [{"id": "cnv_7", "messages": parts, "comments": [{"body": "He asks a lot."}]}],
)
SALESFORCE = table_of(
    "Case Number,Created Date,Created By,Public,Comment Body",
    lambda t, n, side, who, text: (
        [] if side == "system" else [t, f"1/{5 + n}/2026 9:00", who, int(side != "note"), text]
    ),
)
CHINESE = table_of(
    "工单号,时间,发送者角色,是否内部,消息内容",
    lambda t, n, side, who, text: (
        []
        if side == "system"
        else [
            *(t, at(n), "客户" if side == "customer" else "客服"),
            *("是" if side == "note" else "否", text),
        ]
    ),
)
ZENDESK_LINES = json.dumps(
    {
        "id": 7,
        "subject": "Tube",
        "description": WROTE[0][2],
        "requester_id": 5,
        "comments": [
            {
                "type": "Comment",
                "author_id": NUMBERS[side],
                "public": side != "note",
                "plain_body": text,
                "html_body": html_of(text),
                "created_at": at(number),
            }
            for number, (side, _, text) in enumerate(WROTE)
        ],
    }
).encode()
FRESHDESK_JSON = json.dumps(
    [
        {
            "id": 7,
            "description_text": WROTE[0][2],
            "conversations": [
                {"incoming": side == "customer", "private": side == "note", "body_text": text}
                for side, _, text in WROTE[1:]
                if side != "system"
            ],
        }
    ],
    indent=1,
).encode()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (ZENDESK, "zendesk.csv"),
        (FRESHDESK, "freshdesk.csv"),
        (NAMES, "names.csv"),
        (INTERCOM, "intercom.json"),
        (ZENDESK_LINES, "zendesk.jsonl"),
        (FRESHDESK_JSON, "freshdesk.json"),
        (HUBSPOT, "hubspot.json"),
        (HELP_SCOUT, "help_scout.json"),
        (JIRA, "jira.json"),
        (LIVECHAT, "livechat.json"),
        (CRISP, "crisp.json"),
        (CHATWOOT, "chatwoot.json"),
        (FRONT, "front.json"),
        (SALESFORCE, "salesforce.csv"),
        (CHINESE, "desk.csv"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_ticket_is_what_people_said_however_a_help_desk_exports_it(
    data: bytes, name: str
) -> None:
    assert not planned(data, name).is_sure
    assert refused(data, name) == []
    assert {str(one) for one in said(data, name)} == {str(TALK)}


@pytest.mark.parametrize(
    "text",
    [
        "Hello I need help with my order\nIt is late.",
        "Thank you!\nYou can follow it under Orders.",
        "We have two models.\nLG TV 42\nBest of all: the other",
        "From: Berlin\nI want to go to Rome.",
        "5 > 3, and a < b",
    ],
)
def test_what_looks_like_a_signature_and_is_none_stays(text: str) -> None:
    assert strip_quotes_and_signature(text) == text


@pytest.mark.parametrize(
    "more",
    [
        {"visible_to_customer": True},
        {"sent": True},
    ],
)
def test_the_stated_side_goes_before_what_a_flag_is_called(more: dict[str, object]) -> None:
    spoken = [("customer", "How much is a tube?"), ("agent", "Seven euros.")]
    messages = [{"author_role": side, "text": text, **more} for side, text in spoken]
    ticket = {"id": 7, "participants": [7, "type 8"], "messages": messages}

    assert said(json.dumps([ticket]).encode(), "tickets.json") == [
        [(U, "How much is a tube?"), (A, "Seven euros.")]
    ]


@pytest.mark.parametrize(
    "headings", [("Eingehend", "true", "false"), ("Ausgehend", "false", "true")]
)
def test_a_column_of_the_direction_says_who_wrote(headings: tuple[str, str, str]) -> None:
    name, incoming, outgoing = headings
    # An agent speaks first: whoever does is no customer by that.
    rows = [
        ("Ticket-Nr", "Nachricht", name),
        *[
            (str(ticket), text, side)
            for ticket in (1, 2, 3)
            for text, side in (
                (f"Welcome {ticket}.", outgoing),
                (f"Price of {ticket}?", incoming),
                (f"Nine and {ticket}.", outgoing),
            )
        ],
    ]
    file = "\n".join(",".join(row) for row in rows).encode()

    assert said(file, "tickets.csv") == [
        [(U, f"Price of {ticket}?"), (A, f"Nine and {ticket}.")] for ticket in (1, 2, 3)
    ]


RECEIPT = "We received your request (#7). A member of our team will reply within 24 hours."


@pytest.mark.parametrize(
    ("side", "text"),
    [
        ("agent", RECEIPT),
        ("agent", "Ihre Anfrage ist eingegangen, wir melden uns in zwei Tagen."),
        ("agent", "Nous avons bien reçu votre demande et vous répondrons sous 24 heures."),
        ("agent", "Hemos recibido tu solicitud. Te responderemos pronto."),
        ("agent", "我们已收到您的邮件，会在一个工作日内回复您。"),
        ("agent", "How would you rate the support you received?\n\nGood\nBad"),
        ("customer", "Automatic reply: I will read it on Monday."),
        ("customer", "Hello,\nI am out of the office until 4 May."),
        ("customer", "Ich bin bis zum 4. Mai nicht im Büro."),
    ],
)
def test_what_a_program_wrote_is_no_part_of_a_conversation(side: str, text: str) -> None:
    rows = ["ticket,role,text,time"]
    for ticket in (1, 2):
        rows += [
            f'{ticket},customer,"How much is a tube?",2026-01-01 10:00',
            f'{ticket},{side},"{text}",2026-01-01 10:01',
            f"{ticket},agent,Seven euros.,2026-01-01 10:02",
        ]

    assert said("\n".join(rows).encode()) == 2 * [[(U, "How much is a tube?"), (A, "Seven euros.")]]


@pytest.mark.parametrize(
    "text",
    [
        "Thank you for contacting us. We received your parcel, the refund takes 3 days.",
        "Your order was created; you can answer the mail to change it.",
        "Rate it in the app: open Settings.",
    ],
)
def test_an_answer_that_sounds_like_a_receipt_is_one_for_people(text: str) -> None:
    rows = [
        "ticket,role,text",
        *(
            f'{n},{side},"{said}"'
            for n in (1, 2)
            for side, said in (("user", "?!"), ("agent", text))
        ),
    ]

    assert said("\n".join(rows).encode()) == 2 * [[(U, "?!"), (A, text)]]


@pytest.mark.parametrize(
    "times",
    [
        ("1/5/2026 12:05 AM", "1/5/2026 9:00 AM", "1/5/2026 12:10 PM", "1/5/2026 1:00 PM"),
        (
            "2026-01-05T12:30:00+02:00",
            "2026-01-05T10:45:00Z",
            "2026-01-05T06:00:00-05:00",
            "2026-01-05T11:15:00Z",
        ),
        ("Jan 5, 2026 9:00", "Jan 15, 2026 8:00", "Feb 1, 2026 7:00", "Mar 1, 2026 6:00"),
        ("5. Jan. 2026 9:00", "15. Jan. 2026 8:00", "1. März 2026 7:00", "1. Mai 2026 6:00"),
        ("Mon, 5 Jan 2026 9:00", "Thu, 15 Jan 2026 8:00", "Sun, 1 Feb 2026", "Mon, 2 Mar 2026"),
        ("46027.1", "46027.2", "46027.9", "46028"),
        (
            "2026年1月5日 上午12:30",
            "2026年1月5日 上午9:00",
            "2026年1月5日 下午1:00",
            "2026年2月1日",
        ),
    ],
)
def test_messages_are_ordered_by_their_moments_however_these_are_written(
    times: tuple[str, ...],
) -> None:
    spoken = ("customer", "How?"), ("agent", "So."), ("customer", "Why?"), ("agent", "Why not.")
    rows = [
        (str(ticket), side, text, time)
        for ticket in (1, 2)
        for (side, text), time in zip(spoken, times, strict=True)
    ]
    out = io.StringIO()
    csv.writer(out).writerows([("ticket", "role", "text", "created"), *reversed(rows)])

    assert said(out.getvalue().encode()) == 2 * [
        [(U, "How?"), (A, "So."), (U, "Why?"), (A, "Why not.")]
    ]


def test_tickets_are_put_together_however_far_apart_their_rows_are() -> None:
    rows = [
        *(f"{n},2026-01-01,customer,Question {n}?" for n in range(60)),
        *(f"{n},2026-01-02,agent,Answer {n}." for n in range(60)),
    ]
    # What is looked at first has each ticket once, and both sides.
    rows[1], rows[100] = rows[100], rows[1]
    file = "\n".join(["case number,date,sender,message", *rows]).encode()

    assert len(said(file)) == 60


def test_a_table_with_one_row_a_ticket_is_freed_of_what_belongs_to_mails() -> None:
    out = io.StringIO()
    asked = "Hello,\n\nhow much is a tube?\n\nKind regards\nAnn"
    answered = (
        '<div>Hi Ann,</div><p>Seven euros, see <a href="https://bikes.example/tube">here</a>.</p>'
        '<div class="gmail_signature">Bo Ek<br>Desk</div>'
        '<div class="gmail_quote">On Monday Ann wrote:<div>how much?</div></div>'
    )
    rows = [
        ("Ticket ID", "Assignee", "Description", "Resolution"),
        *3 * [(1, "Bo", asked, answered)],
    ]
    csv.writer(out).writerows(rows)
    file = out.getvalue().encode()

    plan = planned(file)

    assert plan.strips_mail_parts
    assert not plan.is_sure
    assert said(file)[0] == [
        (U, "how much is a tube?"),
        (A, "Seven euros, see here (https://bikes.example/tube)."),
    ]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Press <![foo x]>R.</p>", "Press R."),
        ("<p>Press:<blockquote>R</blockquote>Then T.</p>", "Press:\nR\nThen T."),
        ("<p>Press</p><blockquote type=cite>Old</blockquote>", "Press"),
        ("<p>Press\n   R,\n then T.</p>", "Press R, then T."),
        ('<p>Press <b class="signature-free">R</b>.</p>', "Press R."),
        ("<p>Press R.<p class=gmail_quote>Old<p>Then T.", "Press R.\n\nThen T."),
        ("<p>Press <![CDATA[x", "Press <![CDATA[x"),
        ("<p>Press <!a [b>R.</p>", "Press R."),
        ("<p>Press <!-- R.</p>", "Press <!-- R."),
        ("<p>Press <!-- <b>not</b> > -->R.</p>", "Press R."),
        ("<p>Press <a href='x>R</a>.</p>", "Press R."),
        ('<p>Press <b title="a > <i>b</i>">R</b>.</p>', "Press R."),
        ("<p>Press R if x < y.</p>", "Press R if x < y."),
        ("<p>Press R&#" + "9" * 5000 + ";.</p>", "Press R\ufffd."),
        ("<p>Press <b/>R.</p><style>a<b '<p>'</style>", "Press R."),
        ("<p>Press <a href=https://x.example/r/>R</a>.</p>", "Press R (https://x.example/r/)."),
    ],
    ids=range(16),
)
def test_broken_html_is_read_as_far_as_possible(markup: str, text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("question", "answer"), ("How?", markup)])

    assert said(out.getvalue().encode())[0][1] == (A, text)


def test_prose_in_html_is_learned_as_text_and_code_stays_as_it_is() -> None:
    prose = b"question,answer\nHow?,<p>First <b>this</b>.</p><ul><li>then that</li></ul>\n"
    code = b"question,answer\nWrite a form,<div><form><input></form></div>\n"

    assert said(prose) == [[(U, "How?"), (A, "First this.\n\n- then that")]]
    assert said(code)[0][1] == (A, "<div><form><input></form></div>")


@pytest.mark.parametrize(
    "below",
    [
        "Kind regards\nBo Ek\n--\nBikes Ltd, 1 Lane, Town | Tel. 555 | www.bikes.example | "
        "a line that is longer than any other line of such a kind",
        "This e-mail and its attachments are confidential and may be privileged.\nDelete it.",
        "If you are not the intended recipient, please notify us at once.",
        "Diese E-Mail enthält vertrauliche Informationen.",
        "[cid:image001.png@01DA]",
        "Bo",
    ],
)
def test_what_stands_below_every_mail_of_an_agent_is_no_part_of_the_answer(below: str) -> None:
    rows = [("ticket", "role", "text")]
    for ticket in range(6):
        rows += [(str(ticket), "customer", f"Hi Bo, price of {ticket}?\n\nAnn")]
        rows += [(str(ticket), "agent", f"Hi Ann,\nIt is {ticket} euros.\n\n{below}")]
    out = io.StringIO()
    csv.writer(out).writerows(rows)

    assert said(out.getvalue().encode()) == [
        [(U, f"price of {ticket}?"), (A, f"It is {ticket} euros.")] for ticket in range(6)
    ]


def test_a_signature_without_a_closing_is_told_by_its_recurring() -> None:
    rows = [("ticket", "role", "text")]
    for ticket in range(6):
        rows += [(str(ticket), "customer", f"Price of {ticket}?")]
        rows += [(str(ticket), "agent", f"It is {ticket} euros.\n\nBo Ek\nBikes of Bern")]
    rows += [("7", "customer", "Where?"), ("7", "agent", "At home:\nBikes of Bern")]
    out = io.StringIO()
    csv.writer(out).writerows(rows)

    answers = [talk[1][1] for talk in said(out.getvalue().encode())]

    assert answers[:6] == [f"It is {ticket} euros." for ticket in range(6)]


def test_a_help_desk_becomes_conversations_by_ticket() -> None:
    plan = planned(DESK.encode())
    rows = imported(DESK.encode())

    assert plan.columns["ticket"] == "ticket_id"
    assert not plan.is_sure
    assert [line for line, _ in rows] == [2, 4, 11]
    assert refused(DESK.encode()) == [(11, "ticket_unanswered")]
    assert said(DESK.encode().rpartition(b"9,2026")[0]) == [
        [
            (U, "How much is a tube?"),
            (A, "Seven euros."),
            (U, "And a tyre?"),
            (A, "Thirty."),
        ],
        [(U, "Do you fix flats?\n\nIt is urgent."), (A, "Yes. Bring it.")],
    ]
