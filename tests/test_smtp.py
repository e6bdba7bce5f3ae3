"""What only SMTP can do wrong: replies, phases, addresses, TLS, logging in."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.delivery import About, Answer, Envelope, Event, Reply, Silence, Stage, judge
from broadcaster.errors import ConfigError
from broadcaster.relay import Relay, Secret
from broadcaster.transports.smtp import SmtpTransport, Timeouts, _Pipe, tls_context
from tests.lab.server import OFFERS, Lab, Rule, running

CA = str(Path(__file__).parent / "lab" / "tls" / "ca.pem")
BODY = b"Subject: Hello\r\n\r\nHello\r\n"
SHORT = Timeouts(connect=0.3, hello=0.3, mail=0.3, data=0.3, block=0.3, dot=0.3, quit=0.2)


def transport(lab: Lab, timeouts: Timeouts | None = None, **relay: object) -> SmtpTransport:
    settings = {"host": "127.0.0.1", "port": lab.port, "tls": "none", **relay}
    return SmtpTransport(Relay("main", "smtp", **settings), timeouts=timeouts)  # type: ignore[arg-type]


async def deliver(
    way: SmtpTransport, address: str = "p@y.example", body: bytes = BODY, sender: str = "b@x.example", **more: object
) -> tuple[Answer, int]:
    """The answer, and how often the mark was made."""
    marks = 0

    async def hand() -> None:
        nonlocal marks
        marks += 1

    answer = await way.deliver(Envelope(1, sender, address, body, **more), hand)  # type: ignore[arg-type]
    return answer, marks


# every refusal, at every stage, with and without pipelining

STAGES = {"mail": Stage.MAIL, "rcpt": Stage.RCPT, "data": Stage.DATA, "dot": Stage.DOT}
offered = pytest.mark.parametrize("offers", [OFFERS, ()], ids=["pipelined", "plain"])


@offered
@pytest.mark.parametrize("at", STAGES)
@pytest.mark.parametrize("reply", ["450 4.2.0 later", "550 5.1.1 no such person"])
async def test_a_refusal_is_told_with_its_stage_and_the_next_message_goes_on(
    at: str, reply: str, offers: tuple[str, ...]
) -> None:
    with running(Rule(at, reply=reply, tries=(1,)), offers=offers) as lab:
        way = transport(lab)
        code, text = reply.split(" ", 1)
        assert await deliver(way) == (Reply(STAGES[at], int(code), text), int(at == "dot"))
        assert await deliver(way, body=BODY * 2) == (Reply(Stage.DOT, 250, "2.0.0 Ok: queued"), 1)
        await way.close()
        assert [message.data for message in lab.messages if message.accepted] == [BODY * 2]
        [session] = lab.sessions
        # put back only what was left half-way, and never first
        assert session.verbs.count("RSET") == int(at in ("rcpt", "data"))
        assert not session.faults


@offered
@pytest.mark.parametrize("at", STAGES)
async def test_421_closes_the_connection_and_the_next_message_opens_another(at: str, offers: tuple[str, ...]) -> None:
    with running(Rule(at, reply="421 4.3.2 going down", then="hang", tries=(1,)), offers=offers) as lab:
        way = transport(lab)
        answer, _ = await deliver(way)
        assert answer == Reply(STAGES[at], 421, "4.3.2 going down")
        assert judge((await deliver(way))[0]).event is Event.ACCEPT
        await way.close()
        assert len(lab.sessions) == 2


@offered
@pytest.mark.parametrize("how", ["close", "reset", "hang"])
@pytest.mark.parametrize("at", STAGES)
async def test_silence_before_the_dot_is_a_miss_and_after_it_a_doubt(
    at: str, how: str, offers: tuple[str, ...]
) -> None:
    with running(Rule(at, then=how, tries=(1,)), offers=offers) as lab:
        way = transport(lab, SHORT)
        answer, marks = await deliver(way)
        assert isinstance(answer, Silence)
        assert answer.after_dot == (at == "dot") == bool(marks)
        assert answer.why
        assert judge((await deliver(way))[0]).event is Event.ACCEPT
        await way.close()


@offered
@pytest.mark.parametrize("big", [False, True], ids=["small", "big"])
async def test_cut_after_any_byte_nothing_is_ever_called_accepted_that_was_not(
    offers: tuple[str, ...], big: bool
) -> None:
    body = BODY if not big else BODY + b"Some more of it.\r\n" * 30_000
    for after in [1, 20, 40, 60, 80, 90, 100, 110, 120, len(body) // 2, len(body), len(body) + 70, len(body) + 90]:
        with running(Rule("byte", after=after, then="reset", tries=(1,)), offers=offers) as lab:
            answer, marks = await deliver(transport(lab, SHORT), body=body)
            received = [message for message in lab.messages if message.accepted]
            if isinstance(answer, Reply):
                assert (judge(answer).event is Event.ACCEPT) == bool(received)
            elif not answer.after_dot:
                assert not received
                assert not marks


# early refusals while the message is being written


@pytest.mark.parametrize("then", ["hang", "close", "reset"])
@pytest.mark.parametrize("size", [1, 200_000, 3_000_000])
async def test_a_refusal_while_the_message_is_being_written_is_heard(size: int, then: str) -> None:
    body = BODY + b"More of it, and more.\r\n" * (size // 23)
    with running(Rule("body", after=min(size, 20), reply="552 5.3.4 too big", then=then)) as lab:
        answer, _ = await deliver(transport(lab, SHORT), body=body)
        assert answer == Reply(Stage.DOT, 552, "5.3.4 too big")
        assert not lab.messages


async def test_a_refusal_with_the_354_is_heard_and_nothing_is_handed() -> None:
    with running(Rule("data", reply="354 go\n550 5.7.0 or rather not")) as lab:
        assert await deliver(transport(lab, SHORT)) == (Reply(Stage.DOT, 550, "5.7.0 or rather not"), 0)


async def test_a_yes_before_the_message_is_out_is_believed_by_nobody() -> None:
    with running(Rule("data", reply="354 go\n250 done")) as lab:
        answer, marks = await deliver(transport(lab, SHORT))
        assert isinstance(answer, Silence)
        assert (answer.after_dot, marks) == (False, 0)


# replies that are not what they should be


async def test_a_surplus_reply_charges_nobody_else() -> None:
    with running(Rule("dot", reply="250 2.0.0 ok\n550 5.1.1 no such user", tries=(1,))) as lab:
        way = transport(lab)
        assert (await deliver(way))[0] == Reply(Stage.DOT, 250, "2.0.0 ok")
        assert judge((await deliver(way, "next@y.example"))[0]).event is Event.ACCEPT
        await way.close()
        assert len(lab.sessions) == 2


async def test_a_late_surplus_reply_never_blames_the_next_person() -> None:
    # it comes when the next MAIL is out: every reply is one too early
    with running(Rule("mail", reply="550 5.1.1 no such user\n250 2.1.0 Ok", tries=(2,))) as lab:
        way = transport(lab)
        await deliver(way)
        answer, marks = await deliver(way, "next@y.example")
        assert judge(answer).event is Event.MISS
        assert marks == 0
        assert judge((await deliver(way, "next@y.example"))[0]).event is Event.ACCEPT
        await way.close()


@offered
@pytest.mark.parametrize(
    "raw",
    [
        "garbage\r\n",
        "25\r\n",
        "999 what\r\n",
        "150 preliminary\r\n",
        "250_ok\r\n",
        "\r\n",
        "2５0 wide\r\n".encode().decode("latin-1"),
        "250-" + "x" * 100 + "\r\n" + "250-y\r\n" * 40_000,
        "250 " + "x" * 300_000,
        "250-" + "x" * 20_000 + "\r\n",
        "\x00" * 20_000,
    ],
    ids=["word", "short", "999", "150", "mark", "empty", "digits", "endless reply", "endless line", "long", "zeros"],
)
@pytest.mark.parametrize("at", ["mail", "dot"])
async def test_a_malformed_or_endless_reply_closes_the_connection(at: str, raw: str, offers: tuple[str, ...]) -> None:
    with running(Rule(at, raw=raw, tries=(1,)), offers=offers) as lab:
        way = transport(lab, SHORT)
        answer, _ = await deliver(way)
        assert isinstance(answer, Silence)
        assert answer.after_dot == (at == "dot")
        assert len(answer.why) < 1200
        assert answer.why.isprintable()
        assert judge((await deliver(way))[0]).event is Event.ACCEPT
        await way.close()


async def test_what_a_relay_says_is_kept_without_control_and_direction_marks() -> None:
    nasty = "550-5.7.1 \x1b[31mred\x07\r\n550 5.7.1 \u202eback \xe9 \udcff end\r\n"
    raw = nasty.encode("utf-8", "surrogateescape").decode("latin-1")
    with running(Rule("rcpt", raw=raw)) as lab:
        answer, _ = await deliver(transport(lab))
        assert answer == Reply(Stage.RCPT, 550, "5.7.1 [31mred 5.7.1 back é \\xff end")
        assert answer.status == "5.7.1"


class Wire(asyncio.Transport):
    """Nothing behind it."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass


