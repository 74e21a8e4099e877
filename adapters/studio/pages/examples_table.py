"""The table of examples, with rows on wide windows and cards on phones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from nicegui import events as browser
from nicegui import ui

from adapters.studio.page_session import PageSession
from adapters.studio.reply_drawing import facts_by_name
from adapters.studio.safe_html import js_string
from bot.replies import ListingRow, Tone

Open = Callable[[str], Awaitable[None]]

_COLUMNS = ("question", "answer", "state", "origin", "authors", "tags")
_KEYS = {
    "question": "part.question",
    "answer": "part.answer",
    "rejected": "part.rejected",
}
_WIDTHS = {"id": "72px", "question": "30%", "answer": "auto", "rejected": "auto"}
_WIDTH = "104px"
_SORTABLE = ("id", "question", "state", "origin")
_OFTEN_EMPTY = ("authors", "tags")
_IS_PHONE = "Quasar.Screen.lt.sm"
_TONES = {Tone.GOOD: "good", Tone.BAD: "bad", Tone.BUSY: "busy"}

_EMIT_OPEN = "$parent.$emit('open', props.row.id)"
_STATE = """
<q-td :props="props"><span class="pill" :class="props.row.tone">{{ props.value }}</span></q-td>
"""
_TEXT = """
<q-td :props="props"><div class="clip">{{ props.value }}</div></q-td>
"""
_QUESTION = """
<q-td :props="props"><button type="button" class="row-open clip" @click.stop="OPENED">
{{ props.value || "…" }}</button></q-td>
""".replace("OPENED", _EMIT_OPEN)
_HEAD = """
<q-th :props="props" :aria-sort="props.col.arrow || 'none'"><button type="button" class="sorter"
@click="$parent.$emit('sort', props.col.name)">{{ props.col.label }}<q-icon v-if="props.col.arrow"
:name="props.col.arrow === 'ascending' ? 'arrow_upward' : 'arrow_downward'" /></button></q-th>
"""
_SELECT_ALL = """
<q-checkbox v-model="props.selected" :aria-label="LABEL" />
"""
_SELECT = """
<q-checkbox v-model="props.selected" :aria-label="LABEL + ' ' + props.row.id" @click.stop />
"""
_CARD = """
<div class="example-item"><div class="example-card" :class="props.selected ? 'chosen' : ''">
  <q-checkbox dense v-model="props.selected" :aria-label="LABEL + ' ' + props.row.id" />
  <div class="example-body">
    <button type="button" class="row-open example-question" @click="OPENED">
      {{ props.row.question || "…" }}</button>
    <div class="example-answer">{{ props.row.answer }}</div>
    <div class="example-answer rejected" v-if="props.row.rejected">{{ props.row.rejected }}</div>
    <div class="example-foot">
      <span class="pill" :class="props.row.tone">{{ props.row.state }}</span>
      <span class="fine">{{ props.row.small }}</span></div>
  </div>
</div></div>
""".replace("OPENED", _EMIT_OPEN)


def draw_table(
    session: PageSession,
    *,
    is_preferences: bool,
    selected: Callable[[browser.TableSelectionEventArguments], None],
    opened: Open,
    sort: Open,
) -> ui.table:
    """Draws an empty table, to be filled with `fill_table`."""

    async def open_row(event: browser.GenericEventArguments) -> None:
        await opened(str(event.args))

    async def sort_by(event: browser.GenericEventArguments) -> None:
        await sort(str(event.args))

    names = ["id", *_COLUMNS]
    if is_preferences:
        names.insert(3, "rejected")
    table = ui.table(
        columns=[_column(session, name) for name in names],
        rows=[],
        row_key="id",
        selection="multiple",
        on_select=selected,
    )
    table.props(f'flat :rows-per-page-options="[0]" hide-pagination :grid="{_IS_PHONE}"')
    table.classes("w-full examples")
    for slot, template in _slots(session).items():
        table.add_slot(slot, template)
    table.on("rowClick", open_row, js_handler="(event, row) => emit(row.id)")
    table.on("open", open_row)
    table.on("sort", sort_by)
    return table


def fill_table(table: ui.table, lines: Sequence[ListingRow], *, order: str) -> None:
    """Shows the rows; hides the columns of authors and tags if they are empty in all rows."""
    table.rows = table_rows(lines)
    for column in table.columns:
        name = column["name"]
        column["arrow"] = _arrow(name, order)
        if name in _OFTEN_EMPTY:
            is_empty = not any(row.get(name) for row in table.rows)
            column["classes"] = column["headerClasses"] = "hidden" if is_empty else ""
    table.selected = []
    table.update()


def _arrow(name: str, order: str) -> str:
    """Returns the value of aria-sort for a column, "" if the list is not sorted by it."""
    if name == "id":
        return {"": "descending", "oldest": "ascending"}.get(order, "")
    return "ascending" if name == order else ""


def table_rows(lines: Sequence[ListingRow]) -> list[dict[str, str]]:
    """Returns the table's rows by column."""
    return [_row(line) for line in lines]


def _row(line: ListingRow) -> dict[str, str]:
    facts = facts_by_name(line)
    facts_in_order = (
        f"#{line.id}",
        *(facts.get(name, "") for name in ("origin", "authors", "tags")),
    )
    small = " · ".join(part for part in facts_in_order if part)
    return {"id": line.id, "tone": _TONES.get(line.tone, ""), "small": small, **facts}


def _slots(session: PageSession) -> Mapping[str, str]:
    label_one, label_all = (
        js_string(session.translate(f"studio.select_{name}")) for name in ("one", "all")
    )
    return {
        **{f"header-cell-{name}": _HEAD for name in _SORTABLE},
        "header-selection": _SELECT_ALL.replace("LABEL", label_all),
        "body-selection": _SELECT.replace("LABEL", label_one),
        "item": _CARD.replace("LABEL", label_one),
        "body-cell-state": _STATE,
        "body-cell-question": _QUESTION,
        "body-cell-answer": _TEXT,
        "body-cell-rejected": _TEXT,
    }


def _column(session: PageSession, name: str) -> dict[str, object]:
    key = _KEYS.get(name, f"fact.{name}")
    label = "#" if name == "id" else session.translate(key)
    return {
        "name": name,
        "label": label,
        "field": name,
        "align": "left",
        **({"classes": "number"} if name == "id" else {}),
        "headerStyle": f"width: {_WIDTHS.get(name, _WIDTH)}",
    }
