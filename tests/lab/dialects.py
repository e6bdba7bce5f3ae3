"""More of returned mail: the forms of less known systems, odd ones, and some that people made of them."""

from __future__ import annotations

from tests.lab.returned import dsn, group, prose

_FORMS: tuple[tuple[str, dict[str, str], str], ...] = (
    (
        "smail",
        {"ann@a.example": "unconfirmed"},
        prose(
            """|------------------------- Message log follows: -------------------------|
 no valid recipients were found for this message
|------------------------- Failed addresses follow: ---------------------|
 <ann@a.example> ... unknown user
|------------------------- Message text follows: ------------------------|
Received: from x by y
To: ann@a.example
""",
            subject="mail failed, returning to sender",
        ),
    ),
    (
        "old smtp32",
        {"ann@a.example": "undefined"},
        prose(
            "undeliverable to ann@a.example\n\nOriginal message follows.\n\nReceived: from x\nSubject: y\n",
            subject="Undeliverable Mail",
        ),
    ),
    (
        "name smtp prefix",
        {"ann@a.example": "unknown_user"},
        prose(
            """Your message did not reach some or all of the intended recipients.

The following recipient(s) could not be reached:

      'ann@a.example' on 6/6/2026 10:00 AM
            The e-mail account does not exist at the organization this message was sent to.
            <mx.a.example #5.1.1 smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found>
""",
            subject="Undeliverable: June",
            sender="System Administrator",
        ),
    ),
    (
        "exchange2003 smtp",
        {"ann@a.example": "unknown_user"},
        prose(
            """Your message did not reach some or all of the intended recipients.

      Subject:  June
      Sent:     6/6/2026 10:00 AM

The following recipient(s) could not be reached:

      ann@a.example on 6/6/2026 10:00 AM
            There was a SMTP communication problem with the recipient's email server.
            <mx.ours.example #5.5.0 smtp;550 5.1.1 <ann@a.example>... User unknown>
""",
            subject="Undeliverable: June",
            sender="System Administrator <postmaster@ours.example>",
        ),
    ),
    (
        "mdaemon",
        {"ann@a.example": "unknown_user"},
        prose(
            """The following data may contain sections which represent BASE64 encoded
file attachments.
Delivery failed - no such user here.
--> RCPT To:<ann@a.example>
<-- 550 <ann@a.example>, Recipient unknown

The attached message had PERMANENT fatal delivery errors!
""",
            subject="Permanent Delivery Failure",
            sender="MDaemon at ours.example <MDaemon@ours.example>",
        ),
    ),
    (
        "mdaemon2",
        {"ann@a.example": "unknown_user"},
        prose(
            """--------------------------------------
THIS IS A PERMANENT ERROR NOTICE

A permanent error occurred while attempting delivery to 'ann@a.example'

This message has been in the queue for 60 minutes.

Session Transcript
 Sat 2026-06-06 10:00:00: <-- 220 mx.a.example ESMTP
 Sat 2026-06-06 10:00:00: --> EHLO ours.example
 Sat 2026-06-06 10:00:01: --> MAIL From:<news@ours.example> SIZE=123
 Sat 2026-06-06 10:00:01: <-- 250 ok
 Sat 2026-06-06 10:00:01: --> RCPT To:<ann@a.example>
 Sat 2026-06-06 10:00:01: <-- 550 5.1.1 <ann@a.example>: Recipient address rejected: User unknown
 Sat 2026-06-06 10:00:01: --> QUIT
""",
            subject="Permanent Delivery Failure",
            sender="MDaemon at ours.example <MDaemon@ours.example>",
        ),
    ),
    (
        "smartermail",
        {"ann@a.example": "unconfirmed"},
        prose(
            """Could not deliver message to the following recipient(s):

Failed Recipient: ann@a.example
Reason: Remote host said: 550 No such user here

   -- The header and top 20 lines of the message follows --

Received: from x by y
From: news@ours.example
To: ann@a.example
""",
            subject="Delivery Failure",
            sender='"System Administrator" <postmaster@ours.example>',
        ),
    ),
    (
        "mailenable",
        {"ann@a.example": "unknown_user"},
        prose(
            """Message could not be delivered to some recipients.
The following recipient(s) could not be reached:

	Recipient: [SMTP:ann@a.example]
	Reason:    Remote SMTP Server Returned: 550 5.1.1 User unknown


Message headers follow:
Received: from x
""",
            subject="Message Delivery Failure",
            sender="postmaster@ours.example",
        ),
    ),
    (
        "merak",
        {"ann@a.example": "unknown_user"},
        prose(
            """Message from <news@ours.example> to <ann@a.example> was not delivered.
Reason: 550 5.1.1 <ann@a.example>: unknown user
""",
            subject="Undeliverable mail",
        ),
    ),
    (
        "sun ims",
        {"ann@a.example": "unknown_host"},
        prose(
            """This report relates to a message you sent with the following header fields:

  Message-id: <sent@ours.example>
  From: news@ours.example
  To: list@c.example
  Subject: June

Your message cannot be delivered to the following recipients:

  Recipient address: ann@a.example
  Reason: Illegal host/domain name found

""",
            subject="Delivery Notification: Delivery has failed",
            sender="Internet Mail Delivery <postmaster@mx.example>",
        ),
    ),
    (
        "aol",
        {"ann@aol.example": "unknown_user"},
        prose(
            """The original message was received at Sat, 6 Jun 2026 10:00:00 -0400
from x [192.0.2.1]

   ----- The following addresses had permanent fatal errors -----
<ann@aol.example>

   ----- Transcript of session follows -----
... while talking to air-xg01.mail.aol.example.:
>>> RCPT To:<ann@aol.example>
<<< 550 MAILBOX NOT FOUND
550 <ann@aol.example>... User unknown
""",
            subject="Returned mail: User unknown",
        ),
    ),
    (
        "amazon text",
        {"ann@a.example": "full"},
        prose(
            "An error occurred while trying to deliver the mail to the following recipients:\nann@a.example:"
            " mailbox full\n",
            subject="Delivery Status Notification (Failure)",
            sender="MAILER-DAEMON@amazonses.example",
        ),
    ),
    (
        "docomo",
        {"ann@docomo.example": "unknown_user"},
        prose(
            """This is an automatically generated message.
Your message could not be delivered.

The following address had errors:
<ann@docomo.example>: 550 Unknown user ann@docomo.example
>>> RCPT TO:<ann@docomo.example>
<<< 550 Unknown user ann@docomo.example
""",
            subject="Mail System Error - Returned Mail",
        ),
    ),
    (
        "symantec",
        {"ann@a.example": "virus"},
        prose(
            """Your message was not delivered to the following recipients because it contains a virus:

ann@a.example

The infected file was removed.
""",
            subject="Virus found: message not delivered",
            sender="antivirus@a.example",
        ),
    ),
    (
        "mailscanner",
        {"ann@a.example": "content"},
        prose(
            """Our content checker blocked a message you sent to ann@a.example.
The attachment photo.exe is a banned file and was not delivered.
""",
            subject="BANNED contents in mail FROM you; not delivered",
            sender='"Content-filter at mx" <postmaster@a.example>',
        ),
    ),
    (
        "ipswitch2",
        {"ann@a.example": "unknown_host"},
        prose(
            "Unknown host: ann@a.example\n\nOriginal message follows.\n",
            subject="Undeliverable Mail",
            sender="Postmaster <postmaster@a.example>",
        ),
    ),
    (
        "qmail qmtp vpopmail",
        {"ann@a.example": "disabled"},
        prose(
            "Hi. This is the qmail-send program at a.example.\nI'm afraid\n\n<ann@a.example>:\nThis address no"
            " longer accepts mail.\n\n--- Below this line is a copy of the message.\n",
            subject="failure notice",
        ),
    ),
    (
        "qmail no smtp",
        {"ann@a.example": "unknown_host"},
        prose(
            "Hi. This is the qmail-send program at a.example.\nI'm afraid\n\n<ann@a.example>:\nSorry, I couldn't"
            " find any host named a.example. (#5.1.2)\n\n--- Below this line is a copy of the message.\n",
            subject="failure notice",
        ),
    ),
    (
        "japanese",
        {"ann@a.example": "unknown_user"},
        prose(
            "以下のメールアドレスへの送信に失敗しました。\n\nann@a.example\n\nユーザーが見つかりませんでした。\n",
            subject="配信エラーのお知らせ",
        ),
    ),
    (
        "spanish",
        {"ann@a.example": "full"},
        prose(
            "No se pudo entregar el mensaje a los siguientes destinatarios:\n\nann@a.example\nEl buzón del"
            " destinatario está lleno.\n",
            subject="No se puede entregar: junio",
            sender="postmaster@a.example",
        ),
    ),
    (
        "turkish",
        {"ann@a.example": "unknown_user"},
        prose(
            "İletiniz şu alıcılara teslim edilemedi:\n\nann@a.example\nE-posta adresi bulunamadı.\n",
            subject="Teslim edilemedi: Haziran",
            sender="postmaster@a.example",
        ),
    ),
    (
        "italian aruba",
        {"ann@a.example": "unknown_user"},
        prose(
            "Il messaggio non è stato consegnato a: ann@a.example\nMotivo: utente sconosciuto\n",
            subject="Mancata consegna",
        ),
    ),
    (
        "persian",
        {"ann@a.example": "full"},
        prose(
            "پیام شما به گیرنده ann@a.example تحویل داده نشد.\nصندوق پستی گیرنده پر است.\n", subject="تحویل داده نشد"
        ),
    ),
    (
        "webde",
        {"ann@web.example": "full"},
        prose(
            """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of
its recipients. This is a permanent error. The following address
failed:

"ann@web.example":
SMTP error from remote server for TEXT command, host: mx.web.example (192.0.2.1) reason:
552-Requested mail action aborted: exceeded storage allocation
552 For explanation visit http://postmaster.web.example/
""",
            sender="mailer-daemon@gmx.example",
            subject="Mail delivery failed: returning message to sender",
        ),
    ),
    (
        "1und1",
        {"ann@a.example": "unknown_user"},
        prose(
            """This message was created automatically by mail delivery software.

The following address failed:

ann@a.example:
SMTP error from remote server for RCPT TO command, host: mx.a.example (192.0.2.1) reason:
550 Requested action not taken: mailbox unavailable
""",
            sender="mailer-daemon@kundenserver.example",
            subject="Mail delivery failed: returning message to sender",
        ),
    ),
    (
        "zimbra",
        {"ann@a.example": "unknown_user"},
        dsn(group("ann@a.example", "5.1.1", "550 5.1.1 <ann@a.example>: Recipient address rejected: a.example")),
    ),
    (
        "local part only",
        {"x@y.example": "unknown_user"},
        dsn("Final-Recipient: rfc822; ann\nAction: failed\nStatus: 5.1.1\n", "Sorry"),
    ),
    (
        "x400",
        {"ann@a.example": "unknown_user"},
        dsn(
            "Original-Recipient: rfc822;ann@a.example\nFinal-Recipient: x400; /S=ann/P=a/\nAction: failed\nStatus:"
            " 5.1.1\n"
        ),
    ),
    (
        "spf at rcpt",
        {"ann@a.example": "spf"},
        dsn(
            group(
                "ann@a.example",
                "5.7.1",
                "550 5.7.1 <ann@a.example>: Recipient address rejected: Please see"
                " http://www.openspf.net/Why?s=mfrom;id=x",
            )
        ),
    ),
    (
        "cisco",
        {"ann@a.example": "unknown_user"},
        dsn(group("ann@a.example", "5.0.0", "550 #5.1.0 Address rejected.")),
    ),
    (
        "cisco smtp",
        {"ann@a.example": "unknown_user"},
        prose(
            "The following message to <ann@a.example> was undeliverable.\nThe reason for the problem:\n5.1.0 -"
            " Unknown address error 550-'5.1.1 <ann@a.example>: User unknown'\n",
            subject="Delivery Status Notification (Failure)",
        ),
    ),
    (
        "tencent",
        {"ann@qq.example": "unknown_user"},
        dsn(
            group(
                "ann@qq.example",
                "5.0.0",
                "550 Mailbox not found. http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000728",
            ),
            "<ann@qq.example>: host mx3.qq.example said: 550 Mailbox not found. (in\n reply to RCPT TO command)",
        ),
    ),
    (
        "netease",
        {"ann@163.example": "policy"},
        dsn(
            group("ann@163.example", "5.0.0", "554 DT:SPM 163 mx1,xxx 1 http://mail.163.com/help/help_spam_16.htm"),
            "<ann@163.example>: host x said: 554 DT:SPM (in reply to end of DATA command)",
        ),
    ),
    (
        "listserv",
        {"ann@a.example": "unknown_user"},
        prose(
            """Your message to ann@a.example could not be delivered:

  550 5.1.1 <ann@a.example>: user unknown
""",
            subject="Undelivered mail",
        ),
    ),
    (
        "no subject no daemon, null path",
        {"ann@a.example": "full"},
        (
            "Return-Path: <>\nFrom: Robot <robot@a.example>\nTo: news@ours.example\nSubject: Your mail\n\nYour message"
            " could not be delivered to ann@a.example because the mailbox is full.\n"
        ),
    ),
    (
        "groupwise5",
        {"ann@a.example": "undefined"},
        prose(
            "The message that you sent was undeliverable to the following:\n\tann@a.example\n\nPossibly truncated"
            " original message follows:\n\nReceived: from x\n",
            subject="Message status - undeliverable",
        ),
    ),
    (
        "two addresses one line",
        {"ann@a.example": "full", "bob@a.example": "full"},
        prose(
            "The following recipients could not be reached because the mailbox is full: ann@a.example, bob@a.example\n"
        ),
    ),
    (
        "office365 spanish",
        {"ann@a.example": "unknown_user"},
        prose(
            """<html><body><p>No se pudo entregar el mensaje a ann@a.example.</p><p>No se encontró ann en a.example.</p>
<p>Información de diagnóstico para administradores:</p>
<p>Generando servidor: X.eurprd02.prod.outlook.com</p><p>ann@a.example<br>Remote Server returned
'550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup'</p></body></html>""",
            fields="Content-Type: text/html; charset=utf-8\n",
            subject="No se puede entregar: junio",
            sender="Microsoft Outlook <postmaster@outlook.example>",
        ),
    ),
    (
        "forwarded dsn as attachment",
        {"ann@a.example": "unknown_user"},
        "From: Carol <carol@c.example>\nTo: staff@ours.example\nSubject: Fwd: Undelivered\nMIME-Version:"
        " 1.0\nContent-Type: multipart/mixed; boundary=q\n\n--q\nContent-Type: text/plain\n\nsee"
        " below\n--q\nContent-Type: message/rfc822\n\n"
        + dsn(group("ann@a.example", "5.1.1", "550 5.1.1 no"))
        + "\n--q--\n",
    ),
    (
        "digest of two dsn",
        {"ann@a.example": "unknown_user", "bob@a.example": "full"},
        "From: MAILER-DAEMON@a.example\nSubject: digest\nContent-Type: multipart/digest;"
        " boundary=q\n\n--q\nContent-Type: message/rfc822\n\n"
        + dsn(group("ann@a.example", "5.1.1", "550 5.1.1 no"))
        + "\n--q\nContent-Type: message/rfc822\n\n"
        + dsn(group("bob@a.example", "5.2.2", "552 5.2.2 full"))
        + "\n--q--\n",
    ),
    (
        "two status parts",
        {"ann@a.example": "unknown_user", "bob@a.example": "full"},
        dsn(group("ann@a.example", "5.1.1", "550 5.1.1 no")).replace(
            "--b/1--\n",
            "--b/1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
            + group("bob@a.example", "5.2.2", "552 full")
            + "\n--b/1--\n",
        ),
    ),
    (
        "global",
        {"éve@a.example": "unknown_user"},
        dsn("Final-Recipient: utf-8; éve@a.example\nAction: failed\nStatus: 5.1.1\n")
        .replace("message/delivery-status", "message/global-delivery-status")
        .replace("message/rfc822", "message/global-headers"),
    ),
    (
        "xtext",
        {"ann+x@a.example": "unknown_user"},
        dsn(
            "Original-Recipient: rfc822;ann+2Bx@a.example\nFinal-Recipient: rfc822;ann+x@a.example\nAction:"
            " failed\nStatus: 5.1.1\n"
        ),
    ),
    (
        "no action but 4.x",
        {"ann@a.example": "expired"},
        dsn("Final-Recipient: rfc822;ann@a.example\nStatus: 4.4.7\n"),
    ),
    (
        "sendmail delayed prose",
        {"ann@a.example": "delayed"},
        prose(
            """    **********************************************
    **      THIS IS A WARNING MESSAGE ONLY      **
    **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **
    **********************************************

The original message was received at Sat, 6 Jun 2026 10:00:00 +0300
from localhost

   ----- Transcript of session follows -----
<ann@a.example>... Deferred: Connection timed out with mx.a.example.
Warning: message still undelivered after 4 hours
Will keep trying until message is 5 days old
""",
            subject="Warning: could not send message for past 4 hours",
        ),
    ),
    (
        "quoted local",
        {'"ann b"@a.example': "unknown_user"},
        dsn('Final-Recipient: rfc822;"ann b"@a.example\nAction: failed\nStatus: 5.1.1\n'),
    ),
    (
        "barracuda",
        {"ann@a.example": "spam"},
        prose(
            "Your message to: ann@a.example\nwas blocked by our Spam Firewall. The email you sent with the"
            " following subject has NOT BEEN DELIVERED:\n\nSubject: June\n",
            subject="**Message you sent blocked by our bulk email filter**",
            sender="bounce@a.example",
        ),
    ),
    (
        "trend",
        {"ann@a.example": "unknown_user"},
        prose(
            "Unable to deliver message to <ann@a.example>\n\nSent <<< RCPT TO:<ann@a.example>\nReceived >>> 550 No"
            " such user\n\n****** End of message ******\n",
            subject="Mail could not be delivered",
            sender="InterScan MSS <postmaster@a.example>",
        ),
    ),
    (
        "zoho",
        {"ann@a.example": "unknown_user"},
        prose(
            "This message was created automatically by mail delivery software.\n A message that you sent could not"
            " be delivered to one or more of its recipients. This is a permanent error.\n\nann@a.example Invalid"
            " Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <ann@a.example>... User Unknown\n",
            sender="mailer-daemon@mail.zoho.example",
        ),
    ),
    (
        "sharp arf in plain",
        {"ann@a.example": "unknown_user"},
        prose(
            "Hello,\nthe following mail could not be delivered:\n\nRecipient: ann@a.example\nError: 550 5.1.1"
            " unknown user\n\n>From news@ours.example Sat Jun 6\nReceived: from x by y\n        for <other@c.example>\n"
        ),
    ),
    (
        "utf16 base64",
        {"ann@a.example": "unknown_user"},
        prose(
            "PGFubkBhLmV4YW1wbGU+OiBob3N0IG14IHNhaWQ6IDU1MCA1LjEuMSBVc2VyIHVua25vd24K\n",
            fields="MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n",
        ),
    ),
)

CASES = {name: (message, expected) for name, expected, message in _FORMS}