@given(
    st.lists(
        st.tuples(st.integers(200, 599).filter(lambda code: code != 421), st.lists(st.binary(max_size=20), min_size=1)),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(1, 30)),
)
@settings(deadline=None, max_examples=200)
def test_replies_in_any_pieces_are_the_same_replies(replies: list[tuple[int, list[bytes]]], sizes: list[int]) -> None:
    lines = [(code, [line.replace(b"\n", b"") for line in lines]) for code, lines in replies]
    raw = b"".join(
        b"".join(b"%d-%s\r\n" % (code, line) for line in lines[:-1]) + b"%d %s\r\n" % (code, lines[-1])
        for code, lines in lines
    )

    async def hear() -> list[tuple[int, bytes]]:
        pipe = _Pipe(Wire())
        asked = pipe.ask(b"", len(lines), 10)
        start = 0
        for size in [*sizes, len(raw)]:
            if raw[start : start + size]:
                pipe.data_received(raw[start : start + size])
            start += size
        heard = await asked
        pipe.abort("enough")
        return heard

    heard = asyncio.run(hear())
    assert [(code, text.removesuffix(b"\r")) for code, text in heard] == [
        (code, b" ".join([*(line + b"\r" for line in lines[:-1]), lines[-1]])) for code, lines in lines
    ]


