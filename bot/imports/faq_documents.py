"""Finds the questions and answers of documents: DOCX, HTML, Markdown and plain text.

A document is a list of blocks. Its first table is read like a sheet; without a table, its
questions are read with the text below each. All other blocks are ignored.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final
from xml.etree import ElementTree

from bot.imports.archives import BROKEN_FILE
from bot.imports.columns import COLUMN_SYNONYMS, normalize_heading
from bot.imports.html_reader import HtmlReader

Cells = list[str]
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MAX_BYTES: Final = 64 << 20
"""Most bytes of a document without its pictures."""
_QUESTION_LABELS: Final = frozenset((*COLUMN_SYNONYMS["question"], "q", "f", "p", "d", "faq"))
_ANSWER_LABELS: Final = frozenset((*COLUMN_SYNONYMS["answer"], "a", "r"))
_LABEL: Final = re.compile(
    r"[\s*_#>-]{0,9}([^\W\d_]{1,20}) ?\d{0,4} ?[.)]?[*_]{0,3} ?[:：][*_\s]{0,9}"
)
_NUMBER: Final = re.compile(r"[\s*_]{0,9}(?:\d{1,3}[.)]|[-*•])\s{1,9}")
_ASKS: Final = re.compile(r".*[?？؟]\W{0,5}", re.DOTALL)
_DIVIDER: Final = re.compile(r"\|?[ \t]{0,9}:?-{2,}+:?[ \t|:-]*+")
_HEADING: Final = re.compile(r"#{1,6} ")
BROKEN_DOCUMENT: Final = (*BROKEN_FILE, LookupError, ValueError, ElementTree.ParseError)
_MIN_QUESTIONS: Final = 2
"""Least number of questions of a text that is read as a list of questions."""


@dataclass(slots=True)
class Block:
    """A heading or paragraph with its line, or the rows of a table."""

    line: int
    text: str = ""
    is_heading: bool = False
    rows: list[Cells] = field(default_factory=list)


def read_document(file: IO[bytes], encoding: str) -> Iterator[tuple[int, Cells]]:
    """Yields a row of headings and then the rows; nothing if there are no questions."""
    blocks = _blocks(file, encoding)
    table = next((block for block in blocks if _is_table(block.rows)), None)
    if table is not None:
        yield from ((table.line + number, row) for number, row in enumerate(table.rows))
        return
    pairs = _labelled(blocks) or _below_headings(blocks) or _asked_in_paragraphs(blocks)
    if len(pairs) >= _MIN_QUESTIONS:
        yield 0, ["question", "answer"]
        yield from pairs


def _blocks(file: IO[bytes], encoding: str) -> list[Block]:
    file.seek(0)
    if file.read(2) == b"PK":
        return _docx_blocks(file)
    file.seek(0)
    text = file.read(_MAX_BYTES).decode(encoding, "replace").removeprefix("\ufeff")
    if text.lstrip()[:1] == "<":
        reader = _HtmlBlocks()
        reader.read(text)
        return reader.finish()
    return list(_markdown_blocks(text))


def _is_table(rows: Sequence[Cells]) -> bool:
    return len(rows) > 1 and sum(map(bool, rows[0])) > 1


def _labelled(blocks: Sequence[Block]) -> list[tuple[int, Cells]]:
    """Returns the pairs of texts whose lines begin like “Q:” and “A:”.

    The first label of a question and the first label of an answer are those of the whole document;
    a line with another label, like “Output:” in an answer, belongs to the text above it.
    """
    pairs: list[tuple[int, tuple[list[str], list[str]]]] = []
    first_labels: dict[int, str] = {}
    part = 0
    lines = [
        (block.line + number, line)
        for block in blocks
        for number, line in enumerate([*block.text.split("\n"), ""])
    ]
    for number, line in lines:
        match = _LABEL.match(line)
        label = normalize_heading(match[1]) if match else ""
        is_answer = label in _ANSWER_LABELS and bool(pairs)
        is_labelled = (is_answer or label in _QUESTION_LABELS) and (
            first_labels.setdefault(is_answer, label) == label
        )
        text = line[match.end() :] if match and is_labelled else line
        if is_labelled and not is_answer:
            pairs.append((number, ([_unmarked(text)], [])))
        part = int(is_answer) if is_labelled else part
        if pairs and (is_answer or not is_labelled):
            pairs[-1][1][part].append(text)
    has_answers = any(answer for _, (_, answer) in pairs)
    joined = [(line, [_tidy("\n".join(texts)) for texts in pair]) for line, pair in pairs]
    return joined if has_answers else []


def _below_headings(blocks: Sequence[Block]) -> list[tuple[int, Cells]]:
    """Returns the headings that are questions, each with the text up to the next heading."""
    headings = [block for block in blocks if block.is_heading]
    if 2 * sum(_asks(block.text) for block in headings) < len(headings):
        return []
    pairs: list[tuple[int, str, list[str]]] = []
    is_open = False
    for block in blocks:
        if block.is_heading:
            is_open = _asks(block.text)
            pairs += [(block.line, _unmarked(block.text), [])] if is_open else []
        elif is_open:
            pairs[-1][2].append(block.text)
    return [(line, [question, _tidy("\n\n".join(texts))]) for line, question, texts in pairs]


def _asked_in_paragraphs(blocks: Sequence[Block]) -> list[tuple[int, Cells]]:
    """Returns the paragraphs with a question and its answer, if most paragraphs are such."""
    pairs: list[tuple[int, Cells]] = []
    for block in blocks:
        first, _, rest = block.text.partition("\n")
        if _asks(first) and rest:
            pairs.append((block.line, [_unmarked(first), _tidy(rest)]))
    return pairs if 2 * len(pairs) > len(blocks) else []


def _asks(text: str) -> bool:
    return _ASKS.fullmatch(text) is not None


def _unmarked(text: str) -> str:
    numbered = _NUMBER.match(text)
    return (text[numbered.end() :] if numbered else text).strip(" *_#\t")


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _markdown_blocks(text: str) -> Iterator[Block]:
    block, texts = Block(1), list[str]()
    is_code = False
    for number, line in enumerate([*re.split(r"\r\n?|\n", text), ""], 1):
        is_code = is_code != line.lstrip().startswith("```")
        heading = None if is_code else _HEADING.match(line)
        is_row = not is_code and "|" in line and (bool(block.rows) or not texts)
        if (not line.strip() and not is_code) or heading or (block.rows and not is_row):
            yield from _finished(block, texts)
            block, texts = Block(number), []
        if heading:
            yield Block(number, line[heading.end() :].strip(), is_heading=True)
        elif is_row:
            block.line = block.line if block.rows else number
            block.rows += [] if _DIVIDER.fullmatch(line.strip()) else [_cells(line)]
        elif line.strip() or is_code:
            block.line = block.line if texts else number
            texts.append(line)
        if len(texts) == 1 and _is_bold_question(line):
            block.is_heading = True
            yield from _finished(block, texts)
            block, texts = Block(number), []
    yield from _finished(block, texts)


def _finished(block: Block, texts: Sequence[str]) -> Iterator[Block]:
    block.text = "\n".join(texts)
    yield from [block] if block.text or block.rows else []


def _is_bold_question(text: str) -> bool:
    return text.startswith("**") and text.endswith("**") and _asks(text)


def _cells(line: str) -> Cells:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", inner)]


class _HtmlBlocks(HtmlReader):
    """Collects the headings, paragraphs and table rows of a page."""

    _HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary"))
    _PARTS: Final = frozenset(("p", "div", "li", "dd", "section", "article", "details", "ul", "ol"))
    _UNSEEN: Final = frozenset(("script", "style", "head", "nav", "footer", "template"))

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._text: list[str] = []
        self._is_heading = False
        self._unseen = 0
        self._table: Block | None = None

    def finish(self) -> list[Block]:
        self._flush()
        return self.blocks

    def handle_start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._unseen += tag in self._UNSEEN
        if tag == "table" and self._table is None:
            self._flush()
            self._table = Block(self.line)
        elif tag == "tr" and self._table is not None:
            self._table.rows.append([])
        elif tag in ("td", "th"):
            self._text.clear()
        elif tag == "br":
            self._text.append("\n")
        elif self._table is None and tag in (*self._HEADINGS, *self._PARTS):
            self._flush()
            self._is_heading = tag in self._HEADINGS
            self._text += ["- "] if tag == "li" else []

    def handle_end(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in self._UNSEEN))
        if tag in ("td", "th") and self._table is not None and self._table.rows:
            self._table.rows[-1].append(_tidy("".join(self._text)))
            self._text.clear()
        elif tag == "table" and self._table is not None:
            self._table.rows = [row for row in self._table.rows if any(row)]
            self.blocks.append(self._table)
            self._table = None
        elif self._table is None and tag in (*self._HEADINGS, *self._PARTS):
            self._flush()

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._text.append(data)

    def _flush(self) -> None:
        text = _tidy("".join(self._text))
        if text and text != "-":
            self.blocks.append(Block(self.line, text, self._is_heading))
        self._text.clear()
        self._is_heading = False


def _docx_blocks(file: IO[bytes]) -> list[Block]:
    with zipfile.ZipFile(file) as archive, archive.open("word/document.xml") as packed:
        document = packed.read(_MAX_BYTES)
    if b"<!DOCTYPE" in document:
        raise ElementTree.ParseError
    # A document type is refused, as its entities could expand without limit.
    root = ElementTree.fromstring(document)  # noqa: S314
    body = root.find(f"{_W}body")
    blocks: list[Block] = []
    for number, element in enumerate(body if body is not None else [], 1):
        if element.tag == f"{_W}tbl":
            rows = [
                [_text_of(cell) for cell in row.findall(f"{_W}tc")]
                for row in element.findall(f"{_W}tr")
            ]
            blocks.append(Block(number, rows=[row for row in rows if any(row)]))
        elif text := _text_of(element):
            blocks.append(Block(number, text, _is_docx_heading(element, text)))
    return blocks


def _text_of(element: ElementTree.Element) -> str:
    parts: list[str] = []
    for part in element.iter():
        if part.tag == f"{_W}t":
            parts.append(part.text or "")
        elif part.tag in (f"{_W}br", f"{_W}cr", f"{_W}p"):
            parts.append("\n")
        elif part.tag == f"{_W}numPr":
            parts.append("- ")
    return _tidy("".join(parts))


def _is_docx_heading(paragraph: ElementTree.Element, text: str) -> bool:
    """Whether a paragraph is a heading: by its style, or as a question in bold.

    The name of the style depends on the language.
    """
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    name = style.get(f"{_W}val", "") if style is not None else ""
    runs = [run for run in paragraph.findall(f"{_W}r") if _text_of(run)]
    is_bold = bool(runs) and all(run.find(f"{_W}rPr/{_W}b") is not None for run in runs)
    return re.search(r"\d$|^Tit", name) is not None or (is_bold and _asks(text))
