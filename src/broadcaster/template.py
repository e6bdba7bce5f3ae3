"""Statement and layouts → merge template: all that is the same for everyone happens here, once per language.

What reads the recipient is put aside under sentinels, Markdown and layouts are rendered, styles are
written into the elements, and the sentinels become Jinja again, each escaped for its place. The only home of
Jinja's loader.
"""

from __future__ import annotations

import difflib
import html
import re
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from broadcaster import bidi, bulk, catalogue, inlining, markdown, markup, pictures, plaintext
from broadcaster import language as tags
from broadcaster.contrast import completed
from broadcaster.deferral import STAND_IN, Deferral
from broadcaster.errors import StatementError
from broadcaster.merge import ROOTS, MergeTemplate
from broadcaster.page import deepest, line_of, nested
from broadcaster.reads import reads
from broadcaster.restoration import Restoration
from broadcaster.sentinel import Kind, Sentinels
from broadcaster.slips import near, plain_words, told
from broadcaster.statement import refuse_untyped

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.nodes import EvalContext
    from markdown_it.token import Token

    from broadcaster.sandbox import Sandbox
    from broadcaster.statement import Part

__all__ = ["MergeTemplate", "lay_out"]

# what a layout reads that is the same for everyone
_NAMES: Final = ("statement", "sender", "theme", "language", "direction", "start", "end", "numerals")
# what a parser of HTML still reads
_DEEP: Final = 250
_OWN_FIELDS: Final = ("email", "name", "language", "timezone")
# lines of a text part that programs read: what is above a signature
_MARKS: Final = frozenset(["-- ", "--"])
# what no mail may hold (RFC 2045 §2.7), a line end but that of a text; and our own marks, which a value may not forge
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_UNPRINTED: Final = re.compile(f"{_CONTROL.pattern}|[\ufdd0-\ufdef]")
_GAP: Final = re.compile(r"%\((\w+)\)s")


def lay_out(
    part: Part,
    *,
    language: str,
    layouts: Mapping[str, str],
    settings: Mapping[str, Mapping[str, str]],
    known: frozenset[str],
) -> MergeTemplate:
    """Lay a part out. `layouts` is path below templates/ → text, the words of locale/LANG.po among them.

    `settings` has "sender" (name, address, postal_address, each in this language) and "theme". `known` is every custom
    field that any subscriber has. Raises StatementError with file, line and a way out.
    """
    return _LayOut(part, language, layouts, settings, known).merged()


class _Sealed(str):
    """Text in which the recipient is still a sentinel: it can be put anywhere, but not be looked into."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True

    def __getattribute__(self, name: str) -> Any:
        return str.__getattribute__(self, name) if name.startswith("_") else self._refuse()

    def _refuse(self, *_args: object) -> Any:
        raise StatementError(
            "a text that reads the recipient cannot be changed or compared before anybody is known",
            hint="put it there as it is, without filters and comparisons",
        )

    __len__ = __iter__ = __getitem__ = __contains__ = __eq__ = __ne__ = __add__ = __mul__ = __mod__ = _refuse
    __hash__ = str.__hash__


class _Body(_Sealed):
    """The statement's own text, laid in as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


