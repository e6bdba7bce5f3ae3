"""Returned mail as mail systems word it, written for these tests: each with whom it names, and what that means.

`CASES`: name → (message, {recipient: reason}). Only what matters of each form is kept.
"""

from __future__ import annotations

HEAD = "Return-Path: <>\nFrom: {sender}\nTo: news@ours.example\nSubject: {subject}\n"
SENT = (
    "Return-Path: <news@ours.example>\nMessage-ID: <sent@ours.example>\nFrom: News <news@ours.example>\nTo: {to}\n"
    "Subject: June\n"
)


def prose(
    text: str, *, subject: str = "Undelivered", sender: str = "MAILER-DAEMON@mx.example", fields: str = ""
) -> str:
    return f"{HEAD.format(sender=sender, subject=subject)}{fields}\n{text}"


def dsn(
    groups: str,
    text: str = "It could not be delivered.",
    *,
    sender: str = "MAILER-DAEMON@mx.example",
    to: str = "x@y.example",
) -> str:
    return (
        f"{HEAD.format(sender=sender, subject='Undelivered Mail Returned to Sender')}"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="b/1"\n\n'
        f"--b/1\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n"
        f"--b/1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{groups}\n\n"
        f"--b/1\nContent-Type: message/rfc822\n\n{SENT.format(to=to)}\nJune is here.\n\n--b/1--\n"
    )


def group(address: str, status: str, diagnosis: str, action: str = "failed") -> str:
    return (
        f"Final-Recipient: rfc822; {address}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {diagnosis}\n"
    )


POSTFIX = """This is the mail system at host mx.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

                   The mail system

"""
EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

"""
EXIM_COPY = "\n------ This is a copy of the message, including all the headers. ------\n\n"
QMAIL = """Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

