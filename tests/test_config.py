"""Laws of broadcaster.toml: every key of it is read, and what is wrong is named with its place and what is allowed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import config
from broadcaster.errors import ConfigError
from broadcaster.pace import Limit
from broadcaster.relay import PROFILES, is_loopback
from broadcaster.settings import duration

SMALL = """
[sender]
name = "Water for All"
address = "news@example.org"

[relays.main]
url = "maildir:outbox"
"""

WHOLE = """
[sender]
name = { en = "Water for All", ar = "الماء للجميع" }
address = "news@example.org"
reply_to = "office@example.org"
postal_address = "12 River Street, Basra"
staff = ["office@example.org"]
[languages]
default = "en"
offered = ["en", "ar", "ckb"]
[time]
zone = "Asia/Baghdad"
quiet = ["21:00-08:00"]
days_off = ["fri", "sat", "2026-08-15"]
[links]
leave_mailto = "leave@example.org"
site = "https://news.example.org"
one_click = false
[relays.main]
profile = "microsoft365"
url = "smtps://smtp.example.net"
user = "news@example.org"
tls = "required"
ca_file = "relay-ca.pem"
password_file = "relay.password"
connections = 4
limits = ["30/m", "10000/d"]
messages_per_connection = 50
weight = 2
[destinations."gmail.com"]
connections = 2
limits = ["5/s"]
[retry]
after = ["5m", "15m", "1h", "2h", "4h"]
give_up = "2d"
[safety]
stop_after = { rejected = "20%", of_at_least = 20 }
surprise = "3x"
in_doubt = "hold"
approvals = 0
[returns]
return_path = "bounces@example.org"
verp = "auto"
mailboxes = ["imaps://imap.example.org/INBOX", { url = "imaps://imap.example.org", user = "b", password_env = "P" }]
hard = 1
soft = { mailings = 5, within = "30d" }
[dkim]
domain = "example.org"
selector = "news"
key_file = "dkim.pem"
[theme]
logo = "logo.png"
colour = "#0a5c8a"
[retention]
deliveries = "1y"
returns = "30d"
"""


def wrong(text: str) -> ConfigError:
    """The error that a text leads to."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    assert caught.value.status == 78
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_senders_name_holds_no_mark_that_nobody_sees() -> None:
    told = config.parse(WHOLE.replace('"Water for All"', '"Water\u200f for \u200eAll\u061c"')).sender
    assert told.name.into("en", "en") == "Water for All"


def test_every_key_of_the_interface_is_read() -> None:
    whole = config.parse(WHOLE)
    assert whole.sender.name.into("ar-IQ", "en") == "الماء للجميع"
    assert whole.sender.name.into("fr", "en") == "Water for All"
    assert [str(a) for a in whole.sender.staff] == ["office@example.org"]
    assert whole.languages.offered == ("en", "ar", "ckb")
    assert whole.time.quiet == ((21 * 60, 8 * 60),)
    assert whole.time.weekdays_off == {4, 5}
    assert whole.time.dates_off == {date(2026, 8, 15)}
    relay = whole.relays[0]
    assert (relay.name, relay.kind, relay.host, relay.port) == ("main", "smtps", "smtp.example.net", 465)
    assert (relay.connections, relay.messages_per_connection, relay.weight) == (4, 50, 2)
    assert relay.limits == (Limit.parse("30/m"), Limit.parse("10000/d"))
    assert relay.secret is not None
    assert (relay.secret.kind, relay.secret.source) == ("file", "relay.password")
    assert whole.destinations[0].domain == "gmail.com"
    assert whole.retry.after == (300, 900, 3600, 7200, 14400)
    assert whole.retry.give_up == 172800
    assert (whole.safety.stop_rejected, whole.safety.stop_of_at_least, whole.safety.surprise) == (0.2, 20, 3)
    assert [box.path for box in whole.returns.mailboxes] == ["INBOX", "INBOX"]
    assert whole.dkim == config.Dkim("example.org", "news", "dkim.pem")
    assert whole.theme == {"logo": "logo.png", "colour": "#0a5c8a"}
    assert whole.retention.returns == 30 * 86400


def test_the_sample_is_right() -> None:
    sample = config.parse((Path(__file__).parents[1] / "broadcaster.toml").read_text("utf-8"))
    assert sample.rehearsal


def test_what_is_left_out_has_the_documented_defaults() -> None:
    small = config.parse(SMALL)
    assert small.languages == config.Languages("en", ("en",))
    assert small.relays[0].limits == (Limit.parse("1/s"),)
    assert (small.returns.hard, small.safety.in_doubt, small.safety.approvals) == (1, "hold", 0)


