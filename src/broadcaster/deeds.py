"""What can be done to people, lists, mailings and the database, by the name that the audit log has for it.

A name is the noun of a command in the singular, and its verb; what the program does by itself has words like them.
One place for all of them: what stays in a log for ever should be called the same for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# name → what it means, and the words beside it
DEEDS: Final[Mapping[str, str]] = {
    "list create": "A list was made. `again`: one that had been deleted.",
    "list edit": "So many `titles` of a list were changed or taken away.",
    "list delete": "A list was deleted, and so many were `removed` from it.",
    "subscriber add": "A person was put on a list by their own word. `new`: they were not on it; `lifted`: they had"
    " left all lists, and `left` so many others for good with that.",
    "subscriber edit": "These `fields` of a person were changed.",
    "subscriber remove": "Staff took a person off lists.",
    "subscriber unsubscribe": "A person left lists by their own word. `all`: every list, and those to come; with a"
    " mailing: they answered it.",
    "subscriber erase": "A person was erased: so many `rows` of each table were deleted or emptied.",
    "subscriber import": "A file was imported, with the figures that it was shown with.",
    "subscriber undo": "An import was taken back: so many people it had brought were `deleted` or `taken_off` the list,"
    " so many who were known before `restored`, so many suppressions `lifted`; of so many something that came later"
    " was `kept`.",
    "subscriber export": "So many people (`number`) were written down in a `format`: all who would be mailed, or"
    " those of a list; `filtered`: those of them whom a filter means.",
    "suppression add": "An address is not mailed any more. `reason`: left, complained, bounced, or staff's own.",
    "suppression remove": "An address may be mailed again.",
    "segment save": "A filter was given a name: `segment` is its number.",
    "segment edit": "A segment means something else from here on.",
    "segment delete": "A segment was deleted.",
    "mailing prepare": "Statement and audience were frozen: `digest` is what was frozen, `audience` how many people.",
    "mailing rehearse": "Before it began, a mailing became a rehearsal, or real.",
    "mailing approve": "A second person, whose user id is `uid`, approved a mailing: exactly what has this `digest`.",
    "mailing confirm": "Somebody was told what is unusual about a mailing, and said yes to these `surprises`.",
    "mailing schedule": "A mailing waits for its time again.",
    "mailing start": "A mailing is sent from here on. `late`: although it was too late for it.",
    "mailing pause": "A mailing was paused. `by`: alarm (something was wrong while sending), restore (the database is"
    " older than the last sending), or release (nobody has approved what it is now).",
    "mailing hold": "The time of a mailing had come, and it was not started: too late, not approved, or surprising.",
    "mailing expire": "The time of a mailing was over, and so many that were `open` do not get it.",
    "mailing resume": "A paused or held mailing may go on. `late`: although it was too late for it.",
    "mailing finish": "Nothing of a mailing is open any more.",
    "mailing cancel": "A mailing was cancelled, and so many that were `open` do not get it.",
    "mailing recover": "A sender had died. `back`: so many were not sent, and wait again; `doubt`: so many are in"
    " doubt; `restored`: in doubt because the database is older than the last sending.",
    "mailing resolve": "So many deliveries in doubt were settled. `how`: accept, resend, or log (the relay's log; by"
    " where they went); `by`: settings, where safety.in_doubt says so.",
    "mailing believe": "Staff said that what came back of a mailing is true: so many `reports` were weighed again.",
    "mailing forget": "Who got a mailing was forgotten, as settings have it: so many `deliveries`.",
    "workspace restore": "The workspace came out of a backup that was `made` then; `mark`: it was known what was sent"
    " since.",
    "database encrypt": "The database was encrypted.",
    "database rekey": "The database was encrypted under another key.",
    "database decrypt": "The database became plain text.",
}
