"""Whether mail is a report of a mail system, where nothing made for machines says so.

One sign is never enough: people answer reports and forward them, holidays are answered with an empty return path
too, and postmasters write letters.
"""

from __future__ import annotations

from typing import Final

from broadcaster.mime import Part
from broadcaster.replies import bare

BEGINNING: Final = 3000  # letters of a text

_NAMES: Final = (
    "mailer-daemon", "mailerdaemon", "mail-daemon", "maildaemon", "mailer_daemon", "mail daemon", "mailer daemon",
    "mdaemon", "postmaster", "poostmaster", "postoffice", "post office", "mail delivery", "mail.delivery",
    "mail deliver", "maildelivery", "system administrator", "sysadmin", "microsoft outlook", "microsoft exchange",
    "internet mail delivery", "delivery subsystem", "delivery system", "delivery service", "delivery agent",
    "content-filter", "interscan", "mail system", "mailsystem", "mail server", "mailserver", "daemon@", "bounce",
    "ndr administrator", "mail administrator", "administrator@", "mailadmin", "smtp", "undeliver", "root@",
    "majordomo", "listserv", "-admin@", "owner-", "no-reply@", "noreply@", "mmsc", "system attendant", "antispam",
    "virus", "zustell", "systemadministrator", "administrateur", "administrador", "amministratore", "postbud",
    "ne-pas-repondre", "почтов", "complaints@", "autoreply@", "notification",
)  # fmt: skip

_SUBJECTS: Final = (
    "undeliver", "undelivered", "undeliverable", "delivery fail", "delivery status", "delivery notification",
    "delivery problem", "delivery error", "delivery report", "delivery warning", "delivery has failed",
    "delivery delay", "delivery unsuccessful", "delivery was", "failure notice", "failure delivery", "failed mail",
    "failure to deliver", "failed to deliver", "failed delivery", "failed message", "mail delivery", "mail failed",
    "mail failure", "mail error", "mail system error", "mail could not", "mail not delivered", "mail returned",
    "email delivery", "message delivery", "message status - undeliverable", "message not delivered",
    "message could not", "message undeliverable", "message you sent blocked", "non delivery", "non-delivery",
    "nondeliverable", "nondelivery", "not delivered", "could not be delivered", "couldn't be delivered",
    "could not send", "cannot send", "can't be delivered", "unable to deliver", "unable to send", "was not delivered",
    "wasn't delivered", "returned mail", "returned message", "return to sender", "returned to sender",
    "returning to sender", "rejected mail", "mail rejected", "message rejected", "permanent delivery",
    "permanent fail", "temporary delivery", "delayed mail", "delayed", "warning: could not", "warning: message",
    "warning - delayed", "postmaster notify", "error sending your mail", "error condition re", "error sending",
    "ndn:", "ndr:", "bounce", "your message could not", "your mail could not", "unknown user", "user unknown",
    "user not found", "sending your mail", "loop alert", "mail loop", "blocked by our", "address not found",
    "unzustellbar", "unzustellbare", "nicht zustellbar", "zustellung", "zustellfehler", "konnte nicht zugestellt",
    "nachricht nicht zugestellt", "rückläufer", "fehler bei der zustellung", "nicht übermittelt", "unbestellbar",
    "non remis", "non distribu", "non livr", "échec de la remise", "échec", "echec", "remise",
    "impossible de remettre", "non délivr", "message non", "no se puede entregar", "no entregado",
    "no se pudo entregar", "no se ha podido", "entrega", "devuelto", "non recapitabile", "mancato recapito",
    "mancata consegna", "errore nella consegna", "consegna", "non consegnat", "não entregue", "falha na entrega",
    "não pôde ser entregue", "onbestelbaar", "niet bezorgd", "kan niet worden bezorgd", "niedostarczon",
    "niedoręczaln", "nie można dostarczyć", "zwrot", "teslim edilemedi", "iletilemedi", "gönderilemedi",
    "nedoručiteln", "nedoruč", "kézbesíthetetlen", "kézbesít", "olevererbart", "ej levererat", "kunne ikke leveres",
    "kan ikke leveres", "ikke leveret", "toimittaminen", "nelivrat", "μη παραδο", "недоставлен", "не доставлен",
    "не может быть доставлено", "не удалось доставить", "ошибка доставки", "возвра", "невозможно доставить",
    "не вдалося доставити", "配信不能", "配信でき", "配送でき", "配信エラー", "配送エラー", "送信でき", "届きません",
    "送信エラー", "エラー", "未配信", "返送", "配信に失敗", "退信", "系统退信", "投递失败", "无法投递", "未送达",
    "無法傳遞", "退件", "배달되지", "전송 실패", "반송", "تعذر تسليم", "لم يتم تسليم", "فشل التسليم",
    "غير قابل للتسليم", "تعذر إرسال", "عدم امکان تحویل", "تحویل نشد", "تحویل داده نشد", "ارسال نشد", "לא ניתן למסור",
    "נכשל",
)  # fmt: skip

