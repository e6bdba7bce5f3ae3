"""What a command is handed: the workspace and its hands, each opened when first asked for."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext

    from broadcaster.approval import Person
    from broadcaster.audit import Audit
    from broadcaster.bounces import Bounces
    from broadcaster.conditions import Condition
    from broadcaster.config import Config, Mailbox, Time
    from broadcaster.courier import Consignment, Courier
    from broadcaster.db import Db, Keys
    from broadcaster.digests import Digests
    from broadcaster.dkim import Key, Seal
    from broadcaster.engines.local import LocalEngine
    from broadcaster.erasure import Erasure
    from broadcaster.errors import BroadcasterError
    from broadcaster.inbox import Lasting
    from broadcaster.keys import Keeper
    from broadcaster.ledger import Ledger
    from broadcaster.links import Signer
    from broadcaster.mailing import Mailing
    from broadcaster.mark import Mark
    from broadcaster.posting import Letter
    from broadcaster.relay import Relay, Secret
    from broadcaster.resolver import Resolver
    from broadcaster.roster import Roster
    from broadcaster.sending import Hands
    from broadcaster.transports import Transport
    from broadcaster.visit import Visit
    from broadcaster.weighing import Scales
    from broadcaster.workspace import Workspace


class House:
    """Lazy: `--help` opens nothing, `status` no template engine."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._contexts: dict[str, SSLContext] = {}
        self._night: Time | None = None  # where somebody is in a hurry, with `urgent`
        self.urgent = 0

    def __enter__(self) -> House:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mark = self.__dict__.pop("mark", None)
        if mark is not None:
            mark.close()
        db = self.__dict__.pop("db", None)
        if db is not None:
            db.close()

    @cached_property
    def workspace(self) -> Workspace:
        from broadcaster import workspace

        return workspace.find(self._directory, os.environ)

    @cached_property
    def config(self) -> Config:
        return self.workspace.config()

    @cached_property
    def db(self) -> Db:
        from broadcaster.db import left_behind, open_database

        # a workspace that cannot be read is reported before a database is made in it
        keeper, path = self.keeper, self.workspace.database
        if left_behind(path):
            from broadcaster.encryption import clear_up
            from broadcaster.lock import Lock

            clear_up(path, Lock(self.workspace.lock), keeper)
        return open_database(path, who=self.who, keys=self.keys)

    @property
    def keys(self) -> Keys | None:
        """What asks for the keys of the database that may fit; None where it is not encrypted."""
        if self.keeper is None:
            return None
        from broadcaster.keys import candidates

        return functools.partial(candidates, self.keeper)

    @cached_property
    def keeper(self) -> Keeper | None:
        """Where the key of the database is; None where it is not encrypted."""
        of = self.config.encryption
        if of is None:
            return None
        from broadcaster.keys import keeper

        return keeper(of, self.workspace)

    def blamed(self, error: Exception) -> BroadcasterError | None:
        """What is wrong with the database, where that may be why something failed that should not."""
        db: Db | None = self.__dict__.get("db")
        if db is None:
            return None
        from broadcaster.db import damaged, from_outside, translated

        if from_outside(error):
            return translated(error, db.path)
        found = db.damage()
        return damaged(db.path, found) if found else None

    @cached_property
    def roster(self) -> Roster:
        from broadcaster.roster import Roster

        return Roster(self.db, lambda: self.now)

    def condition(self, where: str, lists: Sequence[int] = ()) -> Condition:
        """A --where in SQL; `lists` are those that `joined` is about, none for any. Raises FilterError (65)."""
        from broadcaster import choosing

        return choosing.condition(self.config, self.roster, self.ledger, where, lists)

    @cached_property
    def erasure(self) -> Erasure:
        from broadcaster.erasure import Erasure

        # the key is read when the first hash is made
        return Erasure(self.db, lambda key: self.signer.veil(key), lambda: self.now)

    @cached_property
    def ledger(self) -> Ledger:
        from broadcaster.ledger import Ledger

        return Ledger(self.db)

    @cached_property
    def bounces(self) -> Bounces:
        from broadcaster.bounces import Bounces

        return Bounces(self.db)

    @cached_property
    def digests(self) -> Digests:
        from broadcaster.digests import Digests

        return Digests(self.db)

    @cached_property
    def audit(self) -> Audit:
        from broadcaster.audit import Audit

        return Audit(self.db)

    @cached_property
    def mark(self) -> Mark:
        from broadcaster.mark import Mark

        return Mark(self.workspace.mark, self.db)

    @cached_property
    def signer(self) -> Signer:
        from broadcaster.links import Signer

        return Signer(self.workspace.key())

    @cached_property
    def seal(self) -> Seal | None:
        """What signs our mail, where [dkim] asks for it. Raises ConfigError for a key that is missing or no good."""
        of, key = self.config.dkim, self.signing_key()
        if of is None or key is None:
            return None
        from broadcaster.dkim import Seal

        return Seal(of.domain, of.selector, key)

    def signing_key(self) -> Key | None:
        """The private key of [dkim], None where that is not set. Raises ConfigError."""
        of = self.config.dkim
        if of is None:
            return None
        from broadcaster.dkim import Key

        return Key.parse(self.workspace.signing_key(of.key_file), where=of.key_file)

    @property
    def hands(self) -> Hands:
        """What a round of sending works with."""
        from broadcaster.press import Press
        from broadcaster.sealing import Sealing
        from broadcaster.sending import Hands

        def press(of: Mailing) -> Press:
            return Press(
                self.ledger.parts(of.id),
                self.ledger.content,
                self.signer,
                self.config,
                enclosed=lambda row: self.ledger.enclosed(row.mailing, row.subscriber.id),
            )

        sealing = Sealing(self.seal, os.cpu_count() or 1) if self.seal else None
        return Hands(
            *(self.roster, self.ledger, self.mark, self.config, press, self.clock),
            sealing=sealing,
            night=self._night,
            urgent=self.urgent,
        )

    @property
    def scales(self) -> Scales:
        """What returned mail is weighed with."""
        from broadcaster.effect import Patience
        from broadcaster.weighing import Scales

        of = self.config.returns
        patience = Patience(of.hard, of.soft_mailings, of.soft_within)
        return Scales(self.roster, self.ledger, self.bounces, self.signer, patience, self.clock, self.erasure)

    def inbox(self, of: Mailbox, *, patience: float | None = None) -> Lasting:
        """A mailbox of the configuration, not opened yet. `patience`: seconds for each answer, the usual where None."""
        if of.kind == "imaps":
            from broadcaster.inbox.imap import PATIENCE, Imap

            secret = functools.partial(self._password, of, of.secret) if of.secret is not None else None
            return Imap(of, secret, str(self.workspace.root), patience=patience or PATIENCE)
        from broadcaster.inbox.files import Maildir, Mbox

        path = self.workspace.root / of.path
        return Maildir(of.url, path, move=bool(of.move_to)) if of.kind == "maildir" else Mbox(of.url, path)

    def _password(self, of: Mailbox, secret: Secret) -> str:
        """A mailbox whose password nobody tells is away, and holds up nothing else."""
        from broadcaster.errors import MailboxUnavailable, RelayUnavailable

        try:
            return self.workspace.secret(secret)
        except RelayUnavailable as error:
            raise MailboxUnavailable(error.message, where=of.url) from None

    def engine(self, courier: Courier) -> LocalEngine[Consignment]:
        """The local engine over all relays of the configuration."""
        from broadcaster.engines.local import LocalEngine, Way

        ways = [
            Way(relay.name, relay.connections, functools.partial(self.transport, relay), relay.weight)
            for relay in self.config.relays
        ]
        return LocalEngine(ways, courier, clock=self.clock)

    def transport(self, relay: Relay) -> Transport:
        """A connection to a relay, not opened yet."""
        if relay.kind == "maildir":
            from broadcaster.transports.maildir import MaildirTransport

            return MaildirTransport(self.workspace.root / relay.path)
        from broadcaster.transports.smtp import SmtpTransport

        secret = relay.secret
        return SmtpTransport(
            relay,
            secret=functools.partial(self.workspace.secret, secret) if secret is not None else None,
            context=self._tls(relay),
        )

    def visit(self, relay: Relay) -> Visit:
        """A connection that looks at a relay and carries nothing, not opened yet."""
        from broadcaster.errors import ConfigError, RelayUnavailable
        from broadcaster.visit import PATIENCE, Visit

        def told() -> str:
            # who cannot tell the password is no relay that is away
            try:
                return self.workspace.secret(relay.secret) if relay.secret is not None else ""
            except RelayUnavailable as error:
                raise ConfigError(error.message, where=error.where) from None

        return Visit(relay, secret=told, context=self._tls(relay), timeouts=PATIENCE)

    @cached_property
    def resolver(self) -> Resolver:
        """What asks the DNS servers of this machine."""
        from broadcaster.resolver import Resolver

        return Resolver()

    async def post(self, relays: Sequence[Relay], letters: Sequence[Letter]) -> None:
        """Hand letters of our own over to the first of these relays that talks to us.

        Raises RelayUnavailable, and Unfinished where its limits are used up.
        """
        from broadcaster.cli.say import moment
        from broadcaster.posting import post

        zone = self.config.time.zone
        await post(letters, relays, self.transport, self.ledger, self.clock, lambda at: moment(at, zone))

    def _tls(self, relay: Relay) -> SSLContext | None:
        """One context for all connections to a relay: making one reads every certificate authority."""
        if relay.tls == "none":
            return None
        if relay.name not in self._contexts:
            from broadcaster.transports.smtp import tls_context

            self._contexts[relay.name] = tls_context(str(self.workspace.root / relay.ca_file) if relay.ca_file else "")
        return self._contexts[relay.name]

    def clock(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    @property
    def now(self) -> int:
        """Seconds since the epoch, UTC."""
        return int(time.time())

    @property
    def zone(self) -> str | None:
        """The zone that a time without one is meant in: of the configuration, else the machine's if it has a name."""
        from broadcaster.clock import zone_name

        return self.config.time.zone or zone_name(os.environ)

    def hurry(self) -> None:
        """Quiet hours and days off do not count for this command, and the mailing that it is about (`urgent`)."""
        from broadcaster.config import Time

        self._night = None if self.config.rehearsal else self.config.time
        self.__dict__["config"] = replace(self.config, time=Time(self.config.time.zone))

    @cached_property
    def person(self) -> Person:
        """Who runs this command, whatever account they work through."""
        from broadcaster import login

        return login.person()

    @property
    def who(self) -> str:
        """Their name, for the record of who did what."""
        return self.person.name


class _Undo(Exception):
    pass


@contextmanager
def tried(db: Db, *, dry_run: bool) -> Iterator[None]:
    """What happens inside is checked in full, and taken back at the end of a dry run."""
    if not dry_run:
        yield
        return
    try:
        with db.atomic():
            yield
            raise _Undo
    except _Undo:
        pass
