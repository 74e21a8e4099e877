"""A program of its own that turns one PDF or Word file into text: `python -m bot.document_reader`.

The file comes on standard input; on standard output goes one JSON object a line: `{"text", "of"}`
for each page (a Word file is one page of one) or `{"problem": "locked" | "unread"}`. It limits its
own memory and time, as a file of a few kilobytes can unfold to gigabytes.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from xml.etree import ElementTree

_MOST_MEMORY = 1 << 30
_MOST_SECONDS = 20
_MOST_XML = 16 * 1024 * 1024
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BREAKS = {
    f"{_WORD}tab": "\t",
    f"{_WORD}br": "\n",
    f"{_WORD}cr": "\n",
    f"{_WORD}noBreakHyphen": "-",
}


def main() -> None:
    limit_own_resources()
    room = int(sys.argv[1])
    content = sys.stdin.buffer.read()
    try:
        pages = docx_text(content) if content.startswith(b"PK") else pdf_pages(content)
        for text, count in pages:
            print_json({"text": text[:room], "of": count})
            room -= len(text)
            if room <= 0:
                return
    except PermissionError:
        print_json({"problem": "locked"})
    except Exception:  # noqa: BLE001
        # Whatever is wrong with somebody's file, and with the library's reading of it.
        print_json({"problem": "unread"})


def print_json(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def limit_own_resources() -> None:
    """Where the system can; elsewhere the time limit of whoever started it has to do."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))


def pdf_pages(content: bytes) -> Iterator[tuple[str, int]]:
    """The text of each page and the number of all. Raises PermissionError for a locked file."""
    import logging

    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    logging.disable()
    reader = PdfReader(BytesIO(content))
    try:
        # Many files may be read without a password and only keep others from changing them.
        if reader.is_encrypted and not reader.decrypt(""):
            raise PermissionError
        count = len(reader.pages)
    except (DependencyError, FileNotDecryptedError) as error:
        raise PermissionError from error
    for page in reader.pages:
        yield page.extract_text(), count


def docx_text(content: bytes) -> Iterator[tuple[str, int]]:
    """https://ecma-international.org/publications-and-standards/standards/ecma-376: the body."""
    with zipfile.ZipFile(BytesIO(content)) as archive, archive.open("word/document.xml") as body:
        xml = body.read(_MOST_XML + 1)
    if len(xml) > _MOST_XML or b"<!DOCTYPE" in xml[:1000]:
        raise ValueError("no document of an honest size")
    yield "".join(_word_pieces(ElementTree.fromstring(xml))).strip(), 1  # noqa: S314


def _word_pieces(root: ElementTree.Element) -> Iterator[str]:
    """Paragraphs end their line; the cells of a table's row stand in one."""
    for element in root.iter():
        if element.tag == f"{_WORD}p":
            yield "\n"
        elif element.tag == f"{_WORD}t":
            yield element.text or ""
        else:
            yield _BREAKS.get(str(element.tag), "")


if __name__ == "__main__":
    main()