async def test_codes_that_make_no_sense_together_are_out_of_step() -> None:
    for rules in (
        [Rule("mail", reply="354 what")],
        [Rule("mail", reply="550 no"), Rule("rcpt", reply="250 yes")],
        [Rule("data", reply="250 no")],
        [Rule("rcpt", reply="334 x")],
    ):
        with running(*rules) as lab:
            answer, marks = await deliver(transport(lab, SHORT))
            assert judge(answer).event is Event.MISS
            assert marks == 0


@offered
async def test_a_message_for_nobody_is_a_lone_dot(offers: tuple[str, ...]) -> None:
    with running(
        Rule("rcpt", reply="550 5.1.1 no", tries=(1,)), Rule("data", reply="354 go", tries=(1,)), offers=offers
    ) as lab:
        way = transport(lab, SHORT)
        assert await deliver(way) == (Reply(Stage.RCPT, 550, "5.1.1 no"), 0)
        assert judge((await deliver(way))[0]).event is Event.ACCEPT
        assert [message.data for message in lab.messages if message.recipients] == [BODY]
        assert not any(message.data and not message.recipients for message in lab.messages)
        await way.close()


async def test_an_idle_connection_that_was_closed_is_opened_again() -> None:
    with running(Rule("noop")) as lab:
        way = transport(lab)
        await deliver(way)
        for connection in list(lab.connections):
            connection.transport._loop.call_soon_threadsafe(connection.say, "421 4.4.2 idle too long")  # type: ignore[attr-defined]
        await asyncio.sleep(0.05)
        assert judge((await deliver(way))[0]).event is Event.ACCEPT
        await way.close()
        assert len(lab.sessions) == 2


