"""Program that extracts the text of a PDF or Word file: `python -m bot.pdf_docx_program ROOM`.

Reads the file from standard input and writes one JSON object a line to standard output:
`{"text", "of"}` with a page's text and the number of pages (a Word file is one page), or
`{"problem": "locked" | "unread"}`. The argument is the maximum number of characters. The program
limits its own memory and time, as a file of a few kilobytes can decompress to gigabytes.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from xml.etree import ElementTree

_MAX_MEMORY_BYTES = 1 << 30
_MAX_CPU_SECONDS = 20
_MAX_XML_BYTES = 16 * 1024 * 1024
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BREAKS = {
    f"{_WORD}tab": "\t",
    f"{_WORD}br": "\n",
    f"{_WORD}cr": "\n",
    f"{_WORD}noBreakHyphen": "-",
}


def main() -> None:
    limit_own_resources()
    remaining = int(sys.argv[1])
    content = sys.stdin.buffer.read()
    try:
        pages = docx_text(content) if content.startswith(b"PK") else pdf_pages(content)
        for text, count in pages:
            print_json({"text": text[:remaining], "of": count})
            remaining -= len(text)
            if remaining <= 0:
                return
    except PermissionError:
        print_json({"problem": "locked"})
    except Exception:  # noqa: BLE001
        # The file or the library that reads it may fail in any way.
        print_json({"problem": "unread"})


def print_json(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def limit_own_resources() -> None:
    """Limits the memory and CPU time of this process.

    Windows cannot; there only the time limit of the parent process applies.
    """
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_MAX_CPU_SECONDS, _MAX_CPU_SECONDS))


def pdf_pages(content: bytes) -> Iterator[tuple[str, int]]:
    """Yields the text of each page with the number of pages.

    Raises PermissionError for a file that needs a password.
    """
    import logging

    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    logging.disable()
    reader = PdfReader(BytesIO(content))
    try:
        # Many encrypted files can be read with an empty password and are only write-protected.
        if reader.is_encrypted and not reader.decrypt(""):
            raise PermissionError
        count = len(reader.pages)
    except (DependencyError, FileNotDecryptedError) as error:
        raise PermissionError from error
    for page in reader.pages:
        yield page.extract_text(), count


def docx_text(content: bytes) -> Iterator[tuple[str, int]]:
    """Yields the text of a Word file's body as one page.

    See https://ecma-international.org/publications-and-standards/standards/ecma-376.
    """
    with zipfile.ZipFile(BytesIO(content)) as archive, archive.open("word/document.xml") as body:
        xml = body.read(_MAX_XML_BYTES + 1)
    if len(xml) > _MAX_XML_BYTES or b"<!DOCTYPE" in xml[:1000]:
        raise ValueError("no document of an honest size")
    yield "".join(_word_pieces(ElementTree.fromstring(xml))).strip(), 1  # noqa: S314


def _word_pieces(root: ElementTree.Element) -> Iterator[str]:
    """Yields the text of all elements, with a line break before each paragraph."""
    for element in root.iter():
        if element.tag == f"{_WORD}p":
            yield "\n"
        elif element.tag == f"{_WORD}t":
            yield element.text or ""
        else:
            yield _BREAKS.get(str(element.tag), "")


if __name__ == "__main__":
    main()
