"""Markdown of people and models: shown as such, and able to do nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Page

from adapters.studio.safe_html import to_html
from tests.browser import Windows

TAGS = {
    *("p", "br", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "hr", "a"),
    *("span", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
LINK = {"target": "_blank", "rel": "noopener noreferrer nofollow"}
ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "a": frozenset({"href", "title", *LINK}),
    "span": frozenset({"class"}),
    "ol": frozenset({"start"}),
}
ATTACKS = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "![x](https://evil.example/p.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x)",
    "[x](/logout)",
    "[x](//evil.example)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    '[x](https://a.example "\\" onclick=alert(1) x=\\"")',
    '[x](https://a.example/"onmouseover=alert(1))',
    'https://a.example/"onclick=alert(1)',
    "https://a.example/<img/src=x/onerror=alert(1)>",
    "[<img src=x onerror=alert(1)>](https://a.example)",
    "[a [b](https://c.example)](https://d.example)",
    "[https://a.example](https://b.example)",
    "`<img src=x onerror=alert(1)>`",
    '```"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```',
    "```js onload=alert(1)\n<b>\n```",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img onerror=1&gt;">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<form action=/logout><button>x</button></form>",
    "<!--<img src=x onerror=alert(1)>-->",
    "|a<b onclick=alert(1)>|b|\n|:-|-:|\n|<img src=x onerror=alert(1)>|2|",
    "# <iframe src=javascript:alert(1)>",
    "> - <a href=javascript:alert(1)>x</a>",
    "@attune<b>",
    '[x]: https://a.example "onclick=alert(1)"\n\n[x]',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
)


class Seen(HTMLParser):
    """Every element of a text, with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def is_harmless(tag: str, attributes: Mapping[str, str | None]) -> bool:
    if tag not in TAGS or not attributes.keys() <= ATTRIBUTES.get(tag, frozenset()):
        return False
    # The sanitizer takes away an address that no browser could read.
    if tag != "a" or "href" not in attributes:
        return True
    is_known = urlsplit(attributes["href"] or "").scheme in ("http", "https", "mailto")
    return is_known and attributes.items() >= LINK.items()


def harm_in(html: str) -> list[object]:
    return [one for one in Seen(html).elements if not is_harmless(*one)]


@pytest.mark.parametrize("text", ATTACKS)
def test_a_hostile_text_stays_text(text: str) -> None:
    assert harm_in(to_html(text)) == []


@given(st.lists(st.sampled_from([*ATTACKS, *"[]()<>`*_~|\\\"'\n#-!&:@ "]), max_size=8))
def test_hostile_texts_stay_text_in_one_another(parts: list[str]) -> None:
    assert harm_in(to_html("".join(parts))) == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("**yes** *no* ~~gone~~ `<b>`", ["p", "strong", "em", "s", "code"]),
        ("one\ntwo", ["p", "br"]),
        ("- a\n- b\n\n1. c", ["ul", "li", "li", "ol", "li"]),
        ("|a|\n|-|\n|b|", ["table", "thead", "tr", "th", "tbody", "tr", "td"]),
        ("# Title\n\n###### Small", ["h4", "h6"]),
        ("```py\nx\n```", ["pre", "code"]),
        ("> said", ["blockquote", "p"]),
        ("see https://a.example/x_y_z. Yes", ["p", "a"]),
        ("[name](https://a.example)", ["p", "a"]),
        ("<ann@a.example>", ["p", "a"]),
        ("@attune hello", ["p", "span"]),
        ("ann@attune.example", ["p"]),
        ("    not code", ["p"]),
    ],
)
def test_markdown_is_drawn(written: str, shown: list[str]) -> None:
    assert [tag for tag, _ in Seen(to_html(written)).elements] == shown


def test_an_address_ends_before_the_sentence_does() -> None:
    made = to_html("(see https://a.example/x?y=1&z=2).")

    assert Seen(made).elements[1][1]["href"] == "https://a.example/x?y=1&z=2"
    assert made.endswith("</a>).</p>\n")


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_a_browser_finds_no_more_in_hostile_texts(windows: Windows, studio: str) -> None:
    page = await windows.open(f"{studio}/room/support")
    for text in ("\n\n".join(ATTACKS), *ATTACKS[-3:]):
        await _say(page, text)

    found = await page.evaluate(ELEMENTS)

    assert len(found) > len(ATTACKS)
    assert [one for one in found if not is_harmless(*one)] == []


async def _say(page: Page, text: str) -> None:
    messages = page.locator(".message .said")
    before = await messages.count()
    await page.locator(".bottom textarea").first.fill(text)
    await page.keyboard.press("Enter")
    await messages.nth(before).wait_for()


ELEMENTS = """() => [...document.querySelectorAll(".message .said *")].map((one) =>
  [one.localName, Object.fromEntries([...one.attributes].map((at) => [at.name, at.value]))])"""