_SAYINGS: Final = (
    "could not be delivered", "couldn't be delivered", "could not deliver", "couldn't deliver", "cannot be delivered",
    "can not be delivered", "can't be delivered", "cannot deliver", "could not send", "not be delivered",
    "was not delivered", "wasn't delivered", "were not delivered", "has not been delivered",
    "have not been delivered", "not been delivered", "been unable to deliver", "not able to deliver",
    "wasn't able to deliver", "not able to be delivered", "unable to deliver", "unable to be delivered",
    "unable to relay", "undeliverable", "undelivered", "failed to deliver", "delivery failed", "delivery has failed",
    "delivery to the following", "delivery of the following", "delivery failure", "delivery error",
    "delivering your mail", "delivering your message", "deliver a message", "failed to send", "failed addresses",
    "failed recipient", "failed permanently", "had delivery problems", "had permanent fatal errors",
    "had delivery errors", "had transient", "transcript of session", "did not reach the following",
    "not reach the following", "did not receive", "rejected your message", "message was rejected", "was rejected by",
    "returned to sender", "returned to you", "is being returned", "has been returned", "this is the qmail-send",
    "this is a permanent error", "this message was created automatically by mail", "mail system at host",
    "postfix program at host", "mail delivery software", "smtp error", "final-recipient:", "diagnostic-code",
    "delivery is delayed", "is delayed for more", "still undelivered", "has been delayed", "undeliverable to",
    "no valid recipients", "unknown user", "user unknown", "unknown recipient", "mailbox is full", "mailbox exceeds",
    "non-delivery", "nondelivery", "delivery status notification", "blocked by our", "unknown address", "not sent",
    "error occurred while", "unreachable for", "no such user", "does not exist", "duplicated message-id",
    "message log follows", "bounced address", "error sending message", "bounce: ", "could not be reached",
    "n'a pu être remis", "failure reasons", "konnte nicht zugestellt", "nicht zugestellt", "nicht übermittelt",
    "nicht ausgeliefert", "zustellung", "fehler bei", "n'a pas pu être", "n'a pu être", "n'a pas été remis",
    "non remis", "ne peut être remis", "n'a pas été délivr", "n'a pas été distribu", "impossible de remettre",
    "échec de la remise", "no se pudo entregar", "no pudo ser entregado", "no se ha podido entregar",
    "no ha podido ser entregado", "no se puede entregar", "no fue posible entregar", "error al entregar",
    "non è stato possibile", "non è stato consegnato", "impossibile recapitare", "impossibile consegnare",
    "non può essere consegnat", "não pôde ser entregue", "não foi possível entregar", "não foi entregue",
    "niet worden bezorgd", "niet bezorgd", "kon niet worden afgeleverd", "niet afgeleverd", "nie została dostarczona",
    "nie mogła zostać", "nie można dostarczyć", "teslim edilemedi", "iletilemedi", "gönderilemedi",
    "kunde inte levereras", "kunne ikke leveres", "nemohla být doručena", "nebylo možné doručit", "nem sikerült",
    "ei voitu toimittaa", "не может быть доставлено", "не может быть отправлено", "не было доставлено",
    "не удалось доставить", "не доставлен", "не удалось отправить", "недоставлен", "не вдалося доставити",
    "配信できません", "配信不能", "配送できません", "送信できません", "送信に失敗", "届けることができません",
    "お届けできません", "配信に失敗", "エラーのため", "エラー", "メールアドレスが見つかりません", "无法投递",
    "无法送达", "未能送达", "投递失败", "退信", "無法傳遞", "無法寄達", "전달되지", "배달되지", "전송하지 못",
    "تعذر تسليم", "لم يتم تسليم", "فشل تسليم", "لم يتم توصيل", "تعذر توصيل", "تحویل داده نشد", "تحویل نشد", "נכשלה",
    "לא נמסרה",
)  # fmt: skip


def announces(top: Part, text: str) -> bool:
    """Whether a message is a report. `text`: its own words."""
    if top.get("x-failed-recipients"):
        return True
    sender = top.get("from").lower()
    empty = any(path.strip() in ("<>", "", "<MAILER-DAEMON>", "MAILER-DAEMON") for path in top.all("return-path"))
    subject = top.get("subject").lower()
    answered = bare(subject) != subject.strip()
    by_daemon = sender.strip() in ("", "<>") or any(name in sender for name in _NAMES)
    titled = any(phrase in subject for phrase in _SUBJECTS)
    low = " ".join(text[:BEGINNING].lower().replace("’", "'").split())
    said = any(phrase in low for phrase in _SAYINGS)
    if answered:
        return by_daemon and empty and said
    if titled:
        return said or by_daemon or empty
    return said and (by_daemon or empty)
