"""Self-contained pages out of small blocks: `page(title, [section(...), ...])`. No request ever leaves a page.

Every block escapes its text; what blocks return is `Markup` and is not escaped again.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from markupsafe import Markup, escape

from dictamen.evaluation.bootstrap import Estimate

Cell = str | float | int | bool | Markup | Estimate | None

RESEARCH_USE = "For research only. Not a medical device: not for diagnosis or treatment."
UNDEFINED = "–"


def section(title: str, *body: str, lead: str = "") -> Markup:
    """A section with a heading, a sentence that says what is seen, and blocks."""
    introduction = Markup('<p class="lead">{}</p>').format(lead) if lead else Markup()
    return Markup("<section><h2>{}</h2>{}{}</section>").format(title, introduction, _join(body))


def subsection(title: str, *body: str) -> Markup:
    """A smaller heading with blocks."""
    return Markup("<h3>{}</h3>{}").format(title, _join(body))


def paragraph(text: str, *, muted: bool = False) -> Markup:
    """A paragraph; `muted` for notes."""
    return Markup('<p class="note">{}</p>' if muted else "<p>{}</p>").format(text)


def table(
    rows: Sequence[Mapping[str, Cell]],
    *,
    caption: str = "",
    sortable: bool = False,
    headings: Mapping[str, str] | None = None,
) -> Markup:
    """A table: keys are columns, an `Estimate` becomes "0.71 [0.60, 0.80]", None and nan a dash.

    Args:
        rows: all columns of all rows are shown, in order of appearance.
        caption: what the table shows.
        sortable: a click on a heading sorts.
        headings: column -> words to show instead of the key.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = {column for column in columns if any(_is_number(row.get(column)) for row in rows)}
    head = _join(
        Markup('<th scope="col"{}>{}</th>').format(
            Markup(' class="number"') if column in numeric else "",
            Markup('<button type="button">{}</button>').format((headings or {}).get(column, column))
            if sortable
            else (headings or {}).get(column, column),
        )
        for column in columns
    )
    body = _join(
        Markup("<tr>{}</tr>").format(_join(_cell(row.get(c), number=c in numeric) for c in columns)) for row in rows
    )
    title = Markup("<caption>{}</caption>").format(caption) if caption else Markup()
    kind = Markup(' class="sortable"') if sortable else Markup()
    return Markup(
        '<div class="scroll" tabindex="0"><table{}>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(kind, title, head, body)


def figure(png: bytes, caption: str = "", *, alt: str = "") -> Markup:
    """A picture inside the page.

    Args:
        png: its bytes.
        caption: below it.
        alt: for those who can't see it; by default the caption.
    """
    data = base64.b64encode(png).decode("ascii")
    words = Markup("<figcaption>{}</figcaption>").format(caption) if caption else Markup()
    return Markup('<figure><img src="data:image/png;base64,{}" alt="{}" loading="lazy">{}</figure>').format(
        data, alt or caption, words
    )


def cards(values: Mapping[str, Cell]) -> Markup:
    """Key numbers side by side."""
    return Markup('<dl class="cards">{}</dl>').format(
        _join(
            Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, _card_value(value))
            for name, value in values.items()
        )
    )


def columns(*blocks: str) -> Markup:
    """Blocks side by side where the window is wide enough."""
    return Markup('<div class="columns">{}</div>').format(
        _join(Markup("<div>{}</div>").format(block) for block in blocks)
    )


def legend(entries: Mapping[str, tuple[str, str]]) -> Markup:
    """What the lines and colours of pictures mean: words -> (class of a mark in the style sheet, symbol)."""
    return Markup('<p class="legend">{}</p>').format(
        _join(
            Markup('<span class="{}">{}</span> {} ').format(css, symbol, words)
            for words, (css, symbol) in entries.items()
        )
    )


def details(summary: str, *body: str) -> Markup:
    """Blocks that are shown on a click."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, _join(body))


def notice(*lines: str) -> Markup:
    """Warnings, set apart."""
    return Markup('<ul class="notice">{}</ul>').format(_join(Markup("<li>{}</li>").format(line) for line in lines))


def page(title: str, sections: Sequence[str], *, subtitle: str = "") -> str:
    """The whole page: style and script inside, and a policy that forbids everything else."""
    from jinja2 import Environment, StrictUndefined

    style, script = _asset("page.css"), _asset("sort.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_asset("report.html.j2")).render(
        title=title,
        subtitle=subtitle,
        sections=[Markup(block) for block in sections],
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        research_use=RESEARCH_USE,
    )


def format_value(value: Cell, *, digits: int = 2) -> str:
    """Text of a cell: numbers with few digits, estimates with their interval, a dash where undefined."""
    if isinstance(value, Estimate):
        interval = "" if math.isnan(value.lo) else f" [{value.lo:.{digits}f}, {value.hi:.{digits}f}]"
        return UNDEFINED if math.isnan(value.value) else f"{value.value:.{digits}f}{interval}"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNDEFINED
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def _cell(value: Cell, *, number: bool) -> Markup:
    kind = Markup(' class="number"') if number else Markup()
    sort = Markup(' data-sort="{}"').format(_sort_key(value)) if number else Markup()
    title = Markup(' title="n = {}"').format(value.n) if isinstance(value, Estimate) else Markup()
    text = value if isinstance(value, Markup) else format_value(value)
    return Markup("<td{}{}{}>{}</td>").format(kind, sort, title, text)


def _card_value(value: Cell) -> Markup:
    if isinstance(value, Estimate) and not math.isnan(value.lo):
        return Markup("{} <small>{:.2f} to {:.2f}</small>").format(f"{value.value:.2f}", value.lo, value.hi)
    return escape(format_value(value))


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float | Estimate) and not isinstance(value, bool)


def _sort_key(value: Cell) -> float | str:
    number = value.value if isinstance(value, Estimate) else value
    return "" if not isinstance(number, int | float) or math.isnan(number) else float(number)


def _join(blocks: Iterable[str]) -> Markup:
    return Markup().join(block if isinstance(block, Markup) else escape(block) for block in blocks)


@cache
def _asset(name: str) -> str:
    return files("dictamen.evaluation").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing but our own style, script and embedded pictures."""
    own = f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return f"default-src 'none'; img-src data:; {own}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