# what was offered, and what goes out


async def test_only_what_is_offered_is_used() -> None:
    with running() as lab:
        way = transport(lab)
        await deliver(way, envid="token+1=", body=BODY)
        await deliver(way, "jörg@y.example", smtputf8=True, body="Subject: ö\r\n\r\n".encode())
        await way.close()
        first, second = lab.messages
        assert first.mail_options == f"SIZE={len(BODY)} RET=HDRS ENVID=token+2B1+3D"
        assert first.rcpt_options == ("NOTIFY=FAILURE ORCPT=rfc822;p@y.example",)
        assert second.mail_options == "SIZE=15 BODY=8BITMIME SMTPUTF8"
        assert second.recipients == ("jörg@y.example",)
    with running(offers=()) as lab:
        way = transport(lab)
        await deliver(way, envid="token")
        await way.close()
        assert lab.messages[0].mail_options == ""
        assert lab.messages[0].rcpt_options == ("",)


@pytest.mark.parametrize(
    ("offers", "envelope", "stage", "status"),
    [
        (["SIZE 10"], {}, Stage.MAIL, "5.3.4"),
        ([], {"address": "jörg@y.example", "smtputf8": True}, Stage.RCPT, "5.6.7"),
        (["SMTPUTF8"], {"address": "jörg@y.example", "smtputf8": True}, Stage.MAIL, "5.6.3"),
    ],
)
async def test_what_the_relay_does_not_take_is_not_asked(
    offers: list[str], envelope: dict[str, object], stage: Stage, status: str
) -> None:
    with running(offers=offers) as lab:
        way = transport(lab)
        answer, marks = await deliver(way, **envelope)  # type: ignore[arg-type]
        assert isinstance(answer, Reply)
        assert (answer.stage, answer.status, marks) == (stage, status, 0)
        await way.close()
        assert "MAIL" not in lab.sessions[0].verbs


@pytest.mark.parametrize("limit", ["LIMITS MAILMAX=3", ""])
async def test_a_connection_carries_no_more_than_it_may(limit: str) -> None:
    with running(offers=["PIPELINING", limit] if limit else ["PIPELINING"]) as lab:
        way = transport(lab, messages_per_connection=100 if limit else 3)
        for _ in range(7):
            assert judge((await deliver(way))[0]).event is Event.ACCEPT
        await way.close()
        assert [session.verbs.count("MAIL") for session in lab.sessions] == [3, 3, 1]
        assert [session.verbs[-1] for session in lab.sessions] == ["QUIT"] * 3


@given(st.text(max_size=40), st.booleans())
@settings(deadline=None, max_examples=200)
def test_no_address_becomes_a_command_or_an_option(text: str, utf8: bool) -> None:
    way = SmtpTransport(Relay("main", "smtp", host="h", port=25, tls="none"))
    way._offers = {"smtputf8": "", "8bitmime": ""}
    envelope = Envelope(1, text, text + "@y.example", b"", smtputf8=utf8)
    if way._unfit(envelope) is None:
        mail, rcpt, data, end = way._commands(envelope).split(b"\r\n")
        assert mail == b"MAIL FROM:<" + text.encode() + b">" + (b" BODY=8BITMIME SMTPUTF8" if utf8 else b"")
        assert rcpt == b"RCPT TO:<" + text.encode() + b"@y.example>"
        assert (data, end) == (b"DATA", b"")