"""
QMAIL_COPY = "\n--- Below this line is a copy of the message.\n\n"

CASES: dict[str, tuple[str, dict[str, str]]] = {
    "postfix, two people": (
        dsn(
            group("ann@a.example", "5.1.1", "550 5.1.1 <ann@a.example>: Recipient address rejected: User unknown")
            + "\n"
            + group("bob@b.example", "5.2.2", "552 5.2.2 Mailbox over quota"),
            POSTFIX
            + "<ann@a.example>: host mx.a.example[192.0.2.1] said: 550 5.1.1\n    <ann@a.example>: Recipient address"
            " rejected: User unknown (in reply to RCPT TO command)\n\n<bob@b.example>: host mx.b.example[192.0.2.2]\n"
            "    said: 552 5.2.2 Mailbox over quota (in reply to end of DATA command)\n",
        ),
        {"ann@a.example": "unknown_user", "bob@b.example": "full"},
    ),
    "postfix, no code for it, at RCPT": (
        dsn(
            group("ann@a.example", "5.0.0", "550 No such user here"),
            POSTFIX
            + "<ann@a.example>: host mx.a.example[192.0.2.1] said: 550 No such user here (in\n    reply to RCPT TO"
            " command)\n",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "postfix, no code for it, at DATA": (
        dsn(
            group("ann@a.example", "5.0.0", "550 No such user here"),
            POSTFIX
            + "<ann@a.example>: host mx.a.example[192.0.2.1] said: 550 No such user here (in\n    reply to end of"
            " DATA command)\n",
        ),
        {"ann@a.example": "unconfirmed"},
    ),
    "postfix, expanded": (
        dsn(
            "Final-Recipient: rfc822; inner@b.example\nOriginal-Recipient: rfc822;list@a.example\nAction: failed\n"
            "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n",
            POSTFIX + "<inner@b.example> (expanded from <list@a.example>): unknown user\n",
        ),
        {"list@a.example": "unknown_user"},
    ),
    "postfix, no domain": (
        dsn(
            "Final-Recipient: rfc822; ann@gone.example\nAction: failed\nStatus: 5.4.4\nDiagnostic-Code: X-Postfix;"
            " Host or domain"
            " name not found. Name service error for\n    name=gone.example type=AAAA: Host not found\n",
        ),
        {"ann@gone.example": "unknown_host"},
    ),
    "postfix, names fail for now": (
        dsn(
            "Final-Recipient: rfc822; ann@a.example\nAction: failed\nStatus: 4.4.3\nDiagnostic-Code: X-Postfix;"
            " Host or domain"
            " name not found. Name service error for\n    name=a.example type=MX: Host not found, try again\n",
        ),
        {"ann@a.example": "network"},
    ),
    "postfix, sender refused": (
        dsn(
            group(
                "ann@a.example",
                "5.1.0",
                "550 5.1.0 MXIN506 MailFrom domain is listed in Spamhaus. To be removed, see the link",
            ),
            POSTFIX
            + "<ann@a.example>: host mx.a.example[192.0.2.1] said: 550 5.1.0 MXIN506 MailFrom\n    domain is listed in"
            " Spamhaus. To be removed, see the link (in reply to MAIL FROM\n    command)\n",
        ),
        {"ann@a.example": "blocklist"},
    ),
    "postfix, user unknown at MAIL": (
        dsn(
            group("ann@a.example", "5.1.1", "550 5.1.1 User unknown"),
            POSTFIX
            + "<ann@a.example>: host mx.a.example said: 550 5.1.1 User unknown (in reply to\n    MAIL FROM command)\n",
        ),
        {"ann@a.example": "sender"},
    ),
    "postfix, null MX": (
        dsn(
            "Final-Recipient: rfc822; ann@a.example\nAction: failed\nStatus: 5.1.0\nDiagnostic-Code: X-Postfix;"
            " Domain a.example"
            " does not accept mail (nullMX)\n",
        ),
        {"ann@a.example": "no_mail"},
    ),
    "postfix, delayed": (
        dsn(group("ann@a.example", "4.1.1", "450 4.1.1 <ann@a.example>: User unknown", "delayed")),
        {"ann@a.example": "system"},
    ),
    "exim": (
        prose(
            EXIM + "  ann@a.example\n    SMTP error from remote mail server after RCPT TO:<ann@a.example>:\n    host"
            " mx.a.example"
            " [192.0.2.1]: 550 No Such User Here\n  bob@b.example\n    host mx.b.example [192.0.2.2]\n    SMTP"
            " error from remote"
            " mail server after end of data:\n    550 rejected because it looks like spam\n"
            + EXIM_COPY
            + SENT.format(to="ann@a.example"),
            fields="X-Failed-Recipients: ann@a.example,\n  bob@b.example\nAuto-Submitted: auto-replied\n",
        ),
        {"ann@a.example": "unknown_user", "bob@b.example": "spam"},
    ),
    "exim, unrouteable": (
        prose(
            EXIM + "  ann@a.example\n    Unrouteable address\n" + EXIM_COPY,
            fields="X-Failed-Recipients: ann@a.example\n",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "exim, no MX lives": (
        prose(EXIM + "  ann@a.example\n    all relevant MX records point to non-existent hosts\n" + EXIM_COPY),
        {"ann@a.example": "unknown_host"},
    ),
    "exim, retry timeout": (
        prose(
            EXIM
            + "  ann@a.example\n    host mx.a.example [192.0.2.1]: Connection timed out: retry timeout exceeded\n"
            + EXIM_COPY
        ),
        {"ann@a.example": "expired"},
    ),
    "exim, generated": (
        prose(
            EXIM
            + "  inner@b.example\n    (generated from list@a.example)\n    SMTP error from remote mail server after"
            " RCPT"
            " TO:<inner@b.example>:\n    550 5.2.2 mailbox full\n" + EXIM_COPY
        ),
        {"list@a.example": "full"},
    ),
    "exim, warning": (
        prose(
            "This message was created automatically by mail delivery software.\nA message that you sent has not yet"
            " been"
            " delivered to one or more of its\nrecipients after more than 24 hours on the queue on"
            " mx.example.\n\nThe address to"
            " which the message has not yet been delivered is:\n\n  ann@a.example\n\nNo action is required on your"
            " part.\n",
            subject="Warning: message 1kX delayed 24 hours",
        ),
        {"ann@a.example": "delayed"},
    ),
    "qmail": (
        prose(
            QMAIL
            + "<ann@a.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n"
            + QMAIL_COPY
            + SENT.format(to="ann@a.example")
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "qmail, remote": (
        prose(
            QMAIL + "<ann@a.example>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 user does not"
            " exist\nGiving up on"
            " 192.0.2.1.\n\n<bob@b.example>:\n192.0.2.2 failed after I sent the message.\nRemote host said: 554"
            " Message refused"
            " by policy\n" + QMAIL_COPY
        ),
        {"ann@a.example": "unknown_user", "bob@b.example": "policy"},
    ),
    "qmail, too long": (
        prose(
            QMAIL + "<ann@a.example>:\nCNAME lookup failed temporarily. (#4.4.3)\nI'm not going to try again; this"
            " message has been"
            " in the queue too long.\n" + QMAIL_COPY
        ),
        {"ann@a.example": "expired"},
    ),
    "sendmail": (
        prose(
            "The original message was received at Sat, 6 Jun 2026 10:00:00 +0300\nfrom relay.ours.example"
            " [192.0.2.9]\n\n"
            "   ----- The following addresses had permanent fatal errors -----\n<ann@a.example>\n    (reason: 550"
            " 5.1.1 User"
            " unknown)\n\n   ----- Transcript of session follows -----\n... while talking to mx.a.example.:\n>>> RCPT"
            " To:<ann@a.example>\n<<< 550 5.1.1 User unknown\n550 5.1.1 <ann@a.example>... User unknown\n\n   -----"
            " Original"
            " message follows -----\n\n" + SENT.format(to="ann@a.example"),
            subject="Returned mail: see transcript for details",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "sendmail, its own 5.1.1 above a blocklist": (
        dsn(
            "Final-Recipient: RFC822; ann@a.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: DNS; mx.a.example\n"
            "Diagnostic-Code: SMTP; 554 Service unavailable; Client host [192.0.2.9] blocked using zen.example\n"
        ),
        {"ann@a.example": "blocklist"},
    ),
    "courier": (
        dsn(
            group("ann@a.example", "5.0.0", "550 User unknown."),
            "UNDELIVERABLE MAIL\n\nYour message to the following recipients cannot be delivered:\n\n<ann@a.example>:\n"
            "    mx.a.example [192.0.2.1]:\n>>> RCPT TO:<ann@a.example>\n<<< 550 User unknown.\n",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "exchange 5.5": (
        prose(
            "Your message\n\n  To:      ann@a.example\n  Subject: June\n  Sent:    Sat, 6 Jun 2026 10:00:00\n\ndid"
            " not reach the"
            " following recipient(s):\n\nann@a.example on Sat, 6 Jun 2026 10:00:01\n    The recipient name is not"
            " recognized\n"
            "\tThe MTS-ID of the original message is: c=us;a= ;p=a;l=X\n    MSEXCH:IMS:A:A:MX 0 (000C05A6) Unknown"
            " Recipient\n",
            subject="Undeliverable: June",
            sender="System Administrator <postmaster@a.example>",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "microsoft 365, no such recipient": (
        dsn(
            group(
                "ann@a.example",
                "5.1.10",
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@a.example not found by SMTP address lookup",
            )
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "microsoft 365, access denied at the edge": (
        dsn(
            group(
                "ann@a.example",
                "5.4.1",
                "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"
                " [DB5EUR03FT003.eop-EUR03.prod.protection.outlook.com]",
            )
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "microsoft 365, in German": (
        dsn(
            "Final-Recipient: rfc822;ann@a.example\nAction: failed\nStatus: 5.1.1\n",
            "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:\n\nann@a.example\nDie eingegebene"
            " E-Mail-Adresse konnte nicht gefunden werden.\n",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "microsoft 365, a page only": (
        prose(
            "<html><body><p>Delivery has failed to these recipients or groups:</p><p><a href='mailto:ann@a.example'>"
            "ann@a.example</a><br>The recipient&#39;s mailbox is full and can't accept messages"
            " now.</p><p>Generating server:"
            " X.prod.outlook.com</p><p>ann@a.example<br>Remote Server returned '554 5.2.2 mailbox full;"
            " STOREDRV'</p></body></html>",
            fields="MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n",
            subject="Undeliverable: June",
            sender="Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@a.example>",
        ),
        {"ann@a.example": "full"},
    ),
    "google": (
        dsn(
            group(
                "ann@gmail.example",
                "5.2.2",
                "552-5.2.2 The recipient's inbox is out of storage space. Please direct the\n recipient"
                " to 552 5.2.2 https://support.google.com/mail/?p=OverQuotaPerm",
            ),
            "** Message not delivered **\n\nYour message couldn't be delivered to ann@gmail.example because their"
            " inbox is full,\n"
            "or it's getting too much mail right now.\n",
        ),
        {"ann@gmail.example": "full"},
    ),
    "google, a policy of theirs": (
        dsn(
            group(
                "ann@gmail.example",
                "5.7.26",
                "550-5.7.26 This mail has been blocked because the sender is unauthenticated.",
            )
        ),
        {"ann@gmail.example": "authentication"},
    ),
    "yahoo": (
        prose(
            "Sorry, we were unable to deliver your message to the following address.\n\n<ann@yahoo.example>:\n554:"
            " delivery error:"
            " dd This user doesn't have a yahoo.com account (ann@yahoo.example) [0] - mta1.mail.example\n\n---"
            " Below this line"
            " is a copy of the message.\n\n" + SENT.format(to="ann@yahoo.example"),
            subject="Failure Notice",
        ),
        {"ann@yahoo.example": "unknown_user"},
    ),
    "yahoo, disabled": (
        dsn(
            group(
                "ann@yahoo.example",
                "5.0.0",
                "554 30 Sorry, your message to ann@yahoo.example cannot be delivered. This mailbox is"
                " disabled (554.30).",
            )
        ),
        {"ann@yahoo.example": "disabled"},
    ),
    "domino": (
        dsn(
            "Final-Recipient: rfc822;ann@a.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: X-Notes; User"
            " ann (ann@a.example)"
            " not listed in Domino Directory\n",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "domino, prose": (
        prose(
            "Your message\n\n  Subject: June\n\nwas not delivered to:\n\n  ann@a.example\n\nbecause:\n\n  User ann"
            " (ann@a.example)"
            " not listed in Domino Directory\n",
            subject="DELIVERY FAILURE: User ann (ann@a.example) not listed in Domino Directory",
            sender="Postmaster@a.example",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "imail": (
        prose(
            "Unknown user: ann@a.example\n\nOriginal message follows.\n\n" + SENT.format(to="ann@a.example"),
            subject="Undeliverable Mail",
            sender='"Postmaster" <postmaster@a.example>',
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "mail.ru": (
        prose(
            "Это письмо создано автоматически сервером Mail.Ru, отвечать на него не нужно.\n\nК сожалению, Ваше"
            " письмо не может\n"
            "быть доставлено одному или нескольким получателям:\n\n  ann@mail.example\n    SMTP error from remote"
            " mail server after"
            " RCPT TO:<ann@mail.example>:\n    host mx.mail.example [192.0.2.1]: 550 Message was not accepted --"
            " invalid mailbox. "
            " Local mailbox ann@mail.example is unavailable: user not found\n",
            subject="=?UTF-8?B?0JLQsNGI0LUg0YHQvtC+0LHRidC10L3QuNC1INC90LUg0LTQvtGB0YLQsNCy0LvQtdC90L4=?=",
        ),
        {"ann@mail.example": "unknown_user"},
    ),
    "orange, blocked": (
        dsn(
            group(
                "ann@orange.example",
                "5.7.1",
                "550 5.7.1 Service refuse. Veuillez essayer plus tard. Service refused, please try"
                " later. OFR006_104 [104]",
            ),
            POSTFIX + "<ann@orange.example>: host smtp-in.orange.example refused to\n    talk to me: 550\n",
        ),
        {"ann@orange.example": "policy"},
    ),
    "free": (
        dsn(
            group(
                "ann@free.example",
                "5.2.2",
                "552 5.2.2 <ann@free.example>: Boite aux lettres du destinataire pleine. Quota exceeded",
            )
        ),
        {"ann@free.example": "full"},
    ),
    "mimecast": (
        dsn(
            "Action : failed\nStatus : 5.0.0\nDiagnostic-Code : smtp;550 Invalid Recipient -"
            " https://community.example/docs/DOC-1369#550\n"
            "Original-Recipient : rfc/822;ann@a.example\nFinal-Recipient : rfc/822;ann@a.example\n",
            "This is a delivery failure notification message indicating that\nan email you addressed to email"
            " address :\n--"
            " ann@a.example\n\ncould not be delivered. The problem appears to be :\n-- Recipient email address is"
            " possibly incorrect\n",
        ),
        {"ann@a.example": "unconfirmed"},
    ),
    "groupwise": (
        prose(
            "The attached file had the following undeliverable recipient(s):\n\tann@a.example\n\n  Transcript of"
            " session follows:\n"
            "  Command: RCPT TO:<ann@a.example>\n  Response: 550 5.1.1 unknown user\n",
            subject="Message status - undeliverable",
            sender="Mailer-Daemon@a.example",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "xmail": (
        prose(
            "[<00>] XMail bounce: Rcpt=[ann@a.example];Error=[550 5.1.1 No such recipient]\n\n[<01>] Error sending"
            " message\n",
            subject="Error sending message [1] from [ours.example]",
            sender="postmaster@ours.example",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "hmailserver": (
        prose(
            "Your message did not reach some or all of the intended recipients.\n\n   Sent: Sat, 6 Jun 2026"
            " 10:00:00\n   Subject:"
            " June\n\nThe following recipient(s) could not be reached:\n\nann@a.example\n   Error Type: SMTP\n  "
            " Remote server"
            " (192.0.2.1) issued an error.\n   hMailServer sent: RCPT TO:<ann@a.example>\n   Remote server replied:"
            " 550 No such"
            " user\n\n\nhMailServer\n",
            subject="Message undeliverable: June",
            sender="mailer-daemon@mx.example",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "communigate": (
        prose(
            "Failed to deliver to 'ann@a.example'\nSMTP module(domain a.example) reports:\n host mx.a.example"
            " says:\n 550 5.1.1"
            " unknown user account\n",
            subject="Undeliverable mail: June",
            sender="<MAILER-DAEMON@mx.example>",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "a sentence in French": (
        prose(
            "Bonjour,\n\nVotre message n'a pas pu être remis à ann@a.example : adresse inconnue.\n",
            subject="Échec de la remise",
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "a sentence in Arabic": (
        prose("تعذر تسليم رسالتك إلى ann@a.example\nصندوق البريد ممتلئ\n", subject="تعذر تسليم الرسالة"),
        {"ann@a.example": "full"},
    ),
    "fields in prose": (
        prose(
            "An error occurred while trying to deliver the mail to the following"
            " recipients:\nann@a.example\n\nTechnical report:\n\n"
            "Reporting-MTA: dsn; out.example\n\nAction: failed\nFinal-Recipient: rfc822;"
            " ann@a.example\nDiagnostic-Code: smtp; 550"
            " 5.1.1 user unknown\nStatus: 5.1.1\n"
        ),
        {"ann@a.example": "unknown_user"},
    ),
    "no blank line between people": (
        dsn(
            group("ann@a.example", "5.1.1", "550 5.1.1 user unknown")
            + group("bob@b.example", "5.2.2", "552 5.2.2 full")
        ),
        {"ann@a.example": "unknown_user", "bob@b.example": "full"},
    ),
    "a blank line in one person's fields": (
        dsn("Final-Recipient: rfc822; ann@a.example\n\nAction: failed\n\nStatus: 5.1.1\n"),
        {"ann@a.example": "unknown_user"},
    ),
    "an address of RFC 6533": (
        dsn("Final-Recipient: utf-8; \\x{E9}ve@a.example\nAction: failed\nStatus: 5.1.1\n"),
        {"éve@a.example": "unknown_user"},
    ),
    "delivered": (dsn(group("ann@a.example", "2.0.0", "250 2.0.0 Ok", "delivered")), {"ann@a.example": "delivered"}),
    "relayed": (dsn(group("ann@a.example", "2.1.9", "", "relayed")), {"ann@a.example": "delivered"}),
}