class _LayOut:
    """One part on its way to a merge template."""

    def __init__(
        self,
        part: Part,
        language: str,
        layouts: Mapping[str, str],
        settings: Mapping[str, Mapping[str, str]],
        known: frozenset[str],
    ) -> None:
        from broadcaster import sandbox
        from broadcaster.reach import Reach

        self._part = part
        self._known = known
        self._layouts = layouts
        self._remarks: list[str] = []
        self._constants: list[str] = []
        self._images: list[str] = []
        self._open_keys: list[str] = []  # of the heading, each read by the one before
        self._sentinels = Sentinels([part.subject, part.preheader, part.body, *part.attachments, *layouts.values()])
        self._merging = sandbox.for_merging(language)
        self._deferral = Deferral(self._sentinels, Reach(self._merging, known).check)
        self._restoration = Restoration(self._sentinels, self._deferral, part.file)
        self._direction = tags.direction(language)
        self._language = language
        start, end = ("right", "left") if self._direction == "rtl" else ("left", "right")
        self._globals: dict[str, Any] = {
            "language": language,
            "direction": self._direction,
            "start": start,
            "end": end,
            "numerals": tags.counter(language),
            "sender": sandbox.Record(settings.get("sender", {})),
            "theme": sandbox.Fields(completed(settings.get("theme", {}))),
            "statement": sandbox.Told(self._facts(), self._written(), self._heading),
            "isolated": self._isolating(),
            STAND_IN: self._deferral.stand_in,
            **self._words(),
        }
        # what the texts of one language spend, they spend together: each could read the next
        self._prose = sandbox.for_lay_out(self._load, self._globals, finalize=self._kept, language=language)
        self._pages = sandbox.for_lay_out(self._load, self._globals, pages=True, language=language)

    def merged(self) -> MergeTemplate:
        part, statement = self._part, self._globals["statement"]
        statement.read_all()
        statement["title"] = statement.get("title", statement["subject"])
        tokens = self._tokens()
        bidi.isolate(tokens, self._direction, self._sentinels)
        parts = markdown.parted(tokens)
        folder = part.file.rpartition("/")[0]
        pages = [markdown.to_html(each, lambda number: tags.digits(number, self._language)) for each in parts]
        told = [self._pictured(self._said(each, html.escape), folder) for each in pages]
        page = self._pictured(self._laid_in("html", told), "templates")
        plain = plaintext.to_texts(parts, language=self._language, sentinels=self._sentinels)
        text = self._ordered("txt", [self._said(each, str) for each in plain])
        attachments, enclosures = self._files()
        return MergeTemplate(
            file=part.file,
            language=self._language,
            direction=self._direction,
            subject=self._restoration.line(bidi.ordered(str(statement["subject"]), self._direction, self._sentinels)),
            preheader=self._restoration.line(str(statement["preheader"])),
            html=self._restoration.html(self._inlined(page).strip() + "\n"),
            text=self._restoration.text(text.strip("\n") + "\n"),
            attachments=attachments,
            enclosures=enclosures,
            images=tuple(dict.fromkeys(self._images)),
            remarks=tuple(dict.fromkeys(self._remarks)),
        )

    # what is known before the recipient is

    def _facts(self) -> dict[str, str]:
        date = tags.date(self._part.date, self._language) if self._part.date else ""
        return {"language": self._language, "date": date}

    def _written(self) -> dict[str, str]:
        """The keys of the heading whose text is a template, and may read the others."""
        part = self._part
        return {"subject": part.subject, "preheader": part.preheader, **part.extra}

    def _words(self) -> dict[str, Callable[..., str]]:
        """gettext's functions over locale/LANG.po; what is not there is said in English."""
        paths = [f"locale/{tag}.po" for tag in (self._language, self._language.partition("-")[0])]
        path = next((path for path in paths if path in self._layouts), "")
        text = self._layouts.get(path, "")
        if not text and not self._language.startswith("en"):
            self._remarks.append(f"templates/locale/ has no words for {self._language}: the footer is in English")
        words = catalogue.read(text, f"templates/{path}", self._language)

        def noted(lacking: str) -> None:
            """A word that the catalogue lacks is told to the author, once."""
            if text and not self._language.startswith("en"):
                self._remarks.append(f"templates/locale/ has no {self._language} words for “{lacking}”")

        def gettext(text: str, **values: Any) -> str:
            if (said := words.said(text)) is None:
                noted(text)
            return _filled(text if said is None else said, values)

        def ngettext(one: str, many: str, number: int, **values: Any) -> str:
            if (said := words.said_of(number, one)) is None:
                noted(one)
                said = one if number == 1 else many
            return _filled(said, {"number": number, **values})

        return {"_": gettext, "gettext": gettext, "ngettext": ngettext}

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        """Jinja's loader: layouts come from a mapping, so no name leads out of templates/."""
        text = self._layouts.get(name)
        if text is None or name.startswith("locale/"):
            return None
        file = f"templates/{name}"
        refuse_untyped(text, file)
        return self._deferral.rewrite(text, file, self._pages), file, lambda: True

    # rendering

    def _heading(self, key: str, value: str) -> str:
        """A text of the heading, in one line. Raises StatementError where it reads itself."""
        if key in self._open_keys:
            raise StatementError(
                f"'{key}' reads itself"
                + (f", by way of '{self._open_keys[-1]}'" if self._open_keys[-1] != key else ""),
                where=self._part.where(key),
                hint="write out in one of them what it says",
            )
        self._open_keys.append(key)
        text = self._rendered(value, self._part.lines.get(key, 1))
        self._open_keys.pop()
        text = unicodedata.normalize("NFC", " ".join(self._said(text, str).split()))
        return _Sealed(text) if self._sentinels.any.search(text) else text

    def _isolating(self) -> Callable[..., str]:
        """What orders a text of the heading in HTML as the statement's own is. Lines of the text part are anyway."""
        from jinja2 import pass_eval_context

        @pass_eval_context
        def isolated(evaluation: EvalContext, text: object) -> str:
            if not evaluation.autoescape:
                return str(text)
            tokens = markdown.plain(str(text))
            bidi.isolate(tokens, self._direction, self._sentinels)
            return Markup(markdown.to_html(tokens))  # noqa: S704  escaped by the renderer

        return isolated

    def _files(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What everybody gets, and what one person alone does: names of the latter read the subscriber."""
        where = self._part.where("attachments")
        ours: list[str] = []
        theirs: list[str] = []
        for source in self._part.attachments:
            name = source
            if "{" in source:
                name = self._said(self._rendered(source, self._part.lines.get("attachments", 1)), str).strip()
            name = unicodedata.normalize("NFC", name)
            if not self._sentinels.any.search(name):
                ours += [name] if name else []
                continue
            name = self._restoration.file_name(name)
            found = reads(name)
            if found.links or found.lists:
                raise StatementError(
                    f"{source!r} reads more than the subscriber", where=where, hint="a name can read subscriber.* alone"
                )
            theirs.append(name)
        bare = [name.rpartition("/")[2] for name in ours]
        if twice := next((name for name in bare if bare.count(name) > 1), ""):
            raise StatementError(f"two attachments are called {twice!r}", where=where, hint="rename one of the files")
        return tuple(ours), tuple(theirs)

    def _pictured(self, page: str, folder: str) -> str:
        """The page with images of the workspace under names that are settled when it is frozen."""

        def own(source: str) -> bool:
            return self._sentinels.any.search(source) is not None

        page, found = pictures.laid_in(page, folder, own)
        self._images += found
        return page

    def _tokens(self) -> list[Token]:
        body = self._body()
        try:
            tokens = markdown.parse(body, self._sentinels)
        except StatementError as error:
            raise StatementError(error.message, where=self._line(error.where or ""), hint=error.hint) from None
        for token in tokens:
            written = [token, *(each for each in token.children or () if each.type == "html_inline")]
            source = "".join(each.content for each in written if each.type.startswith("html_"))
            if open_from := markup.left_open(source):
                raise _hiding(open_from, self._line(self._sentinels.any.split(open_from)[0].partition("\n")[0]))
        return tokens

    def _line(self, words: str) -> str:
        """The place of some words of the text, as errors name it."""
        return f"{self._part.file}:{line_of(self._part, re.escape(words)) or self._part.first_line}"

    def _body(self) -> str:
        return self._rendered(self._part.body, self._part.first_line).lstrip("\n")

    def _rendered(self, source: str, line: int) -> str:
        """A text of the statement with its constants kept aside. Empty lines before it keep the file's line numbers."""
        file = self._part.file
        rewritten = self._deferral.rewrite("\n" * (line - 1) + source, file, self._prose, prose=True)
        with self._translated(file):
            code = self._prose.compile(rewritten, None, file)
            text = self._whole(self._prose.template_class.from_code(self._prose, code, self._prose.globals).render())
            return _printable(text, _UNPRINTED)

    def _laid_in(self, kind: str, told: Sequence[str]) -> str:
        """The layout with the text and its footnotes. One that does not know footnotes has them below the text."""
        body, notes = told
        for stray in markup.strays(body):
            raise StatementError(
                f"{stray} closes what was not opened here: it would end a part of the layout",
                where=self._line(stray),
                hint="delete it, or open it before",
            )
        statement = self._globals["statement"]
        statement["body"], statement["notes"] = _Body(body), _Body(notes) if notes else ""
        page = self._page(kind)
        if notes not in page:
            statement["body"] = _Body(body + notes)
            page = self._page(kind)
        if body not in page:
            self._remarks.append(
                f"templates/{self._layout(kind)} does not show the text: it has no {{{{ statement.body }}}}"
            )
        return page

    def _ordered(self, kind: str, told: Sequence[str]) -> str:
        """A text part, whose lines of the layout are ordered as those of the text are."""
        own = {line for text in told for line in text.split("\n")}
        lines = self._laid_in(kind, told).split("\n")
        return "\n".join(
            line if line in own or line in _MARKS else bidi.ordered(line, self._direction, self._sentinels)
            for line in lines
        )

    def _page(self, kind: str) -> str:
        """The part in its layout."""
        name = self._layout(kind)
        with self._translated(f"templates/{name}"):
            page = self._whole(self._pages.get_template(name).render())
        self._remarks += _unseen(name, self._layouts, self._pages)
        return page

    def _layout(self, kind: str) -> str:
        """The file of the layout. One without a .txt of its own has statement.txt."""
        name = f"{self._part.layout}.{kind}"
        if name not in self._layouts and kind == "txt" and f"{self._part.layout}.html" in self._layouts:
            name = "statement.txt"
        if name not in self._layouts:
            there = sorted(each.removesuffix(".html") for each in self._layouts if each.endswith(".html"))
            raise StatementError(
                f"there is no layout templates/{name}",
                where=self._part.where("layout"),
                hint=f"there are {', '.join(there)}" if there else "put one into templates/",
            )
        return name

    def _whole(self, text: str) -> str:
        if self._sentinels.wounded(text):
            raise StatementError(
                "a filter has changed a text that reads the recipient",
                where=self._part.file,
                hint="put the filter inside the braces: {{ subscriber.name | upper }}",
            )
        return _printable(text, _CONTROL)

    def _kept(self, value: Any) -> Any:
        """Keep a constant from being read as Markdown. What is marked safe is prose: sentinels, macros, `| safe`."""
        if isinstance(value, Markup):
            return value
        self._constants.append(_printable(str(value), _UNPRINTED))
        return Markup(self._sentinels.make(Kind.CONSTANT, len(self._constants) - 1))  # noqa: S704  letters and digits

    def _said(self, text: str, escape: Callable[[str], str]) -> str:
        """Constants back at their place."""

        def constant(found: re.Match[str]) -> str:
            kind, number = self._sentinels.read(found[0])
            return escape(self._constants[number]) if kind is Kind.CONSTANT else found[0]

        return bulk.filled(self._sentinels.any, constant, text, where=self._part.file)

    @contextmanager
    def _translated(self, file: str) -> Iterator[None]:
        """Whatever goes wrong inside a template is an error of ours, with the line it went wrong in."""
        from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError

        try:
            yield
        except StatementError as error:
            raise (
                error if error.where else StatementError(error.message, where=_place(error, file), hint=error.hint)
            ) from None
        except TemplateSyntaxError as error:
            words, hint = told(error.message or "")
            raise StatementError(words, where=f"{error.filename or file}:{error.lineno}", hint=hint) from None
        except TemplateNotFound as error:
            raise StatementError(
                f"there is no templates/{error.name}", where=_place(error, file), hint="layouts lie in templates/"
            ) from None
        except RecursionError as error:
            raise StatementError("is nested too deep, or includes itself", where=file) from error
        except MemoryError as error:
            raise StatementError("takes too much memory", where=_place(error, file)) from None
        except Exception as error:
            message, _, hint = str(error).partition("\n")
            if isinstance(error, UndefinedError) and not hint:
                hint = self._named(message.rpartition(" ")[2])
            raise StatementError(plain_words(message), where=_place(error, file), hint=hint or None) from None

    def _named(self, name: str) -> str:
        """A hint for a name that nobody gave a meaning: a field without its subscriber, a text without its quotes."""
        fields = {each: f"subscriber.{each}" for each in (*_OWN_FIELDS, *sorted(self._known))}
        whole = {**fields, **{each: each for each in (*_NAMES, *ROOTS)}}
        found = difflib.get_close_matches(name, whole, n=1, cutoff=0.75)
        if found:
            return f"did you mean {whole[found[0]]}?"
        return f'a text stands in quotes, "{name}"; a field of a person is subscriber.{name}'

    # styles

    def _inlined(self, page: str) -> str:
        """The page with its styles written into its elements, and nothing else changed: else an error."""
        page = markup.named_characters(page).strip()
        self._restoration.check(page)
        file = f"templates/{self._part.layout}.html"
        inlining.bounded(page, file)
        if open_from := markup.left_open(page):
            raise _hiding(open_from, file)
        inlined, left = inlining.inlined(page, file)
        self._remarks += map(self._left, left)
        words, elements = markup.content(page)
        words_after, elements_after = markup.content(inlined)
        if words != words_after:
            if (depth := nested(page)) > _DEEP:
                place = deepest(self._part)
                raise StatementError(
                    f"elements are nested {depth} deep: writing styles into them loses text",
                    where=f"{place[0]}:{place[1]}" if place else file,
                    hint="close what was opened",
                )
            raise StatementError(
                f"writing styles into the elements loses text {_first_difference(words, words_after)}",
                where=file,
                hint="look for elements that are nested hundreds deep or never closed",
            )
        lost = [name for name, number in elements.items() if elements_after[name] < number and name not in _STYLES]
        if lost or self._sentinels.any.findall(page) != self._sentinels.any.findall(inlined):
            what = f"a <{lost[0]}>" if lost else "a value of the recipient"
            raise StatementError(
                f"writing styles into the elements loses {what}", where=file, hint="close every element"
            )
        return inlined

    def _left(self, selector: str) -> str:
        """A remark on a rule that stays in a <style>, with its place where a layout has it."""
        pattern = re.compile(r"\s*".join(map(re.escape, selector.split())))
        place = ""
        for name in (f"{self._part.layout}.html", "base.html"):
            if not place and (there := pattern.search(self._layouts.get(name, ""))):
                place = f"templates/{name}:{self._layouts[name].count(chr(10), 0, there.start()) + 1}: "
        return f"{place}{selector} depends on siblings, so it stays in <style>, which some programs drop: use a class"


def _unseen(name: str, layouts: Mapping[str, str], pages: Sandbox) -> Iterator[str]:
    """What of a layout Jinja leaves out without a word, because the layout that it extends has no place for it."""
    from jinja2 import nodes

    chain = [name]
    while (found := _EXTENDS.search(layouts[chain[-1]])) and found[1] in layouts and found[1] not in chain:
        chain.append(found[1])
    for place, file in enumerate(chain[:-1]):
        parent, tree = chain[place + 1], pages.parse(layouts[file])
        there = {block for above in chain[place + 1 :] for block in _BLOCK.findall(layouts[above])}
        extends = next((node.lineno for node in tree.body if isinstance(node, nodes.Extends)), None)
        for node in tree.body if extends else ():
            if isinstance(node, nodes.Block) and node.name not in there:
                yield f"templates/{file}:{node.lineno}: {parent} has no block {node.name} ({near(node.name, there)})"
            elif isinstance(node, nodes.Output) and node.lineno >= (extends or 0) and _says(node):
                yield f"templates/{file}:{_line(node)}: text outside of blocks is not shown: put it into one"


def _line(output: nodes.Output) -> int:
    """Where its first words are: a text begins right behind what is before it."""
    from jinja2 import nodes

    first = output.nodes[0]
    text = first.data if isinstance(first, nodes.TemplateData) else ""
    return output.lineno + text.count("\n", 0, len(text) - len(text.lstrip()))


def _says(output: nodes.Output) -> bool:
    """Whether anything but white space is printed."""
    from jinja2 import nodes

    return any(not isinstance(node, nodes.TemplateData) or node.data.strip() for node in output.nodes)


def _printable(text: str, refused: re.Pattern[str]) -> str:
    """The text. Raises StatementError for what no mail may hold: a template can write it as "\\x00"."""
    if found := refused.search(text):
        raise StatementError(f"prints a control character (U+{ord(found[0]):04X})", hint="take it out")
    return text


_STYLES: Final = frozenset(["style"])
_EXTENDS: Final = re.compile(r"""\{%[-+]?\s*extends\s+["']([^"']+)["']""")
_BLOCK: Final = re.compile(r"\{%[-+]?\s*block\s+(\w+)")


def _hiding(source: str, where: str) -> StatementError:
    begin = " ".join(source.split())[:40]
    return StatementError(
        f"“{begin}” is never closed: it hides all that follows, the way to leave too",
        where=where,
        hint="a comment ends with -->, a tag with > outside of quotes, a <title> with </title>",
    )


def _first_difference(before: str, after: str) -> str:
    at = next(
        (number for number, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), len(after)
    )
    return f"at {before[at : at + 40]!r}"


def _filled(text: str, values: Mapping[str, object]) -> str:
    """A sentence with its gaps filled, as gettext writes them: %(name)s."""
    return bulk.filled(_GAP, lambda found: str(values.get(found[1], found[0])), text)


def _place(error: BaseException, file: str) -> str:
    """The line of the innermost template that an error went through."""
    frames = [(each.f_code.co_filename, line) for each, line in traceback.walk_tb(error.__traceback__)]
    places = [f"{name}:{line}" for name, line in frames if name.endswith((".html", ".txt", ".md"))]
    return places[-1] if places else file
