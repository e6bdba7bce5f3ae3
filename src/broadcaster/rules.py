"""What `check` looks for: a table of rules, each with a level, what it asks, why, and what to do.

An error stops a mailing unless `--force` names its rule; a warning is for the author to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Level(StrEnum):
    """Whether a finding stops a mailing."""

    ERROR = "error"
    WARNING = "warning"


class Rule(NamedTuple):
    """A level, what is looked for, why it matters, and what to do."""

    level: Level
    about: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where. `file` may be empty and `line` unknown."""

    level: Level
    rule: str
    file: str
    line: int | None
    message: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `check`."""
        return {**asdict(self), "level": self.level.value}


def found(rule: str, message: str, file: str = "", line: int | None = None) -> Finding:
    """A finding with the level of its rule."""
    return Finding(RULES[rule].level, rule, file, line, message)


_E, _W = Level.ERROR, Level.WARNING

RULES: Final[Mapping[str, Rule]] = {
    # the text and its fields
    "template": Rule(
        _E,
        "The file, its tags and names can be read: no name that nobody has, no tag left open.",
        "What cannot be read cannot be sent, and a name nobody has is nearly always a slip of the pen.",
        "Look at the line; the message says what is allowed there.",
    ),
    "draft": Rule(
        _E,
        "Nothing of the draft that `new` wrote is left.",
        "A mail with the subject “A subject that says what it is about” has happened to others.",
        "Write the subject, the preheader and the text, or delete the line.",
    ),
    "placeholder": Rule(
        _W,
        "Nothing in the text waits to be filled in: no field as another program writes it, no TODO, no lorem ipsum.",
        "“Dear *|FNAME|*” reached thousands who had changed their mailing program.",
        "Write `{{ subscriber.name }}` for a field, and the text itself for what was to come.",
    ),
    "left-out": Rule(
        _W,
        "All that is written in the file reaches somebody: each key of the heading, footnote and cell of a table.",
        "`attachment:` for `attachments:` mails a letter without its attachment. A footnote that the text does not"
        " call, and a cell beyond the last column, are left out without a word. A call without its footnote, or"
        " without its address, is shown with its brackets.",
        "Write the key as it is called, call the footnote where it belongs (`[^1]`), give the table another column.",
    ),
    "trial": Rule(
        _E,
        "A copy can be made for everybody: every combination of branches, with the longest and the empty value of"
        " each field, is tried, and some real people of each language.",
        "Whoever's copy cannot be written is skipped when sending, and that is seen too late.",
        "The message says for which values it fails: give the field a default, or mend the value.",
    ),
    "empty-subject": Rule(
        _E,
        "Nobody gets an empty subject, whatever they lack.",
        "Filters take a mail without a subject for spam, and so do people.",
        'Give the field in the subject a default: `{{ subscriber.city | default("your town") }}`.',
    ),
    "empty-field": Rule(
        _W,
        "Fields that are printed without a default are filled in for everybody.",
        "“Dear ,” tells the reader that nobody wrote to them.",
        'Write `{{ subscriber.name | default("friend") }}`, or look at the field first: `{% if subscriber.city %}`.',
    ),
    "always-empty": Rule(
        _W,
        "Each field that the text reads is filled in for somebody.",
        "A field that nobody of this audience has is misspelt, or its column was not imported; what depends on it"
        " is read by nobody.",
        "Look at the header of the file of people, or take the field out of the text.",
    ),
    "misread-field": Rule(
        _W,
        "Sums, numbers, dates and links can be read in one way.",
        "`12.500` is a thousand times more in one sheet than in another, and 4/5 is April or May. What is unclear is"
        " shown as it was typed, a link that is none not at all.",
        "Write 12500 or 12500.00, and dates as 2026-05-04, in the file of people.",
    ),
    "empty-link": Rule(
        _W,
        "A link that comes from a field leads somewhere for everybody.",
        "Who lacks the field, or has `javascript:` or half an address in it, gets a link that does nothing.",
        'Give it a default: `{{ subscriber.page | url | default("https://…") }}`.',
    ),
    "branches": Rule(
        _W,
        "All combinations of branches can be tried.",
        "Where conditions look at many fields, only each pair of them is tried together.",
        "Use fewer conditions, or read more of the copies that `render --as` makes.",
    ),
    "empty-body": Rule(
        _W,
        "There is a text below the heading.",
        "An empty mail looks like an accident.",
        "Write the text, or take the file away.",
    ),
    # what mailbox programs do with it
    "subject": Rule(
        _W,
        "The subject is not cut off in a list of mails.",
        "Phones show some forty letters, programs on a desk some ninety.",
        "Put the first thing first, and the rest into the preheader.",
    ),
    "shouting": Rule(
        _W,
        "The subject does not shout.",
        "Capitals and rows of signs are what filters and readers know spam by.",
        "Write it as you would say it.",
    ),
    "false-reply": Rule(
        _W,
        "The subject does not pretend to be an answer.",
        "“Re:” on what is none deceives, which laws on mailings forbid (CAN-SPAM §5(a)(2)).",
        "Leave Re: and Fwd: out.",
    ),
    "preheader": Rule(
        _W,
        "The line that mailboxes show after the subject is written by you.",
        "Without one they show the first words of the text, most often “Dear …”.",
        "Add `preheader:` to the heading: 40 to 130 letters that say more than the subject.",
    ),
    "size": Rule(
        _W,
        "The HTML of the largest copy stays well below the size at which Gmail cuts a mail off.",
        "Gmail shows the first 102 KB of HTML. Beyond 90 KB a long name is enough.",
        "Shorten the text, or link to the rest of it.",
    ),
    "clipped": Rule(
        _E,
        "The HTML of no copy is larger than the 102 KB that Gmail shows.",
        "What is cut off is the end: the link to leave, and your address.",
        "Shorten the text, or link to the rest of it.",
    ),
    "css": Rule(
        _W,
        "No style is relied on that major mail programs drop.",
        "Outlook knows no flexible boxes and no positions, Gmail drops a whole `<style>` beyond 16 KB or with"
        " something in it that it does not know.",
        "Use tables, padding and margins, and write plain values.",
    ),
    "element": Rule(
        _W,
        "No element is in it that mail programs take out: forms, scripts, frames, films.",
        "They vanish, and scripts make filters refuse the whole mail.",
        "Link to a page that has them.",
    ),
    "nesting": Rule(
        _E,
        "Elements are not nested too deep.",
        "Parsers stop at some 255 levels, and everything after is silently gone.",
        "Close what was opened: a missing `</div>` in a loop is the usual cause.",
    ),
    "inlining": Rule(
        _E,
        "No text is lost when styles are written into the elements.",
        "Text in must be text out, or nobody knows what was sent.",
        "Close every element of the layout, and nest fewer.",
    ),
    "layout": Rule(
        _W,
        "All that the layout says and does reaches the reader.",
        "Rules that depend on siblings stay in a `<style>`, which some programs drop. A block that `base.html` does not"
        " have, and text outside of blocks, are left out without a word.",
        "Give the element a class and a rule of its own; name the block as `base.html` does.",
    ),
    # for every reader
    "image": Rule(
        _E,
        "Every image that is a file is there, and is one that mail programs show.",
        "A broken image is the first thing that readers see.",
        "Put a PNG, JPEG or GIF file beside the statement, or into templates/ for a layout.",
    ),
    "image-alt": Rule(
        _W,
        "Images have a text for who does not see them.",
        "Many programs show no images until asked, and some people never see them.",
        'Write what it shows between the square brackets: `![the old bridge]`; `alt=""` where it only decorates.',
    ),
    "image-only": Rule(
        _W,
        "The mail says something without its images.",
        "With images off it would be empty, and filters know such mails as spam.",
        "Write what the image says below it.",
    ),
    "headings": Rule(
        _W,
        "Headings follow one another: none is skipped, one is the first.",
        "People who listen to a mail move through it by its headings.",
        "Begin with `##` in the text (the title is the first), and go down one step at a time.",
    ),
    "markup": Rule(
        _W,
        "The layout says its language and direction, and which tables only arrange.",
        "Webmail drops `<html>`: without `lang` and `dir` on an element inside, Arabic runs the wrong way.",
        'Copy the frame of templates/base.html: an inner `lang` and `dir`, `role="presentation"` on tables.',
    ),
    "contrast": Rule(
        _W,
        "Text stands out from what is behind it.",
        "Pale letters are lost on whoever reads in the sun, or sees less well. WCAG 2.1 asks for a contrast of 4.5"
        " to 1, and of 3 to 1 for large letters and buttons.",
        "Take the colour that the message names, or a darker one, for the key of [theme] or the style.",
    ),
    "link-text": Rule(
        _W,
        "A link's words say where it leads.",
        "“Click here” says nothing to who listens to a list of links, and words that look like another address"
        " are how phishing looks.",
        "Write what is behind the link; write an address only where it is the link itself.",
    ),
    # links
    "link": Rule(
        _E,
        "Links and images are whole addresses, and safe ones.",
        "In a mailbox there is no page to be relative to, and `javascript:` or `data:` are refused everywhere.",
        "Write `https://…`, `mailto:…` or `tel:…`.",
    ),
    "insecure-link": Rule(
        _W,
        "Links are https.",
        "What is fetched by http can be read and changed on the way; programs warn of it.",
        "Write https, or ask whoever runs the page.",
    ),
    "link-host": Rule(
        _W,
        "Links name a real host.",
        "Filters distrust bare numbers, names before an @, and shorteners that hide where one goes.",
        "Link to the page itself.",
    ),
    "dead-link": Rule(
        _E,
        "With `check --links`: no link leads to a page that is not there.",
        "Thousands would see the same error page.",
        "Look at the address; the message has the answer of its server.",
    ),
    "unsure-link": Rule(
        _W,
        "With `check --links`: every link answers.",
        "Some servers refuse whoever is no browser, or are slow. Private addresses are not asked at all.",
        "Open it yourself.",
    ),
    # languages
    "no-default-language": Rule(
        _E,
        "Who reads none of the languages gets the default one, so it is there.",
        "There would be nothing to send to them.",
        "Write the part, or set `languages.default` to one that is there.",
    ),
    "missing-language": Rule(
        _W,
        "People get the statement in a language they read.",
        "The count says how many get another one.",
        "Add a file for the language.",
    ),
    "stale-translation": Rule(
        _W,
        "A translation has what the default part has, and is not older.",
        "A correction that was made in one language only is worse than none.",
        "Compare the two; saving the file says that it is right as it is.",
    ),
    "untranslated": Rule(
        _W,
        "A part is written in its language.",
        "A copied file whose text was never replaced looks finished.",
        "Translate it, or delete the file: its readers get the default language.",
    ),
    "catalogue": Rule(
        _W,
        "The words around the text are in the language of the text: footer, dates, the list's title, the sender.",
        "An Arabic letter with an English footer looks like a form.",
        "Add templates/locale/LANG.po; `lists edit --title`; a table by language for `sender.name`.",
    ),
    "brackets": Rule(
        _W,
        "Brackets open before they close, in texts that run from right to left too.",
        "Programs mirror them when they show them; who types them as they look types them the wrong way round.",
        "Type ( before the words and ) after them, whatever it looks like in your editor.",
    ),
    "direction-mark": Rule(
        _W,
        "No invisible sign turns the direction of the text.",
        "They come with copied text, and can make a line, or a link, read as something else.",
        "Delete and type the passage again; we set what is needed ourselves.",
    ),
    # attachments
    "attachment": Rule(
        _E,
        "Every attachment is there, beside the statement, and of a size that arrives.",
        "A copy without what it promises is a second mailing.",
        "Put the file into the statement's folder.",
    ),
    "shared-attachment": Rule(
        _E,
        "What is attached for one person alone goes to nobody else.",
        "An invoice in a stranger's mail cannot be taken back.",
        "Name the file by a field that is each person's own, like a membership number.",
    ),
    "unused-attachment": Rule(
        _W,
        "Every file that is called like those for one person alone is somebody's.",
        "A typing mistake in a name, or in a field, leaves somebody without theirs.",
        "Rename the file, correct the field, or take the file away.",
    ),
    "blocked-attachment": Rule(
        _E,
        "No attachment is of a kind that mail servers refuse.",
        "Gmail and Outlook refuse the whole mail with programs, scripts or disk images in it.",
        "Link to the file instead.",
    ),
    "heavy": Rule(
        _W,
        "What is attached is not heavy.",
        "It is sent to everyone, and many mailboxes take no more than 10 MB.",
        "Link to it instead.",
    ),
    # sender and audience
    "no-way-to-leave": Rule(
        _E,
        "Every copy holds links.leave, and links.leave_mailto or links.one_click says where wishes go.",
        "Who cannot leave reports spam, and the law is with them.",
        "Set `leave_mailto` below [links]; write `{{ links.leave }}` into the layout, outside any condition.",
    ),
    "unread-leave": Rule(
        _W,
        "The address for leave wishes is one of the mailboxes that are read.",
        "A wish to leave that nobody reads is a complaint.",
        "Add the mailbox to `returns.mailboxes`.",
    ),
    "one-click": Rule(
        _W,
        "Mail programs offer one click: the link is https, and a DKIM signature covers it (RFC 8058).",
        "Gmail and Yahoo ask it of whoever sends 5,000 mails a day.",
        "Set an https `links.site`, and [dkim] or a relay that signs both fields.",
    ),
    "leave-page": Rule(
        _W,
        "With links.one_click, something answers where the leave links lead: a POST takes the person off at once.",
        "A link to leave that does nothing is against the law in many places, and mail programs call it (RFC 8058).",
        "docs/dkim.md says what must answer. Until it does, leave `one_click` out: leaving by mail always works.",
    ),
    "unaligned": Rule(
        _W,
        "The domain that signs, or else the one that bounces go to, is the sender's (DMARC, RFC 9989).",
        "Otherwise the mail counts as unsigned, whatever was signed.",
        "Sign with the domain of `sender.address`, and let `returns.return_path` end in it.",
    ),
    "free-mail": Rule(
        _W,
        "The sender's address is at a domain of your own.",
        "Gmail, Yahoo and the like tell everyone to refuse their mail from other servers.",
        "Send from your own domain, with `reply_to` where you read.",
    ),
    "no-postal-address": Rule(
        _W,
        "The sender's postal address is set and shown.",
        "Many laws on mailings ask for it.",
        "Set `sender.postal_address`.",
    ),
    "nobody": Rule(
        _W,
        "There is somebody to send it to.",
        "A list that is empty was perhaps not imported, or is another one.",
        "`broadcaster lists` shows how many are on each.",
    ),
    # settings
    "no-effect": Rule(
        _W,
        "No setting is relied on that does nothing.",
        "It is read and understood, and has no effect without another one.",
        "Set the other one too, or do not count on it.",
    ),
}