async def test_an_injected_address_reaches_nobody() -> None:
    with running() as lab:
        way = transport(lab)
        for address in (
            "a@y.example>\r\nRCPT TO:<v@y.example",
            "a@y.example\nX",
            "a@y.example> NOTIFY=NEVER",
            "a b@y.example",
        ):
            answer, marks = await deliver(way, address)
            assert isinstance(answer, Reply)
            assert (answer.stage, answer.code, marks) == (Stage.RCPT, 553, 0)
        await way.close()
        assert "MAIL" not in lab.sessions[0].verbs


async def test_the_null_sender_is_a_sender() -> None:
    with running() as lab:
        way = transport(lab)
        assert judge((await deliver(way, sender=""))[0]).event is Event.ACCEPT
        await way.close()
        assert lab.sessions[0].lines[1].startswith("MAIL FROM:<>")


# opening


async def test_nobody_there_is_a_silence() -> None:
    with running() as lab:
        port = lab.port
    way = SmtpTransport(Relay("main", "smtp", host="127.0.0.1", port=port, tls="none"), timeouts=SHORT)
    answer = await way.open()
    assert isinstance(answer, Silence)
    assert f"127.0.0.1:{port}" in answer.why or f"127.0.0.1 on port {port}" in answer.why
    assert (await deliver(way))[0] == answer
    await way.close()


@pytest.mark.parametrize(
    ("rule", "stage"),
    [
        (Rule("connect", reply="554 5.7.1 not you"), Stage.CONNECT),
        (Rule("connect", reply="421 4.3.2 later"), Stage.CONNECT),
        (Rule("ehlo", reply="550 5.7.1 no"), Stage.HELLO),
        (Rule("ehlo", reply="421 4.3.2 later"), Stage.HELLO),
        (Rule("connect", then="close"), None),
        (Rule("connect", then="hang"), None),
        (Rule("connect", raw="hello\r\n"), None),
        (Rule("ehlo", then="close"), None),
        (Rule("ehlo", then="hang"), None),
        (Rule("ehlo", raw="250-" + "x\r\n250-" * 20_000), None),
    ],
)
async def test_what_is_said_before_mail_is_told_with_its_stage(rule: Rule, stage: Stage | None) -> None:
    with running(rule) as lab:
        answer, marks = await deliver(transport(lab, SHORT))
        assert marks == 0
        if stage is None:
            assert isinstance(answer, Silence)
            assert not answer.after_dot
        else:
            assert isinstance(answer, Reply)
            assert (answer.stage, answer.code) == (stage, int(rule.reply[:3]))


async def test_a_relay_without_ehlo_is_greeted_the_old_way() -> None:
    with running(Rule("ehlo", reply="502 5.5.1 what?")) as lab:
        way = transport(lab)
        assert judge((await deliver(way))[0]).event is Event.ACCEPT
        await way.close()
        assert lab.sessions[0].verbs[:3] == ["EHLO", "HELO", "MAIL"]


async def test_our_own_name_is_not_told() -> None:
    with running() as lab:
        way = transport(lab)
        await way.open()
        await way.close()
        assert lab.sessions[0].lines[0] == "EHLO [127.0.0.1]"


# TLS


def secure(lab: Lab, kind: str = "smtp", ca_file: str = CA, **relay: object) -> SmtpTransport:
    settings = {"host": "localhost", "port": lab.port, "ca_file": ca_file, **relay}
    return SmtpTransport(
        Relay("main", kind, **settings),  # type: ignore[arg-type]
        timeouts=SHORT,
        secret=lambda: "open sesame",
    )


async def test_where_tls_is_stripped_nothing_is_said() -> None:
    with running(users={"u": "open sesame"}) as lab:
        answer = await secure(lab, user="u").open()
        assert isinstance(answer, Reply)
        assert answer.status == "5.7.4"
        assert "offers no TLS" in answer.text
        assert judge(answer).about is About.US
        assert lab.sessions[0].verbs == ["EHLO"]


