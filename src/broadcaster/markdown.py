"""A statement's Markdown → tokens: CommonMark, tables and footnotes, with Jinja's tags as blocks of their own.

A tag alone on its line takes its paragraph, item or row with it: where its branch is not taken,
no empty paragraph, bullet or row is left. HTML and plain text are both made from these tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from broadcaster.errors import StatementError
from broadcaster.sentinel import Kind, Sentinels

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

_LISTS = ("bullet_list_open", "ordered_list_open")
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_LEAF = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]+")
DELIMITERS = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
# a cell that says a number, a time or a date, which no line should break
_FIGURE = re.compile(r"(?=[^\d]{0,3}\d)[\d\s.,:/%+()$€£٫٬٪–—-]{1,24}")
# so many columns fit a phone
_NARROW = 4
# Blocks in blocks: a list in a list is two. At a depth of its own the parser leaves out all that follows, without a
# word, so ours comes first.
_DEEPEST = 60
_BUTTON = '<table class="button" role="presentation" cellpadding="0" cellspacing="0" border="0">'
# what begins an item, a row, a heading or a quotation
_BLOCK = re.compile(r"(?:(?:[-*+]|\d{1,9}[.)]|#{1,6}|>)[ \t]|\|)")


def parse(source: str, sentinels: Sentinels) -> list[Token]:
    """Tokens of a statement whose Jinja is put aside. One of type "tag" is a sentinel that stands between blocks.

    Raises StatementError for what is nested too deep to be read; its `where` is the text that is.
    """
    tokens = _parser().parse(_own_lines(source, sentinels), {"tag": sentinels.tag, "any": sentinels.any})
    tokens = list(_flat(_arranged(_tree(iter(tokens)), sentinels)))
    _dress(tokens)
    return tokens


def plain(text: str) -> list[Token]:
    """Tokens of a text that is no Markdown, to be part of a line."""
    from markdown_it.token import Token

    return [Token("inline", "", 0, content=text, children=[Token("text", "", 0, content=text)])]


def _dress(tokens: Sequence[Token]) -> None:
    """What layouts and screen readers need: a bold link alone in its paragraph is a button, a head heads its column."""
    for number, token in enumerate(tokens):
        if token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and _FIGURE.fullmatch(tokens[number + 1].content):
            token.attrSet("class", "figure")
        elif token.type == "paragraph_open" and not token.hidden and _is_button(tokens[number + 1].children or []):
            token.attrSet("class", "button")
            tokens[number + 2].attrSet("class", "button")


def _is_button(inline: Sequence[Token]) -> bool:
    kinds = [token.type for token in inline if token.type != "text" or token.content]
    ends = (kinds[:2], kinds[-2:]) == (["strong_open", "link_open"], ["link_close", "strong_close"])
    return ends and kinds.count("link_open") == 1


def parted(tokens: Sequence[Token]) -> tuple[Sequence[Token], Sequence[Token]]:
    """The text, and its footnotes: what is signed comes between them."""
    notes = next((number for number, token in enumerate(tokens) if token.type == "footnote_block_open"), len(tokens))
    return tokens[:notes], tokens[notes:]


def to_html(tokens: Sequence[Token], digits: Callable[[str], str] = str) -> str:
    """The HTML of tokens, with numbers of footnotes in `digits`."""
    parser = _parser()
    return str(parser.renderer.render(tokens, parser.options, {"digits": digits}))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.footnote import footnote_plugin

    parser = MarkdownIt("commonmark", {"maxNesting": 2 * _DEEPEST}).enable("table").use(footnote_plugin)
    parser.block.ruler.before("table", "tag", _tag_line, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.block.ruler.before("tag", "deep", _refuse_deep)
    parser.add_render_rule("tag", _render_tag)
    parser.add_render_rule("footnote_caption", _render_caption)
    for kind in ("table_open", "table_close", "paragraph_open", "paragraph_close"):
        parser.add_render_rule(kind, _render_framed)
    return parser


def _render_tag(_renderer: object, tokens: Sequence[Token], index: int, _options: object, _env: object) -> str:
    return tokens[index].content + "\n"


def _render_caption(
    _renderer: object, tokens: Sequence[Token], index: int, _options: object, env: Mapping[str, Callable[[str], str]]
) -> str:
    """1 rather than [1]: a line can break before a bracket."""
    return env["digits"](str(tokens[index].meta["id"] + 1))


def _render_framed(renderer: Any, tokens: Sequence[Token], index: int, options: object, env: object) -> str:
    """A wide table has something to scroll in; a button is a table, since Outlook gives a link no room."""
    token = tokens[index]
    element = str(renderer.renderToken(tokens, index, options, env))
    match token.type, token.attrs.get("class"):
        case "table_open", _:
            columns = sum(each.type == "th_open" for each in tokens[index : _end(tokens, index)])
            # whoever has no mouse must be able to get to what is pushed sideways
            stop = ' tabindex="0"' if columns > _NARROW else ""
            return f'<div class="scroll"{stop}>{element}'
        case "table_close", _:
            return f"{element.rstrip()}</div>\n"
        case "paragraph_open", "button":
            way = f' dir="{token.attrs["dir"]}"' if "dir" in token.attrs else ""
            return f"{_BUTTON}<tr><td{way}>"
        case "paragraph_close", "button":
            return "</td></tr></table>\n"
    return element


def _end(tokens: Sequence[Token], index: int) -> int:
    """Where the head of the table that opens at `index` ends."""
    return next(number for number in range(index, len(tokens)) if tokens[number].type == "thead_close")


def _refuse_deep(state: StateBlock, start: int, _end: int, _silent: bool) -> bool:
    """Rule of the parser that reads nothing, and stops it before it goes too deep."""
    if state.level < _DEEPEST:
        return False
    words = state.env["any"].split(state.src[state.bMarks[start] : state.eMarks[start]])
    raise StatementError(
        "lists or quotations are nested too deep",
        where=max(words, key=len).strip(),
        hint="begin each with fewer > or spaces",
    )


def _tag_line(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    """Rule of the parser: a line of tags is a block. Inside a table it is a row, see `_table`."""
    if state.parentType == "table" or state.is_code_block(start):
        return False
    tag: re.Pattern[str] = state.env["tag"]
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    if not tag.match(line) or tag.sub("", line).strip():
        return False
    if not silent:
        for found in tag.finditer(line):
            token = state.push("tag", "", 0)
            token.content, token.map = found[0], [start, start + 1]
        state.line = start + 1
    return True


def _own_lines(source: str, sentinels: Sentinels) -> str:
    """Put the tags of `{% if … %}- item{% endif %}` on lines of their own, where the line is a block of its own."""
    if not sentinels.tag.search(source):
        return source
    lines = source.split("\n")
    result: list[str] = []
    fence = ""
    for number, line in enumerate(lines):
        if found := _FENCE.match(line):
            fence = "" if fence == found[0].strip() else fence or found[0].strip()
        around = lines[max(number - 1, 0) : number] + lines[number + 1 : number + 2]
        result += [line] if fence else _parted(line, sentinels, alone=not any(each.strip() for each in around))
    return "\n".join(_tables_ended(result, sentinels))


def _tables_ended(lines: Sequence[str], sentinels: Sentinels) -> Iterator[str]:
    """A table goes on until an empty line, so one is put before a tag that closes what was opened before the table."""
    opened: list[int] = []
    table = -1
    for number, line in enumerate(lines):
        table = number if DELIMITERS.fullmatch(line) else table if line.strip() else -1
        for tag in sentinels.tag.finditer(line):
            kind = Kind(tag["kind"])
            if kind in (Kind.MIDDLE, Kind.END) and opened and opened.pop() < table:
                yield ""
                table = -1
            if kind in (Kind.IF, Kind.FOR, Kind.MIDDLE):
                opened.append(number)
        yield line


def _parted(line: str, sentinels: Sentinels, *, alone: bool) -> list[str]:
    """The line as it is, or its outermost tags and what is between them one by one."""
    lead = _LEAF.match(line)
    start = lead.end() if lead else len(line) - len(line.lstrip())
    first = sentinels.tag.match(line, start)
    if first is None or Kind(first["kind"]) not in (Kind.IF, Kind.FOR):
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    rest = line[first.end() :].strip()
    outer = _outermost(line, start, sentinels)
    wrapped = bool(outer) and not line[outer[-1].end() :].strip()
    if lead:
        # `- {% if … %}item{% endif %}`: a bullet without its item would be left
        one = wrapped and len(outer) == 2
        inner = line[first.end() : outer[-1].start()] if one else ""
        return [indent + outer[0][0], line[:start] + inner, indent + outer[1][0]] if one else [line]
    if wrapped and (alone or _BLOCK.match(rest)):
        ends = [found.start() for found in outer[1:]]
        inner_parts = [line[tag.end() : end].strip() for tag, end in zip(outer, ends, strict=False)]
        pairs = zip(outer, [*inner_parts, ""], strict=True)
        return [indent + part for tag, inner in pairs for part in (tag[0], inner) if part]
    return [indent + first[0], indent + rest] if _BLOCK.match(rest) else [line]


def _outermost(line: str, start: int, sentinels: Sentinels) -> list[re.Match[str]]:
    """The tags of the construct that begins at `start`: opening, middle, end; none if it does not end on this line."""
    outer: list[re.Match[str]] = []
    depth = 0
    for tag in sentinels.tag.finditer(line, start):
        kind = Kind(tag["kind"])
        depth -= kind is Kind.END
        if depth == 0 or (depth == 1 and kind is Kind.MIDDLE):
            outer.append(tag)
        if depth == 0 and kind is Kind.END:
            return outer
        depth += kind in (Kind.IF, Kind.FOR)
    return []


@dataclass(slots=True)
class _Node:
    """A block with what is in it. `close` is None where a token stands alone."""

    open: Token
    inner: list[_Node] = field(default_factory=list)
    close: Token | None = None

    @property
    def kind(self) -> str:
        return self.open.type


def _tree(tokens: Iterator[Token]) -> list[_Node]:
    nodes: list[_Node] = []
    for token in tokens:
        nodes.append(node := _Node(token))
        if token.nesting < 0:
            break
        if token.nesting > 0:
            *node.inner, last = _tree(tokens)
            node.close = last.open
    return nodes


def _flat(nodes: Sequence[_Node]) -> Iterator[Token]:
    for node in nodes:
        yield node.open
        yield from _flat(node.inner)
        if node.close is not None:
            yield node.close


def _arranged(nodes: Sequence[_Node], sentinels: Sentinels) -> list[_Node]:
    """Tags at their place: between rows, between the items of one list, around a list that is looped over."""
    result: list[_Node] = []
    for node in nodes:
        if node.kind == "table_open":
            _table(node, sentinels)
        node.inner = _arranged(node.inner, sentinels)
        result += _outside(node, sentinels)
    return _looped(_joined(result, sentinels), sentinels)


def _outside(node: _Node, sentinels: Sentinels) -> list[_Node]:
    """A condition that holds all of a quotation or item holds the block itself: no empty one is left."""
    if node.kind not in ("blockquote_open", "list_item_open") or len(node.inner) < 3:
        return [node]
    depth = 0
    kinds = [_kind(each, sentinels) for each in node.inner]
    for number, kind in enumerate(kinds, start=1):
        depth += (kind in (Kind.IF, Kind.FOR)) - (kind is Kind.END)
        if (depth == 0 and number < len(kinds)) or (depth == 1 and kind is Kind.MIDDLE):
            return [node]
    if kinds[0] is not Kind.IF or kinds[-1] is not Kind.END:
        return [node]
    first, *node.inner, last = node.inner
    return [first, node, last]


def _kind(node: _Node, sentinels: Sentinels) -> Kind | None:
    return sentinels.read(node.open.content)[0] if node.kind == "tag" else None


def _table(table: _Node, sentinels: Sentinels) -> None:
    """A row that holds nothing but tags becomes them."""
    for body in table.inner:
        if body.kind == "tbody_open":
            body.inner = [each for row in body.inner for each in _tags_of_row(row, sentinels) or [row]]


def _tags_of_row(row: _Node, sentinels: Sentinels) -> list[_Node]:
    text = " ".join(cell.inner[0].open.content for cell in row.inner).strip()
    if not text or sentinels.tag.sub("", text).strip():
        return []
    from markdown_it.token import Token

    return [_Node(Token("tag", "", 0, content=found[0], map=row.open.map)) for found in sentinels.tag.finditer(text)]


def _joined(nodes: list[_Node], sentinels: Sentinels) -> list[_Node]:
    """Lists that only tags keep apart are one list again, as far as each tag's end is in it too."""
    result: list[_Node] = []
    while nodes:
        length = _run(nodes, sentinels)
        run, nodes = nodes[:length], nodes[length:]
        if length > 1:
            first = next(node for node in run if node.kind != "tag")
            first.inner = [each for node in run for each in ([node] if node.kind == "tag" else node.inner)]
            run = [first]
        result += run
    return result


