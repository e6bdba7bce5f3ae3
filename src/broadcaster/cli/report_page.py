"""A report as one HTML page that needs nothing else: no script, nothing from elsewhere, nobody's address.

It is read on a phone, in the dark, by a screen reader and on paper: the numbers stand beside each picture, and run the
way the organisation's own language does.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Final

from markupsafe import Markup, escape

from broadcaster import drawing
from broadcaster import language as tags
from broadcaster.catalogue import Catalogue
from broadcaster.cli.report_speech import Speech, rounded
from broadcaster.cli.report_told import Picture, Row, Section, heading, meaning, sections
from broadcaster.cli.say import clean
from broadcaster.report import Report

# Colours by day and by night: each has a contrast of 3:1 at least with the ground of its bars, letters 4.5:1.
_DAY: Final = (
    "--paper:#fff;--ink:#1d2327;--soft:#50575e;--rule:#c9ced3;--ground:#eceff2;--accepted:#1a7f4e;--failed:#b3261e;"
    "--open:#9a6700;--unsent:#6e7781;--leave:#2b6cb0;--mark:#7a3fa0"
)
_NIGHT: Final = (
    "--paper:#14181b;--ink:#e6e9ec;--soft:#b0b8bf;--rule:#3d444b;--ground:#262c31;--accepted:#4cc38a;--failed:#ff8a80;"
    "--open:#e3b341;--unsent:#949da6;--leave:#7ab8ff;--mark:#d2a8ff"
)
STYLE: Final = f"""
:root{{color-scheme:light dark;{_DAY}}}
@media (prefers-color-scheme:dark){{:root{{{_NIGHT}}}}}
*{{box-sizing:border-box}}
html{{background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}}
body{{max-width:52rem;margin:0 auto;padding:1.5rem 1rem 3rem;overflow-wrap:anywhere}}
h1{{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem}}
h2{{font-size:1.15rem;margin:0 0 .5rem}}
p{{margin:.35rem 0}}
header p,.note,.ends,figcaption,caption{{color:var(--soft)}}
.note,.ends,figcaption,.legend{{font-size:.875rem}}
section{{margin-top:2.25rem}}
.rehearsal{{display:inline-block;border:2px solid var(--mark);color:var(--mark);font-weight:600;padding:0 .5rem;
border-radius:.25rem}}
h2 .rehearsal{{font-size:.75rem;border-width:1px;margin-inline-start:.4rem}}
dl{{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.75rem;margin:0}}
dl div{{border:1px solid var(--rule);border-radius:.375rem;padding:.5rem .75rem}}
dt{{color:var(--soft);font-size:.875rem}}
dd{{margin:0}}
dd.number{{font-size:1.5rem;line-height:1.3;font-variant-numeric:tabular-nums}}
.table{{overflow-x:auto}}
table{{border-collapse:collapse;width:100%;font-size:.9375rem}}
th,td{{padding:.35rem .5rem;border-bottom:1px solid var(--rule);text-align:start;vertical-align:top}}
th:first-child{{padding-inline-start:0}}
td:last-child,th:last-child{{padding-inline-end:0}}
thead th{{color:var(--soft);font-weight:600;font-size:.8125rem;vertical-align:bottom;overflow-wrap:normal}}
tbody th{{font-weight:400;width:45%;min-width:8rem}}
.n{{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap;overflow-wrap:normal}}
thead .n{{white-space:normal}}
.n+:not(.n){{padding-inline-start:1.5rem}}
.wide tbody th{{width:auto}}
svg{{display:block;width:100%}}
svg.bar{{height:.5rem;margin-top:.2rem}}
svg.columns{{height:9rem;border-bottom:1px solid var(--soft)}}
figure{{margin:0 0 1rem}}
.ends{{display:flex;justify-content:space-between;gap:1rem}}
.ground{{fill:var(--ground)}}
.accepted{{fill:var(--accepted)}}
.failed,.hard{{fill:var(--failed)}}
.open,.soft{{fill:var(--open)}}
.unsent,.unknown{{fill:var(--unsent)}}
.complaint{{fill:var(--mark)}}
.unsubscribe{{fill:var(--leave)}}
.line{{stroke:var(--ink);stroke-width:2;vector-effect:non-scaling-stroke}}
.grid{{stroke:var(--rule);stroke-width:1;vector-effect:non-scaling-stroke}}
.legend{{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding:0;margin:.25rem 0 .75rem}}
.legend li{{display:flex;align-items:center;gap:.4rem}}
.legend svg{{width:.8rem;height:.8rem;flex:none}}
footer{{margin-top:2.5rem;padding-top:.75rem;border-top:1px solid var(--rule)}}
@media (max-width:34rem){{table{{font-size:.875rem}}th,td{{padding:.35rem .3rem}}tbody th{{min-width:7rem}}}}
@media print{{:root{{color-scheme:light;{_DAY}}}
html{{font-size:10pt}}body{{max-width:none;padding:0}}th,td{{padding-block:.2rem}}svg.columns{{height:7rem}}
figure,.table,tr,dl div{{break-inside:avoid}}
h2{{break-after:avoid}}section{{margin-top:1.25rem}}.table{{overflow:visible}}
svg,.rehearsal{{-webkit-print-color-adjust:exact;print-color-adjust:exact}}@page{{margin:16mm}}}}
"""


_UNITS: Final = {"d": "day", "h": "hour", "min": "minute", "s": "second"}


class PageSpeech(Speech):
    """In the organisation's language, as markup. What is in no catalogue is said in English, and marked as that."""

    def __init__(self, zone: str | None, tag: str, local: Callable[[int], datetime], words: Catalogue) -> None:
        super().__init__(zone)
        self.tag = tag
        self.rtl = tags.direction(tag) == "rtl"
        self._local = local
        self._words = words

    def words(self, text: str, **given: str) -> str:
        said = self._words.said(text)
        spoken = Markup(escape(said or text))  # noqa: S704 - escaped here
        # Markup's % escapes what is filled in
        filled = spoken % given if given else Markup(spoken.replace("%%", "%"))  # noqa: S704
        if said is not None or self.tag.split("-")[0] == "en":
            return filled
        return Markup('<span lang="en" dir="ltr">{}</span>').format(filled)

    def joined(self, parts: Iterable[str], by: str = " ") -> str:
        return Markup(escape(by)).join(parts)  # noqa: S704

    def number(self, value: float) -> str:
        return tags.number(value if isinstance(value, int) else round(value, 1), self.tag)

    def percent(self, share: float | None) -> str:
        if share is None:
            return ""
        value, decimals = rounded(share)
        return tags.percent(value / 100, self.tag, decimals)

    def moment(self, at: int) -> str:
        return self._isolated(tags.moment(self._local(at), self.tag))

    def day(self, day: date) -> str:
        return self._isolated(tags.date(day, self.tag))

    def span(self, seconds: float) -> str:
        words = super().span(seconds).split()
        parts = zip(words[::2], words[1::2], strict=True)
        return self.joined(self._duration(int(number), unit) for number, unit in parts)

    def _duration(self, number: int, unit: str) -> str:
        # what CLDR does not know of a language, its catalogue may
        said = self._words.said(unit)
        if said is not None:
            return self.joined([tags.number(number, self.tag), said])
        return tags.duration(number, _UNITS[unit], self.tag)

    def language(self, tag: str) -> str:
        return tags.name(tag, self.tag) if tag else ""

    def foreign(self, text: str) -> str:
        return self._isolated(clean(text))

    def technical(self, text: str) -> str:
        return Markup('<bdi dir="ltr">{}</bdi>').format(clean(text))

    @staticmethod
    def _isolated(text: str) -> str:
        return Markup("<bdi>{}</bdi>").format(text)