def test_no_limits_are_no_limits() -> None:
    assert config.parse(SMALL + "limits = []").relays[0].limits == ()


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("name =", "nmae =", "broadcaster.toml:3", "sender.nmae: no such key; allowed here: name, address"),
        ('"news@example.org"', '"news"', "broadcaster.toml:4", "sender.address: "),
        ('"news@example.org"', "7", "broadcaster.toml:4", "sender.address: must be text in quotes, not 7"),
        ('address = "news@example.org"', "", "broadcaster.toml:2", "sender.address: is missing"),
        ("[sender]", "[sendr]", "broadcaster.toml:2", "sendr: no such table; allowed here: sender, languages"),
        ('"maildir:outbox"', '"outbox"', "broadcaster.toml:7", "relays.main.url: must be smtp://HOST"),
        ('"Water for All"', '"Water \u202eriaf"', "broadcaster.toml:3", "sender.name: holds a sign that turns"),
        ('"Water for All"', '"Water\\nBcc: x@y.example"', "broadcaster.toml:3", "sender.name: must be one line"),
    ],
)
def test_an_error_names_file_line_key_and_what_is_allowed(old: str, new: str, where: str, says: str) -> None:
    error = wrong(SMALL.replace(old, new, 1))
    assert str(error).startswith(f"{where}: {says}")


def test_a_misspelt_key_is_given_its_right_name() -> None:
    assert wrong(SMALL.replace("address", "adress")).hint == "did you mean address?"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[relays.main]\nconections = 3", "no such key"),
        ('[relays.b]\nprofile = "microsoft"', "relays.b.profile: .* is not one of microsoft365"),
        ('[relays.b]\nurl = "smtp://u:secret@h.example"', "must not hold a user or password"),
        ('[relays.b]\nurl = "smtp://h.example:99999"', "must be smtp"),
        ('[relays.b]\nurl = "smtp://[::1"', "must be smtp"),
        ('[relays.b]\nurl = "ftp://h.example"', "must be smtp"),
        ('[relays.b]\nurl = "maildir:/"', "needs a folder"),
        ('[relays.b]\nurl = "smtp://h.example"\ntls = "none"', "this machine only"),
        ('[relays.b]\nurl = "smtp://h.example"\ntls = "starttls"', "not one of required, none"),
        ('[relays.b]\nurl = "smtps://localhost"\ntls = "none"', "TLS from the first byte"),
        ('[relays.b]\nurl = "smtp://h.example"\nuser = "u"', "needs one of password_file"),
        ('[relays.b]\nurl = "smtp://h.example"\npassword_env = "P"', "belongs to a user"),
        ('[relays.b]\nurl = "smtp://h.example"\nuser="u"\npassword_env = "P"\npassword_file = "f"', "only one of"),
        ('[relays.b]\nurl = "smtp://h.example"\nconnections = 0', "from 1 to 1,000"),
        ('[relays.b]\nurl = "smtp://h.example"\nconnections = true', "must be a whole number, not true"),
        ('[relays.b]\nurl = "smtp://h.example"\nlimits = "30/m"', "must be a list"),
        ('[relays.b]\nurl = "smtp://h.example"\nlimits = ["fast"]', "not a rate"),
        ('[relays.b]\nprofile = "ses"', "relays.b.url: is missing: the profile ses has none"),
        ('[languages]\ndefault = "english language"', "not a language tag"),
        ('[languages]\ndefault = "en"\noffered = ["ar"]', "must hold the default language"),
        ('[time]\nzone = "Mars/Base"', "no time zone"),
        ('[time]\nzone = "../../etc/passwd"', "no time zone"),
        ('[time]\nquiet = ["21-08"]', "no span of hours"),
        ('[time]\ndays_off = ["someday"]', "no day"),
        ('[time]\ndays_off = ["2026-02-31"]', "no day"),
        ('[links]\nsite = "http://news.example.org"', "must be an https address"),
        ("[links]\none_click = true", "needs links.site"),
        ('[links]\nleave_mailto = "leave@example.org>"', "links.leave_mailto"),
        ('[destinations."x y"]\nconnections = 1', "is no domain"),
        ("[retry]\nafter = []", "at least one"),
        ('[retry]\ngive_up = "2 days"', "no duration"),
        ('[retry]\ngive_up = "0s"', "no duration"),
        ('[retry]\ngive_up = "999999999y"', "no duration"),
        ('[safety]\nstop_after = { rejected = "120%" }', "no share"),
        ("[safety]\nstop_after = { of_at_least = 3 }", "rejected: is missing"),
        ('[safety]\nsurprise = "lots"', "no factor"),
        ("[safety]\napprovals = 2", "from 0 to 1"),
        ('[safety]\nin_doubt = "guess"', "not one of hold, resend"),
        ('[returns]\nmailboxes = ["pop3://h.example"]', "must be imaps"),
        ("[returns]\nmailboxes = [3]", "or of tables with a url"),
        ('[returns]\nmailboxes = [{ url = "mbox:m", move_to = "cur" }]', "of an mbox nothing"),
        ('[returns]\nmailboxes = [{ url = "maildir:m", move_to = "away" }]', 'can only be "cur"'),
        ('[returns]\nmailboxes = [{ url = "maildir:m", user = "u" }]', "is for imaps only"),
        ('[returns]\nmailboxes = [{ url = "imaps://h.example", user = "u" }]', "user: needs one of"),
        ('[returns]\nmailboxes = [{ url = "imap://h.example" }]', "must be imaps"),
        (f'[returns]\nreturn_path = "{"b" * 40}@example.org"', "no room for a token"),
        ('[dkim]\ndomain = "example.org"', "dkim.selector: is missing"),
        ('[theme]\ncolour = "red;} body {"', "no colour"),
        ("[theme]\nfont = 'x\"><script>'", "names of fonts"),
    ],
)
def test_a_wrong_value_is_named(line: str, says: str) -> None:
    text = SMALL.replace("[relays.main]", "") if line.startswith("[relays.main]") else SMALL
    error = wrong(text + "\n" + line)
    import re

    assert re.search(says, str(error)), str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("text", ["[[[", "a = " + "[" * 5000, "a = " + "9" * 5000, "a = 1\na = 2", "\x00", "x"])
