"""Rows that are erased, or have images, tools and unknown keys, are listed, shown and told of."""

from __future__ import annotations

import json

import pytest

from bot.domain import LOCAL, ExampleId, ExampleState, NewExample, Origin, Row, UserId
from bot.events import ButtonClicked, CommandInvoked
from bot.examples.row_texts import editable_texts, readable_texts
from bot.replies import Card, Listing
from bot.rows import Method
from tests.scene import Scene

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/parcel.png"}}
WORDS = {"type": "text", "text": "What is this?"}
ANSWER = {"role": "assistant", "content": "A parcel."}
ROWS: dict[str, Row] = {
    "image alone": {"messages": [{"role": "user", "content": [IMAGE]}, ANSWER]},
    "image and text": {"messages": [{"role": "user", "content": [WORDS, IMAGE]}, ANSWER]},
    "answer in parts": {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [{"type": "text", "text": "A parcel."}]},
        ]
    },
    "answer alone": {"messages": [ANSWER]},
    "preference in parts": {
        "input": {"messages": [{"role": "user", "content": [WORDS]}]},
        "preferred_output": [{"role": "assistant", "content": [WORDS]}],
        "non_preferred_output": [{"role": "assistant", "content": "No idea."}],
    },
}


async def kept(scene: Scene, row: Row) -> ExampleId:
    await scene.command("examples")
    method = Method.DPO if "input" in row else Method.SUPERVISED
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        new = NewExample(
            assistant.id, method, ExampleState.APPROVED, row, Origin.IMPORT, (UserId("mina"),)
        )
        example, _ = await records.examples.add(LOCAL, new, at=scene.clock.now())
    return example.id


async def listed(scene: Scene) -> list[dict[str, str]]:
    reply = await scene.app.handle_read_only(scene.event(CommandInvoked("examples"), key="list"))
    assert isinstance(reply, Listing)
    return [{fact.name: fact.value for fact in line.facts} for line in reply.lines]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_row_of_any_form_is_listed_shown_and_edited(scene: Scene, row: Row) -> None:
    number = await kept(scene, row)

    (cells,) = await listed(scene)
    for action in ("show", "revisions", "similar", "edit", "lineage"):
        event = scene.event(ButtonClicked(f"example.{action}:{number}"), key=action)
        reply = await scene.app.handle_read_only(event)
        assert type(reply).__name__ != "Refused", reply

    assert cells["answer"]
    assert cells["rejected"] == ("No idea." if "input" in row else "")


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_an_erased_row_of_any_form_is_listed_and_shown(scene: Scene, row: Row) -> None:
    number = await kept(scene, row)
    async with scene.store.writing() as records:
        await records.examples.erase(LOCAL, [number])

    (cells,) = await listed(scene)
    shown = await scene.app.handle_read_only(
        scene.event(ButtonClicked(f"example.show:{number}"), key="show")
    )

    assert (cells["question"], cells["answer"], cells["rejected"]) == ("", "", "")
    assert isinstance(shown, Card)


def test_each_text_of_a_preference_keeps_its_place_beside_a_part_without_text() -> None:
    texts = readable_texts(ROWS["preference in parts"])

    assert texts == {
        "question": "What is this?",
        "preferred": "What is this?",
        "rejected": "No idea.",
    }
    assert editable_texts(ROWS["preference in parts"]) == {"rejected": "No idea."}


async def test_an_import_tells_of_an_unknown_key_and_takes_the_other_rows(scene: Scene) -> None:
    good = {"messages": [{"role": "user", "content": "Hi"}, ANSWER]}
    bad = [
        {"messages": [{"role": "user", "content": "Hi", name: 1}, ANSWER]}
        for name in ("key", "line", "code", "self", "{key}", "details")
    ]
    lines = [json.dumps(row) for row in (*bad, good, ROWS["image and text"])]
    path = scene.folder / "rows.jsonl"
    path.write_text("\n".join(lines))

    await scene.command(f"import {path} yes")

    assert len(await scene.examples()) == 2
    assert "“key”" in await scene.last()