async def test_starttls_that_is_refused_is_a_refusal() -> None:
    with running(Rule("starttls", reply="454 4.7.0 not now"), tls="starttls", users={"u": "p"}) as lab:
        answer = await secure(lab, user="u").open()
        assert answer == Reply(Stage.HELLO, 454, "4.7.0 not now")
        assert lab.sessions[0].verbs == ["EHLO", "STARTTLS"]


async def test_what_was_slipped_in_before_tls_is_not_believed() -> None:
    injected = "220 go\r\n250-AUTH LOGIN\r\n250-SIZE 1\r\n250 PIPELINING\r\n"
    with running(Rule("starttls", raw=injected), tls="starttls", offers=["8BITMIME"]) as lab:
        way = secure(lab)
        answer, _ = await deliver(way)
        # either the session was dropped, or it went on without a word of it
        assert isinstance(answer, Silence) or judge(answer).event is Event.ACCEPT
        assert not any(session.faults for session in lab.sessions)
        await way.close()


@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize(("certificate", "ca_file"), [("expired", CA), ("elsewhere", CA), ("good", "")])
async def test_a_certificate_that_is_not_good_is_refused_with_the_reason(
    kind: str, certificate: str, ca_file: str
) -> None:
    with running(tls="implicit" if kind == "smtps" else "starttls", certificate=certificate, users={"u": "p"}) as lab:
        answer = await secure(lab, kind, ca_file, user="u").open()
        assert isinstance(answer, Reply)
        assert answer.status == "5.7.5"
        assert judge(answer).about is About.US
        assert not any("AUTH" in session.verbs for session in lab.sessions)


async def test_tls_where_there_is_none_is_a_silence() -> None:
    with running() as lab:
        answer = await secure(lab, "smtps").open()
        assert isinstance(answer, Silence)


def test_a_ca_file_that_is_none_is_an_error_of_the_set_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        tls_context(str(tmp_path / "ca.pem"))
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        tls_context(str(tmp_path / "ca.pem"))


# logging in


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2"])
@pytest.mark.parametrize("kind", ["smtp", "smtps"])
@pytest.mark.parametrize("right", [True, False])
async def test_it_logs_in(mechanism: str, kind: str, right: bool) -> None:
    users = {"u@x.example": "open sesame" if right else "something else"}
    with running(tls="implicit" if kind == "smtps" else "starttls", users=users, mechanisms=[mechanism]) as lab:
        secret = Secret("command", "true", token=mechanism == "XOAUTH2")
        way = secure(lab, kind, user="u@x.example", secret=secret)
        answer, _ = await deliver(way)
        assert isinstance(answer, Reply)
        if right:
            assert (answer.stage, answer.code) == (Stage.DOT, 250)
        else:
            assert (answer.stage, answer.code, answer.status) == (Stage.AUTH, 535, "5.7.8")
            assert judge(answer).about is About.US
            assert "MAIL" not in lab.sessions[0].verbs
        assert "sesame" not in repr((answer, lab.sessions))
        await way.close()


@pytest.mark.parametrize(("mechanisms", "token"), [(["CRAM-MD5"], False), (["PLAIN"], True), (["XOAUTH2"], False)])
async def test_no_common_way_to_log_in_is_told(mechanisms: list[str], token: bool) -> None:
    with running(tls="starttls", users={"u": "p"}, mechanisms=mechanisms) as lab:
        answer = await secure(lab, user="u", secret=Secret("env", "X", token=token)).open()
        assert isinstance(answer, Reply)
        assert (answer.stage, answer.status) == (Stage.AUTH, "5.7.4")
        assert mechanisms[0] in answer.text


async def test_a_password_that_cannot_be_read_is_an_error_and_not_an_answer() -> None:
    def secret() -> str:
        raise ConfigError("no such file", where="relay.password")

    with running(tls="starttls", users={"u": "p"}) as lab:
        relay = Relay("main", "smtp", host="localhost", port=lab.port, ca_file=CA, user="u")
        with pytest.raises(ConfigError, match=r"relay\.password"):
            await SmtpTransport(relay, secret=secret).open()