def _run(nodes: Sequence[_Node], sentinels: Sentinels) -> int:
    """How many nodes, from the first on, make one list: the longest run of lists in which every tag is closed."""
    depth, best = 0, 1
    lists: list[_Node] = []
    for number, node in enumerate(nodes, start=1):
        kind = _kind(node, sentinels)
        if kind is None:
            lists.append(node)
            if node.kind not in _LISTS or (node.kind, node.open.markup) != (lists[0].kind, lists[0].open.markup):
                break
        depth += (kind in (Kind.IF, Kind.FOR)) - (kind is Kind.END)
        if depth < 0 or (depth == 0 and kind is Kind.MIDDLE):
            break
        if depth == 0 and len(lists) > 1:
            best = number
    return best


def _looped(nodes: list[_Node], sentinels: Sentinels) -> list[_Node]:
    """A loop around one list repeats its items, rather than making a list of one item each time."""
    for number in range(len(nodes) - 2):
        opening, node, end = nodes[number : number + 3]
        if (_kind(opening, sentinels), _kind(end, sentinels)) == (Kind.FOR, Kind.END) and node.kind in _LISTS:
            node.inner = [opening, *node.inner, end]
            rest = _looped(nodes[number + 3 :], sentinels)
            return [*nodes[:number], node, *rest]
    return nodes