def test_what_is_no_toml_is_said_to_be_none(text: str) -> None:
    assert "not TOML" in str(wrong(text))


def test_a_file_of_windows_is_read() -> None:
    assert config.parse("\ufeff" + SMALL.replace("\n", "\r\n")) == config.parse(SMALL)


@given(st.text(max_size=200))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        config.parse(text)


@pytest.mark.parametrize("missing", ["sender", "relays"])
def test_a_needed_table_that_is_missing_is_named(missing: str) -> None:
    parts = [part for part in SMALL.split("\n\n") if f"[{missing}" not in part]
    assert str(wrong("\n".join(parts))) == f"broadcaster.toml: {missing}: is missing"


def test_profiles_fill_in_and_written_keys_win() -> None:
    plain = config.parse(SMALL.replace('url = "maildir:outbox"', 'profile = "microsoft365"')).relays[0]
    assert (plain.host, plain.port, plain.tls) == ("smtp.office365.com", 587, "required")
    assert [str(limit) for limit in plain.limits] == ["30/m", "10000/d"]
    written = config.parse(SMALL.replace('url = "maildir:outbox"', 'profile = "microsoft365"\nlimits = ["1/m"]'))
    assert [str(limit) for limit in written.relays[0].limits] == ["1/m"]


@pytest.mark.parametrize("name", list(PROFILES))
def test_every_profile_is_right_by_itself(name: str) -> None:
    url = "" if PROFILES[name].url else f'url = "{PROFILES[name].example}"'
    relay = config.parse(SMALL.replace('url = "maildir:outbox"', f'profile = "{name}"\n{url}')).relays[0]
    assert relay.host
    assert relay.tls == "required" or is_loopback(relay.host)


def test_plain_text_to_another_machine_needs_a_word() -> None:
    text = SMALL.replace('"maildir:outbox"', '"smtp://mail.example"\ntls = "none"\nallow_plaintext = true')
    assert config.parse(text).relays[0].port == 25


@pytest.mark.parametrize(
    ("host", "ours"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("localhost.evil.example", False)]
)
def test_only_this_machine_is_loopback(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


def test_a_marked_return_path_goes_only_where_it_survives() -> None:
    text = SMALL + '[returns]\nreturn_path = "b@example.org"\n'
    plain = config.parse(text)
    assert plain.marks(plain.relays[0])
    assert not config.parse(SMALL).marks(plain.relays[0])
    strict = config.parse(text.replace('url = "maildir:outbox"', 'profile = "microsoft365"'))
    assert not strict.marks(strict.relays[0])
    forced = config.parse(text.replace('url = "maildir:outbox"', 'profile = "microsoft365"') + 'verp = "on"')
    assert forced.marks(forced.relays[0])


@given(st.integers(1, 1000), st.sampled_from("smhd"))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert duration(f"{number}{unit}") == number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def test_a_secret_is_not_shown() -> None:
    text = SMALL.replace('"maildir:outbox"', '"smtp://h.example"\nuser = "u"\npassword_command = "echo hunter2"')
    assert "hunter2" not in repr(config.parse(text))
