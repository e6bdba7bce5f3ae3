"""A mailing as it is told of: no database holds it."""

from __future__ import annotations

from collections.abc import Mapping

from broadcaster.delivery import State
from broadcaster.mailing import Mailing, Rule
from broadcaster.mailing import State as Standing
from broadcaster.schedule import Window


def mailing(
    state: Standing, tally: Mapping[State, int], *, slug: str = "june", due: int | None = None, reason: str = ""
) -> Mailing:
    """Mailing 7, by anna, to as many as the tally has."""
    audience = sum(tally.values())
    return Mailing(
        id=7,
        statement=slug,
        state=state,
        digest="",
        content="",
        rule=Rule((1,)),
        left_out={},
        audience=audience,
        first=1,
        last=audience,
        rehearsal=False,
        created=1,
        who="anna",
        window=Window(due, "tomorrow" if due else "", None),
        reason=reason,
        changed=1,
        tally=tally,
    )
