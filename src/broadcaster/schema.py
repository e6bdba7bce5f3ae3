"""The schema of the database, as the steps that made it what it is. db.py applies those that a file lacks."""

from __future__ import annotations

from typing import Final

# Name of the migration → its statements. One that has been released is never edited: add another.
SCHEMA: Final[dict[str, str]] = {
    "people": """
        create table list (
            id integer primary key,
            name text not null unique collate nocase,
            list_id text not null,
            titles text not null default '{}',  -- JSON: language → title
            created integer not null,
            deleted integer  -- its row stays: who left it is remembered, and making it again revives it
        ) strict;

        create table subscriber (
            id integer primary key,
            key text not null unique,  -- the folded address: two spellings of one mailbox are one person
            address text not null,
            name text not null default '',
            language text not null default '',
            timezone text not null default '',
            fields text not null default '{}',  -- JSON: custom field → text
            created integer not null,
            changed integer not null
        ) strict;

        create table subscription (
            list integer not null references list(id),
            subscriber integer not null references subscriber(id),
            state integer not null,  -- 1 active, 2 left (sticky), 3 removed by staff (a file may bring them back)
            since integer not null,
            primary key (list, subscriber)
        ) strict, without rowid;
        create index subscription_by_subscriber on subscription(subscriber);

        create table consent (  -- only ever added to
            id integer primary key,
            subscriber integer not null references subscriber(id),
            list integer not null references list(id),
            at integer not null,
            how text not null,
            wording text not null,
            import integer
        ) strict;
        create index consent_by_subscriber on consent(subscriber);

        create table suppression (  -- by folded address: it outlives the person's row
            key text primary key,
            address text not null,
            reason text not null,  -- left (from all lists), complained, bounced, staff
            detail text not null default '',
            since integer not null
        ) strict, without rowid;

        create table import (
            id integer primary key,
            list integer not null references list(id),
            file text not null,
            digest text not null,
            at integer not null,
            who text not null,
            consent text not null,
            figures text not null  -- JSON
        ) strict;

        -- every field that anybody ever had
        create table field (name text primary key) strict, without rowid;
    """,
    "ledger": """
        create table mailing (
            id integer primary key,
            statement text not null,
            state integer not null,
            digest text not null,  -- of content, audience and schedule: what a second person approves
            content text not null,  -- digest of the merge templates and attachments alone
            rule text not null,  -- JSON: lists, exclude, where
            left_out text not null,  -- JSON: reason → number
            audience integer not null,
            first integer not null,  -- its deliveries have the ids first … last
            last integer not null,
            rehearsal integer not null,
            created integer not null,
            who text not null,
            due integer,  -- not before; epoch seconds
            due_words text not null default '',  -- the same as wall time and zone
            expires integer,
            reason text not null default '',  -- why it is paused or held
            changed integer not null
        ) strict;

        create table tally (  -- deliveries by state, moved in the same transaction: status never counts rows
            mailing integer not null references mailing(id),
            state integer not null,
            number integer not null,
            primary key (mailing, state)
        ) strict, without rowid;

        create table part (  -- what is frozen: one merge template per language
            mailing integer not null references mailing(id),
            number integer not null,
            language text not null,
            template text not null,
            primary key (mailing, number)
        ) strict, without rowid;

        -- attachments
        create table content (digest text primary key, body blob not null) strict;

        create table delivery (
            id integer primary key,
            mailing integer not null,
            subscriber integer not null,
            list integer not null,
            part integer not null,
            state integer not null default 0,
            attempts integer not null default 0
        ) strict;
        -- nobody is enrolled twice
        create unique index delivery_once on delivery(subscriber, mailing);

        create table due (  -- deferred deliveries only
            delivery integer primary key,
            mailing integer not null,
            at integer not null
        ) strict;
        create index due_at on due(mailing, at);

        create table attempt (
            delivery integer not null,
            number integer not null,
            at integer not null,
            relay text not null,
            state integer not null,
            code integer not null,
            status text not null,
            reply text not null,
            primary key (delivery, number)
        ) strict, without rowid;

        create table pace (scope text primary key, state text not null) strict, without rowid;

        create table sender (  -- who holds, or last held, the lock
            one integer primary key check (one = 1),
            pid integer not null,
            host text not null,
            boot text not null,
            since integer not null
        ) strict;

        create table seen (what text primary key, at integer not null) strict, without rowid;
    """,
    "enclosures": """
        create table enclosure (  -- files that one person of a mailing alone gets
            mailing integer not null references mailing(id) deferrable initially deferred,
            subscriber integer not null,
            place integer not null,  -- first, second …
            name text not null,
            digest text not null references content(digest),
            primary key (mailing, subscriber, place)
        ) strict, without rowid;
    """,
    "mark": """
        create table mark (  -- which database this is, and how far it has sent: compared with subscribers/ledger.mark
            one integer primary key check (one = 1),
            id text not null,
            claims integer not null,  -- lots ever claimed
            delivery integer not null,  -- ids and numbers up to these may be in mail that is out: never given again
            mailing integer not null
        ) strict;
        insert into mark values (1, lower(hex(randomblob(16))), 0, 0, 0);

        -- the highest delivery that was ever claimed, and when the last claim was
        alter table mailing add column claimed integer not null default 0;
        alter table mailing add column claimed_at integer;
        -- 1: a database that was lost has sent of it, so that only a person settles its doubts
        alter table mailing add column restored integer not null default 0;
        update mailing set claimed = last, claimed_at = changed where state >= 2;
    """,
    "enrolled in order": """
        -- people are enrolled by ascending id: so the index only grows at its end, where by subscriber every mailing
        -- wrote all pages of all mailings again. + 0: only who asks for it has it, or SQLite would take it for
        -- whatever names a mailing, and walk along all its people
        drop index delivery_once;
        create unique index delivery_once on delivery(mailing + 0, subscriber);
    """,
    "returns": """
        create table mailbox (  -- how far each place that returned mail comes from was read
            id integer primary key,
            url text not null unique,
            validity integer not null default 0,  -- IMAP's UIDVALIDITY: with another one, all numbers are new
            last integer not null default 0,  -- the last UID of IMAP, or octets of an mbox
            mark text not null default ''  -- of an mbox: a digest of what stands before that place
        ) strict;

        create table known (  -- the messages of a Maildir that were read, as long as they lie there
            mailbox integer not null references mailbox(id),
            name text not null,
            primary key (mailbox, name)
        ) strict, without rowid;

        create table returned (  -- each message counts once, wherever and however often it is found
            id integer primary key,
            digest blob not null unique,  -- SHA-256 of as much of it as is read, whatever its line ends
            at integer not null,
            fate integer not null,  -- 1 understood, 2 ordinary mail, 3 set aside
            source text not null,  -- of ordinary mail nothing is kept but the digest
            raw blob  -- packed; until retention.returns is over
        ) strict;

        create table bounce (  -- one row for each recipient of each report, and for each refusal while sending
            id integer primary key,
            message integer references returned(id),  -- none: a refusal while sending
            source text not null,
            at integer not null,
            mailing integer,  -- none: it is tied to no copy of ours
            delivery integer,
            key text,  -- the folded address that the copy went to
            recipient text not null,
            kind text not null,
            action text not null,
            status text not null,
            reason text not null,
            words text not null,
            effect text not null,
            verdict text,  -- what is heard of a copy once: failed, complaint, unsubscribe
            sent integer,  -- when that copy was handed over
            counts integer not null default 0  -- 1: towards the address being suppressed
        ) strict;
        -- a second report of one copy is no news
        create unique index bounce_once on bounce(delivery, verdict) where verdict is not null;
        create index bounce_by_key on bounce(key) where key is not null;
        create index bounce_by_mailing on bounce(mailing);

        create table refusal (  -- refusals while sending that are still to be weighed
            delivery integer primary key,
            stage integer not null
        ) strict;
    """,
    "audit": """
        create table audit (  -- who changed what, and when: ids and numbers, never an address or a person's words
            id integer primary key,
            at integer not null,
            who text not null,  -- the system user
            what text not null,  -- noun and verb: "subscriber add", "mailing pause"
            subscriber integer,
            list integer,
            mailing integer,
            import integer,
            details text not null default '{}'  -- JSON
        ) strict;
        create index audit_by_subscriber on audit(subscriber) where subscriber is not null;
        create index audit_by_mailing on audit(mailing) where mailing is not null;
        create trigger audit_unchanged before update on audit
            begin select raise(abort, 'the audit log only grows'); end;
        create trigger audit_kept before delete on audit
            begin select raise(abort, 'the audit log only grows'); end;

        create table given (  -- ids of people who are gone are never given again: their deliveries stay
            one integer primary key check (one = 1),
            subscriber integer not null
        ) strict;
        insert into given values (1, 0);
        create trigger given_for_ever after delete on subscriber
            begin update given set subscriber = max(subscriber, old.id); end;
    """,
    "audit appended": """
        -- `insert or replace` takes the row that is there away, and calls no trigger that keeps it
        create trigger audit_appended before insert on audit when exists (select 1 from audit where id = new.id)
            begin select raise(abort, 'the audit log only grows'); end;
    """,
    "segments": """
        create table segment (  -- filters that have a name
            id integer primary key autoincrement,  -- never given again: the audit log names it
            key text not null unique,  -- the name in any case
            name text not null,
            meaning text not null,  -- as --where has it
            created integer not null,
            changed integer not null
        ) strict;
    """,
    "consent": """
        -- the system user who wrote it down; the language of the wording; what shows it, as JSON, as consent.py has it.
        -- What is said of everybody in a file, the file's name and digest too, is in the row of the import
        alter table consent add column who text not null default '';
        alter table consent add column language text not null default '';
        alter table consent add column evidence text not null default '{}';
        -- of its consent
        alter table import add column language text not null default '';

        create table erasing (  -- whose record may go; empty but for the moment in which a person is erased
            subscriber integer primary key
        ) strict;
        -- others may have named that person in their own words
        create trigger consent_unchanged before update on consent when not exists (select 1 from erasing)
            begin select raise(abort, 'the record of consents only grows'); end;
        create trigger consent_kept before delete on consent
            when not exists (select 1 from erasing where subscriber = old.subscriber)
            begin select raise(abort, 'the record of consents only grows'); end;

        create table erased (  -- who was erased, and must not come back with a file: nobody can read who it is
            hash blob primary key,  -- of the folded address, keyed with secret.key
            at integer not null,
            reason text not null default ''  -- complained, bounced, staff: what barred them besides
        ) strict, without rowid;
    """,
    "undo": """
        create table reversal (  -- what an import changed of people who were known: enough to take it back
            import integer not null references import(id),
            subscriber integer not null,
            given integer not null,  -- how it made them stand to its list: 0 as before, else as in subscription
            standing integer,  -- how they stood before; none: they never had
            since integer,
            changed integer,  -- when they were changed last before it; none: it changed no details
            became integer,  -- and from it on
            said text not null,  -- JSON: field → [before, after]; custom ones as fields.NAME
            primary key (import, subscriber)
        ) strict, without rowid;
        create index reversal_by_subscriber on reversal(subscriber);

        -- the people whom it made have the ids above first up to last; none: it cannot be undone
        alter table import add column first integer;
        alter table import add column last integer;
        -- the last entry of the record of consents when it was done: what is above came since
        alter table import add column consents integer;
        -- JSON: names of fields that nobody had before
        alter table import add column fields text not null default '[]';
        alter table import add column undone integer;

        -- the import that brought it; none, or none any more: somebody's own word, a bounce, the staff
        alter table suppression add column import integer;

        -- numbers of entries that are gone are given again, when the last ones go
        create trigger consent_recedes after delete on consent
            when old.id > (select coalesce(max(id), 0) from consent)
            begin update import set consents = old.id - 1 where consents >= old.id; end;
    """,
    "retention": """
        -- since when the deliveries of a mailing are being forgotten: its figures and its text stay
        alter table mailing add column forgotten integer;
        -- what nobody encloses any more is looked for by it
        create index enclosure_by_digest on enclosure(digest);
    """,
    "digest": """
        create table told (  -- what staff was told of by mail, each of them once
            event text not null,  -- "audit 17" for a line of the log, "doubt 3" for a mailing, else a trouble
            staff text not null,  -- a fingerprint of whose address it was
            at integer not null,
            primary key (event, staff)
        ) strict, without rowid;
        create table trouble (  -- what is wrong and lasts
            event text primary key,  -- "relay main", "mailbox imaps://…"
            why text not null,
            refused integer not null,  -- 1: a refusal, which waiting will not mend
            since integer not null,
            until integer  -- none: it lasts
        ) strict, without rowid;
        -- doubts where there were none left are news again
        create trigger told_of_doubts after update on tally when new.state = 6 and new.number = 0
            begin delete from told where event = 'doubt ' || new.mailing; end;
        create index audit_news on audit(at) where what in ('mailing finish', 'mailing hold', 'mailing pause');
    """,
    "windows": """
        -- what `expires` means: 0 too late to start; 1 what has not gone by then does not go any more; 2 nothing any
        -- more, for a person let it go on all the same
        alter table mailing add column guard integer not null default 0;
    """,
    "release": """
        create table preparer (  -- who prepared a mailing, to know them from who approves it
            mailing integer primary key,
            uid integer not null,  -- the user who had logged in; the account where nobody knows
            account integer not null,  -- as whom the program ran
            known integer not null  -- 1: the system knew who used the account
        ) strict;

        create table approval (  -- only ever added to; it counts as long as the mailing has this digest
            id integer primary key,
            mailing integer not null references mailing(id),
            digest text not null,
            at integer not null,
            who text not null,
            uid integer not null,  -- these three as in preparer
            account integer not null,
            known integer not null
        ) strict;
        create index approval_by_mailing on approval(mailing);
        create trigger approval_unchanged before update on approval
            begin select raise(abort, 'approvals are only added to'); end;
        create trigger approval_kept before delete on approval
            begin select raise(abort, 'approvals are only added to'); end;
        -- `insert or replace` takes the row that is there away, and calls no trigger that keeps it
        create trigger approval_appended before insert on approval
            when exists (select 1 from approval where id = new.id)
            begin select raise(abort, 'approvals are only added to'); end;

        create table confirmed (  -- kinds of surprises of a mailing that a person was told of, and said yes to
            mailing integer not null references mailing(id),
            kind text not null,
            primary key (mailing, kind)
        ) strict, without rowid;
    """,
    "undo after erasing": """
        -- the entries of one person go one by one: only when the last has gone is it known which numbers come again
        drop trigger consent_recedes;
        create trigger consent_recedes after delete on consent
            when old.id > (select coalesce(max(id), 0) from consent)
            begin update import set consents = (select coalesce(max(id), 0) from consent)
            where consents > (select coalesce(max(id), 0) from consent); end;
    """,
}
