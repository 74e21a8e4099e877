"""Describes or downloads a model of the hub: `python -m tuner.local.hub ID [REVISION DIR]`.

Prints one JSON object: `error`, or the result. Only files that match
`tuner.base_models.WANTED_FILE_PATTERNS` are downloaded, so no pickles and no code.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from tuner.base_models import UNWANTED_FILE_PATTERNS, WANTED_FILE_PATTERNS
from tuner.errors import CannotStart

_LICENSE = re.compile(r"license:(.+)")


def describe_model(name: str) -> dict[str, object]:
    """Returns the newest revision, the licence and the bytes to download. Raises CannotStart."""
    with _as_cannot_start(name):
        info = HfApi().model_info(name, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    downloads = {file: size for file, size in sizes.items() if _is_wanted(file)}
    if not any(file.endswith(".safetensors") for file in downloads):
        raise CannotStart(
            "It has no weights as safetensors. Other formats can run code when they are read and"
            " are not taken."
        )
    licenses = (match[1] for tag in info.tags or () if (match := _LICENSE.fullmatch(tag)))
    return {
        "revision": info.sha,
        "license": next(licenses, "unknown"),
        "bytes": sum(downloads.values()),
    }


def download_model(name: str, revision: str, folder: Path) -> dict[str, object]:
    """Downloads a model to a folder, without files that are there. Raises CannotStart."""
    with _as_cannot_start(name):
        snapshot_download(
            name,
            revision=revision,
            local_dir=folder,
            allow_patterns=[*WANTED_FILE_PATTERNS, "README.md", "LICENSE*"],
            ignore_patterns=[*UNWANTED_FILE_PATTERNS],
        )
    return {"folder": str(folder)}


def _is_wanted(file: str) -> bool:
    def fits(patterns: Sequence[str]) -> bool:
        return any(fnmatch(file, pattern) for pattern in patterns)

    return fits(WANTED_FILE_PATTERNS) and not fits(UNWANTED_FILE_PATTERNS)


@contextmanager
def _as_cannot_start(name: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as error:
        raise CannotStart(
            "Its licence has to be accepted on its page first; then put a token of yours into"
            " HF_TOKEN."
        ) from error
    except RepositoryNotFoundError as error:
        raise CannotStart(
            "The hub has no such model for everybody. A token of yours goes into HF_TOKEN."
        ) from error
    except HFValidationError as error:
        raise CannotStart(f"“{name}” is no name of a model on the hub.") from error
    except (HTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise CannotStart(
            "The hub cannot be reached, or broke off. Check the network and start again; what came"
            " is kept. Or download it elsewhere and give the folder."
        ) from error


def main() -> None:
    name, *rest = sys.argv[1:]
    try:
        result = download_model(name, rest[0], Path(rest[1])) if rest else describe_model(name)
    except CannotStart as error:
        result = {"error": str(error)}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
