"""The table of an evaluation: a row for each question, a column for each model; cards on phones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from nicegui import events as browser
from nicegui import ui

from adapters.studio.page_session import PageSession
from adapters.studio.reply_drawing import facts_by_name
from adapters.studio.safe_html import js_string
from adapters.studio.word_differences import split_by_difference
from bot.replies import ListingRow

Act = Callable[[str], Awaitable[None]]

_IS_PHONE = "Quasar.Screen.lt.md"
_TEXT = """<span class="answer-text"><template v-for="part in CELL.parts"
><mark v-if="part[1]" :title="MARKED">{{ part[0] }}</mark
><template v-else>{{ part[0] }}</template></template></span>"""
_SCORE = """<span class="pill" :class="CELL.tone">{{ CELL.score }}</span>"""
_BUTTONS = """<span class="sheet-buttons"><q-btn v-for="one in props.row.buttons" :key="one.action"
 :label="one.label" no-caps dense outline size="sm" :aria-label="one.label + ', ' + props.row.id"
 @click.stop="$parent.$emit('act', one.action)"></q-btn></span>"""
_ASKED = """<button type="button" class="row-open answer-text"
 @click.stop="$parent.$emit('open', props.row.id)">{{ props.row.asked }}</button>
<span class="fine" v-if="props.row.note">{{ props.row.note }}</span>"""
_CELL = f"""<q-td :props="props"><div class="answer-cell" v-if="props.value">
{_TEXT}{_SCORE}</div></q-td>""".replace("CELL", "props.value")
_QUESTION = f"""<q-td :props="props"><div class="answer-cell">{_ASKED}{_BUTTONS}</div></q-td>"""
_TAUGHT = """<q-td :props="props"><div class="answer-cell"><span class="answer-text">
{{ props.value }}</span></div></q-td>"""
_CARD = f"""<div class="example-item"><div class="example-card"><div class="example-body">
<div class="example-question">#{{{{ props.row.id }}}} {_ASKED}</div>
<div class="fine">{{{{ TAUGHT }}}}</div><div class="answer-text">{{{{ props.row.taught }}}}</div>
<template v-for="who in props.row.names" :key="who.key"><template v-if="props.row[who.key]">
<div class="fine">{{{{ who.name }}}} {_SCORE.replace("CELL", "props.row[who.key]")}</div>
<div class="answer-text">{_TEXT.replace("CELL", "props.row[who.key]")}</div>
</template></template>{_BUTTONS}</div></div></div>"""
_GOOD, _BAD = 0.7, 0.3


def draw_table(session: PageSession, names: Sequence[str], *, act: Act, opened: Act) -> ui.table:
    """Draws an empty table, to be filled with `table_rows`; `names` are the contenders in order."""
    say = session.translate
    columns = [
        {"name": "asked", "label": say("part.question"), "field": "asked", "align": "left"},
        {"name": "taught", "label": say("evaluation.taught"), "field": "taught", "align": "left"},
        *(
            {"name": f"told{index}", "label": name, "field": f"told{index}", "align": "left"}
            for index, name in enumerate(names)
        ),
    ]

    async def on_act(event: browser.GenericEventArguments) -> None:
        await act(str(event.args))

    async def open_row(event: browser.GenericEventArguments) -> None:
        await opened(str(event.args))

    table = ui.table(columns=columns, rows=[], row_key="id")
    table.props(f'flat :rows-per-page-options="[0]" hide-pagination :grid="{_IS_PHONE}"')
    table.classes("w-full sheet")
    difference, taught = (
        js_string(say("studio.differs")),
        js_string(say("evaluation.taught")),
    )
    table.add_slot("body-cell-asked", _QUESTION)
    table.add_slot("body-cell-taught", _TAUGHT)
    for index in range(len(names)):
        table.add_slot(f"body-cell-told{index}", _CELL.replace("MARKED", difference))
    table.add_slot("item", _CARD.replace("MARKED", difference).replace("TAUGHT", taught))
    table.on("act", on_act)
    table.on("open", open_row)
    return table


def table_rows(lines: Sequence[ListingRow], names: Sequence[str]) -> list[dict[str, object]]:
    """Returns the table's rows by column."""
    return [_row(line, names) for line in lines]


def _row(line: ListingRow, names: Sequence[str]) -> dict[str, object]:
    facts = facts_by_name(line)
    taught = facts.get("taught", "")
    cells = {f"told{index}": _cell(facts, index, taught) for index in range(len(names))}
    return {
        "id": line.id,
        "asked": line.text,
        "note": line.note,
        "taught": taught,
        "names": [{"key": f"told{index}", "name": name} for index, name in enumerate(names)],
        "buttons": [{"label": one.label, "action": one.action} for one in line.buttons],
        **cells,
    }


def _cell(facts: dict[str, str], index: int, taught: str) -> dict[str, object] | None:
    text = facts.get(f"answer.{index}")
    if text is None:
        return None
    score = facts.get(f"score.{index}")
    return {
        # A tuple, as NiceGUI observes every list in the rows for changes, which is slow.
        "parts": tuple(split_by_difference(text, taught)),
        "score": score or facts.get(f"state.{index}", ""),
        "tone": _tone(score),
    }


def _tone(score: str | None) -> str:
    if score is None:
        return ""
    return "good" if float(score) >= _GOOD else "bad" if float(score) < _BAD else ""
