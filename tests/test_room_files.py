"""Files that the local room writes for people and reads from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.room_changes import FileSent
from bot.domain import Attachment
from bot.errors import HostServerError, SurfaceError
from bot.replies import Document
from tests.fakes.room_scene import PLACE, RoomScene, command


@pytest.fixture
def scene(tmp_path: Path) -> RoomScene:
    return RoomScene(tmp_path)


async def _chunks() -> AsyncIterator[bytes]:
    yield b"one\n"
    yield b"two\n"


async def test_a_file_is_written_beside_older_ones_and_its_path_is_said(scene: RoomScene) -> None:
    for _ in range(2):
        document = Document("rows.jsonl", _chunks(), "2 rows")
        await scene.room.send_file(command(), document)

    second = scene.exports / "rows-2.jsonl"
    assert second.read_bytes() == (scene.exports / "rows.jsonl").read_bytes() == b"one\ntwo\n"
    assert scene.texts() == [f"2 rows\n{second}"]
    assert scene.heard[-1] == FileSent(command(), "rows-2.jsonl", second)


@pytest.mark.parametrize("name", ["../../rows", "..", "/etc/rows", "a\\..\\rows", ""])
async def test_a_file_never_leaves_the_exports(scene: RoomScene, name: str) -> None:
    await scene.room.send_file(command(), Document(name, _chunks(), "rows"))

    assert len(list(scene.exports.iterdir())) == 1


async def test_a_file_that_broke_off_is_not_kept(scene: RoomScene) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise HostServerError

    with pytest.raises(HostServerError):
        await scene.room.send_file(command(), Document("rows", broken(), "rows"))

    assert list(scene.exports.iterdir()) == []


async def test_a_file_is_read_in_blocks(scene: RoomScene, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"x" * 100_000)

    attachment = Attachment("rows.jsonl", str(file))
    blocks = [block async for block in scene.room.read_file(PLACE, attachment)]

    assert [len(block) for block in blocks] == [65_536, 34_464]


async def test_a_file_that_vanished_is_an_error_of_the_surface(
    scene: RoomScene, tmp_path: Path
) -> None:
    attachment = Attachment("rows.jsonl", str(tmp_path / "rows.jsonl"))

    with pytest.raises(SurfaceError, match="No such file"):
        await anext(aiter(scene.room.read_file(PLACE, attachment)))