def page(report: Report, speech: PageSpeech, organisation: str) -> str:
    """The whole page."""
    of = report.of
    title = speech.words("Mailing %(number)s: %(name)s", number=f"{of.id}", name=speech.foreign(of.statement))
    name = _plain(title) + (f" ({_plain(speech.words('rehearsal'))})" if of.rehearsal else "")
    body = [
        Markup("<header>\n<p>{}</p>\n<h1>{}</h1>\n").format(speech.foreign(organisation), title),
        *_heading(report, speech),
        Markup("</header>\n<main>\n"),
        *(_section(each, report, speech) for each in sections(report, speech)),
        Markup("</main>\n<footer>\n"),
        *(Markup('<p class="note">{}</p>\n').format(line) for line in meaning(speech)),
        Markup("</footer>\n"),
    ]
    allowed = f"default-src 'none'; style-src 'sha256-{_digest(STYLE)}'; base-uri 'none'; form-action 'none'"
    return Markup(
        '<!doctype html>\n<html lang="{tag}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        '<meta name="robots" content="noindex">\n<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n'
        "{body}</body>\n</html>\n"
    ).format(
        tag=speech.tag,
        direction="rtl" if speech.rtl else "ltr",
        allowed=allowed,
        title=name,
        style=Markup(STYLE),  # noqa: S704 - our own
        body=Markup("").join(body),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plain(text: str) -> str:
    """What was said, where there is no place for markup."""
    return str(Markup(text).striptags()) if isinstance(text, Markup) else text  # noqa: S704


def _heading(report: Report, speech: PageSpeech) -> Iterable[Markup]:
    for place, line in enumerate(heading(report, speech)):
        marked = report.of.rehearsal and place == 0
        shown = Markup('<strong class="rehearsal">{}</strong>').format(line) if marked else line
        yield Markup("<p>{}</p>\n").format(shown)


def _section(of: Section, report: Report, speech: PageSpeech) -> Markup:
    mark = Markup(' <span class="rehearsal">{}</span>').format(speech.words("rehearsal")) if report.of.rehearsal else ""
    parts = [Markup('<section aria-labelledby="{0}">\n<h2 id="{0}">{1}{2}</h2>\n').format(of.key, of.title, mark)]
    if of.picture is not None:
        parts.append(_figure(of, of.picture, speech))
    used = {kind for row in of.rows for kind, _ in row.bar}
    if of.legend and (of.picture is not None or len(used) > 1):
        parts.append(_legend([each for each in of.legend if of.picture is not None or each[0] in used]))
    if of.rows:
        parts.append(_tiles(of.rows) if of.key == "summary" else _table(of, speech))
    parts += [Markup('<p class="note">{}</p>\n').format(note) for note in of.notes]
    return Markup("").join([*parts, Markup("</section>\n")])


def _figure(around: Section, of: Picture, speech: PageSpeech) -> Markup:
    drawn = drawing.columns(
        of.columns, around.key, title=_plain(of.title), describes=_plain(of.describes), rtl=speech.rtl
    )
    most = speech.words("most: %(number)s", number=of.most)
    caption = most if around.title == of.title else speech.joined([of.title, most], by=" · ")
    first, last = of.ends
    ends = [first, last] if first != last else [first]
    return Markup(
        '<figure>\n<figcaption>{}</figcaption>\n{}\n<div class="ends" aria-hidden="true">{}</div>\n</figure>\n'
    ).format(
        caption,
        Markup(drawn),  # noqa: S704 - shapes, and texts that are escaped there
        Markup("").join(Markup("<span>{}</span>").format(end) for end in ends),
    )


def _legend(of: Sequence[tuple[str, str]]) -> Markup:
    items = (
        Markup("<li>{}{}</li>").format(Markup(drawing.bar([(kind, 1.0)])), label)  # noqa: S704
        for kind, label in of
    )
    return Markup('<ul class="legend">{}</ul>\n').format(Markup("").join(items))


def _tiles(rows: Sequence[Row]) -> Markup:
    """The figures that are looked for first."""
    tiles = (
        Markup('<div><dt>{}</dt><dd class="number">{}</dd>{}</div>\n').format(
            label, number, Markup("<dd>{}</dd>").format(share) if share else ""
        )
        for label, number, share in (row.cells for row in rows)
    )
    return Markup("<dl>\n{}</dl>\n").format(Markup("").join(tiles))


def _table(of: Section, speech: PageSpeech) -> Markup:
    def kind(place: int) -> Markup:
        return Markup("") if place in of.texts else Markup(' class="n"')

    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(kind(place) if place else "", column)
        for place, column in enumerate(of.columns)
    )
    rows = []
    for row in of.rows:
        drawn = drawing.bar(row.bar, row.lines, rtl=speech.rtl) if row.bar or row.lines else ""
        cells = Markup("").join(
            Markup("<td{}>{}</td>").format(kind(place), cell) for place, cell in enumerate(row.cells[1:], start=1)
        )
        rows.append(
            Markup('<tr><th scope="row">{}{}</th>{}</tr>\n').format(
                row.cells[0],
                Markup(drawn),  # noqa: S704 - shapes alone
                cells,
            )
        )
    wide = Markup(' class="wide"') if len(of.columns) > 5 else ""
    # what is wider than a phone is moved by keyboard, too
    return Markup(
        '<div class="table" role="region" tabindex="0" aria-labelledby="{}">\n<table{}>\n<thead><tr>{}</tr></thead>\n'
        "<tbody>\n{}</tbody>\n</table>\n</div>\n"
    ).format(of.key, wide, head, Markup("").join(rows))
