"""Copies made as a trial, and what is seen only in a copy: how large it grows, what is empty for whom.

A template in which everything is right may still come to an empty subject, a dead link or no way to leave
for who lacks one field. So copies are made, by plain Jinja, and looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy, named
from broadcaster.rules import Finding, found

if TYPE_CHECKING:
    from jinja2 import Template

# Gmail shows the first 102 KB of HTML; 10 % are left for names and fields
CLIPPED: Final = 102_400
NEAR: Final = 92_160
# wider subjects are cut by most programs on a desk, narrower ones by phones
SUBJECT_WIDTH: Final = 90
# an address that a field should have begun: nothing, or what was to follow
_DEAD: Final = re.compile(r'<(a|img)\s[^>]*?\b(?:href|src)="(?:[/?&.][^"]*|#)?"', re.IGNORECASE)


class Trial:
    """Copies of one part. Raises what Jinja raises for a template that is none."""

    def __init__(self, merge: MergeTemplate) -> None:
        from broadcaster.sandbox import for_merging

        self.merge = merge
        self.largest = 0  # octets of HTML
        self._whose = ""
        self._subject = ""  # the longest
        self._named = ""  # and whose it is
        self._findings: dict[Finding, None] = {}
        self._sandbox = for_merging(merge.language)
        self._templates = [self._sandbox.from_string(text) for text in (merge.subject, merge.html, merge.text)]

    def look(self, copy: Copy) -> None:
        """Make a copy and look at it. Raises whatever goes wrong for this person."""
        names = named(copy)
        subject, html, text = (self._rendered(each, names) for each in self._templates)
        if len(octets := html.encode("utf-8", "replace")) > self.largest:
            self.largest, self._whose = len(octets), who(copy.subscriber.values())
        if len(subject.strip()) > len(self._subject):
            self._subject, self._named = subject.strip(), who(copy.subscriber.values())
        for finding in self._seen(copy, subject, html, text):
            # the first for whom it is so, the most empty, is enough
            if not any((each.rule, each.file) == (finding.rule, finding.file) for each in self._findings):
                self._findings[finding] = None

    def _rendered(self, template: Template, names: Mapping[str, Mapping[str, str]]) -> str:
        self._sandbox.refill()
        return template.render(names)

    def _seen(self, copy: Copy, subject: str, html: str, text: str) -> Iterator[Finding]:
        whose, file = who(copy.subscriber.values()), self.merge.file
        if not subject.strip():
            yield found("empty-subject", f"the subject is empty for {whose}", file)
        if dead := _DEAD.search(html):
            what = "a link leads nowhere" if dead[1].lower() == "a" else "an image comes from nowhere"
            yield found("empty-link", f"{what} for {whose}", file)
        if copy.leave and (copy.leave not in html.replace("&amp;", "&") or copy.leave not in text):
            yield found("no-way-to-leave", f"there is no link to leave for {whose}", file)

    def findings(self) -> Iterator[Finding]:
        """What the copies had in common, once all were looked at."""
        yield from self._findings
        yield from sized(self.largest, self.merge.file, f" for {self._whose}" if self._whose else "")
        # one that is the same for everybody is looked at by proof.py, with its line
        if len(self._subject) > SUBJECT_WIDTH and "{" in self.merge.subject:
            message = f"the subject has {len(self._subject)} letters for {self._named}"
            yield found("subject", f"{message}: most programs cut it off after {SUBJECT_WIDTH}", self.merge.file)


def sized(octets: int, file: str, whose: str = "") -> Iterator[Finding]:
    """What is said of HTML of that size."""
    if octets > CLIPPED:
        message = f"the HTML has {octets / 1000:.0f} KB{whose}: Gmail cuts it off at {CLIPPED // 1000} KB"
        yield found("clipped", f"{message}, with the link to leave", file)
    elif octets > NEAR:
        message = f"the HTML has {octets / 1000:.0f} KB{whose}: Gmail cuts mails off at {CLIPPED // 1000} KB"
        yield found("size", message, file)


def who(values: Mapping[str, str]) -> str:
    """A person in a trial, in words: by the fields they have."""
    told = [f"{name} = {_short(value)}" for name, value in sorted(values.items()) if name not in _OWN]
    return f"who has {', '.join(told[:4])}{' …' if len(told) > 4 else ''}" if told else "who has no fields"


_OWN: Final = frozenset(["email", "language", "timezone"])


def _short(value: str) -> str:
    return f'"{value[:24]}{"…" if len(value) > 24 else ""}"'
