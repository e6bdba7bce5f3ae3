"""demo: the whole job, in a folder that can be thrown away."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stdout
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.say import clean, dry_run_option, dump, json_option, out, say, style

if TYPE_CHECKING:
    from email.message import EmailMessage

LIST = "supporters"
TITLES = ("--title", "Our supporters", "--title", "ar=مناصرونا", "--title", "ckb=پشتیوانانمان")
CONSENT = "signed up at the spring fair, and does not exist"
HEADERS = ("From", "To", "Subject", "List-Id", "List-Unsubscribe")
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>broadcaster: what was sent</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem }}
  h2 {{ margin: 3rem 0 .5rem }}
  dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: 0 0 1rem }}
  dt {{ opacity: .75 }}
  dd {{ margin: 0; overflow-wrap: anywhere }}
  .pair {{ display: grid; grid-template-columns: 3fr 2fr; gap: 1rem }}
  iframe, pre {{ border: 1px solid #8888; border-radius: 6px; width: 100%; height: 48rem }}
  iframe, pre {{ margin: 0; box-sizing: border-box }}
  pre {{ padding: 1rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; background: #8881 }}
  pre {{ font: 15px/1.6 ui-monospace, Consolas, Menlo, monospace; unicode-bidi: plaintext; text-align: start }}
  pre[dir=rtl] {{ font-family: system-ui, sans-serif }}
  @media (max-width: 60rem) {{ .pair {{ grid-template-columns: 1fr }} }}
</style>
<main>
<h1>What was sent</h1>
<p>One copy in each language, out of {number:,} in <a href="outbox/new/">outbox/</a>: HTML on one side, text on
the other. Nothing was mailed to anybody, and these people do not exist.</p>
{copies}
</main>
</html>
"""
COPY = """\
<h2>{language}</h2>
<dl>{headers}</dl>
<div class="pair">
<iframe sandbox="allow-same-origin" title="{language}: HTML" srcdoc="{html}"></iframe>
<pre tabindex="0" aria-label="{language}: text" role="region" dir="{direction}" lang="{tag}">{text}</pre>
</div>
"""


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(readable=False, path_type=Path))
@dry_run_option
@json_option
def demo(directory: Path | None, dry_run: bool, as_json: bool) -> None:
    """Try the whole job in a throw-away workspace: nothing is mailed to anybody.

    Makes a workspace (in a new temporary folder, or in DIR), imports hundreds of people who do not exist, in three
    languages, and sends them the sample statement through an outbox. Then tells where to look.

    \b
    Examples:
      broadcaster demo
      broadcaster demo ~/try-it

    \b
    Exit statuses: 0 sent, 73 DIR is a workspace already or cannot be written.
    """
    import tempfile

    from broadcaster.cli.init import SAMPLE, made
    from broadcaster.cli.render import write

    steps = [
        ["lists", "create", LIST, *TITLES],
        ["subscribers", "import", "subscribers/sample.csv", "--list", LIST, "--consent", CONSENT, "--yes"],
        ["send", SAMPLE, "--list", LIST, "--yes"],
    ]
    if dry_run:
        commands = [_command(step) for step in [["init"], *steps]]
        if as_json:
            dump({"commands": commands})
            return
        for command in commands:
            out(command)
        return
    place = directory or Path(tempfile.mkdtemp(prefix="broadcaster-demo-"))
    say(style(f"$ broadcaster init {clean(place)}", err=True, bold=True))
    made(place)
    place = place.resolve()
    done = [_run(place, step, as_json=as_json) for step in steps]
    number, page = shown(place / "outbox")
    write(place, {"index.html": page.encode()})
    found = {"workspace": str(place), "outbox": str(place / "outbox"), "page": str(place / "index.html")}
    if as_json:
        dump({**found, "import": done[1], **(done[2] or {})})
        return
    say()
    say(f"{number:,} messages were written, and nothing was mailed to anybody. Look at")
    say("  each language, HTML and text side by side:")
    out(f"    {(place / 'index.html').as_uri()}")
    say("  every message, as a Maildir that mail programs open (mutt -f …):")
    out(f"    {clean(place / 'outbox')}")
    say("  the workspace, to go on with:")
    out(f"    {clean(place)}")
    say(f"Try: broadcaster -C {clean(place)} status 1")
    say(f"     broadcaster -C {clean(place)} why sean.obrien@example.org")


def _command(words: list[str]) -> str:
    import shlex

    return "broadcaster " + " ".join(map(shlex.quote, words))


def _run(place: Path, words: list[str], *, as_json: bool) -> Any:
    """Run one command in the workspace, as a person would; its JSON where that is wanted."""
    from broadcaster.cli import broadcaster

    say(style(f"$ {_command(words)}", err=True, bold=True))
    given = [str(place / word) if word.startswith("subscribers/") else word for word in words]
    if not as_json:
        broadcaster.main(["-C", str(place), *given], prog_name="broadcaster", standalone_mode=False)
        return None
    captured = io.StringIO()
    with redirect_stdout(captured):
        broadcaster.main(["-C", str(place), *given, "--json"], prog_name="broadcaster", standalone_mode=False)
    return json.loads(captured.getvalue())


def shown(outbox: Path) -> tuple[int, str]:
    """How many messages an outbox holds, and a page with the first of each language."""
    from email import message_from_bytes, policy

    from broadcaster import language

    files = sorted((outbox / "new").iterdir())
    first: dict[str, str] = {}
    for file in files:
        # one parse is a few milliseconds: enough are read for every language to come by
        message = message_from_bytes(file.read_bytes(), policy=policy.default)
        html = _body(message, "html")
        found = re.search(r"<html[^>]*\blang=[\"']?([A-Za-z0-9-]+)", html)
        tag = found[1] if found else "?"
        if tag not in first:
            first[tag] = COPY.format(
                language=escape(language.name(tag)),
                tag=escape(tag),
                direction=language.direction(tag),
                headers="".join(
                    f"<dt>{name}</dt><dd><bdi>{escape(str(message[name] or ''))}</bdi></dd>" for name in HEADERS
                ),
                html=escape(html),
                text=escape(_body(message, "plain")),
            )
    return len(files), PAGE.format(number=len(files), copies="".join(first[tag] for tag in sorted(first)))


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""
