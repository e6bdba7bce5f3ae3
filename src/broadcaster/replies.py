"""Mail that comes back and is no report: wishes to leave, holidays, challenges, receipts.

Machines that answer say so in fields (RFC 3834 §5); old ones only in their subject. Nobody has read anything, so
none of it is a bounce, not even "has left the company": that is advice for staff, who know the person.
"""

from __future__ import annotations

import re
from typing import Final

from broadcaster.links import TOKEN_LENGTH
from broadcaster.mime import Part
from broadcaster.notice import Kind, Notice
from broadcaster.prose import ADDRESS, clean

BODY: Final = 4000  # letters of a text that are looked at

# what programs put before a subject that is answered or forwarded
_PREFIX: Final = re.compile(
    r"^(?:\s*+(?:re|fwd?|aw|wg|antw|sv|vs|vb|ref|rv|rif|i|tr|odp|pd|ynt|ilt|enc|res|回复|答复|转发|رد|إعادة توجيه"
    r"|پاسخ|fw)(?:\s?\[\d{1,3}\])?\s?[:：])++\s*+",
    re.IGNORECASE,
)
LEAVE: Final = re.compile(rf"\bleave[-_ ]([a-z2-7]{{20,{TOKEN_LENGTH}}})(?![a-z2-7])", re.IGNORECASE)

# A subject, or a whole short text, that wishes to leave: in the languages that are served and their neighbours.
_LEAVE_WORDS: Final = frozenset(
    {
        "unsubscribe", "unsubscribe me", "please unsubscribe", "please unsubscribe me", "un-subscribe", "remove me",
        "please remove me", "remove", "opt out", "opt-out", "optout", "stop", "signoff", "leave", "unsub",
        "remove me from your list", "remove me from this list", "take me off your list", "take me off this list",
        "unsubscribe request", "list-unsubscribe", "cancel subscription", "unsubscribe please",
        "إلغاء الاشتراك", "الغاء الاشتراك", "إلغاء اشتراك", "ألغ اشتراكي", "الغاء", "أوقفوا الرسائل",
        "هەڵوەشاندنەوەی بەشداری", "دەرچوون لە لیست", "وەستاندن", "لابردن",
        "لغو اشتراک", "لغو عضویت", "انصراف", "désabonnement", "désabonner", "me désabonner", "désinscription",
        "désinscrire",
        "se désinscrire", "se désabonner", "desabonnement", "desinscription", "je souhaite me désabonner",
        "abmelden", "abmeldung", "abbestellen", "austragen", "bitte abmelden", "newsletter abmelden",
        "newsletter abbestellen", "bitte austragen", "kündigen", "abbestellung",
        "baja", "darse de baja", "dar de baja", "darme de baja", "cancelar suscripción", "cancelar suscripcion",
        "anular suscripción", "disiscrizione", "cancellami", "disiscrivimi", "cancellazione", "disiscriviti",
        "annulla iscrizione", "отписаться", "отписка", "отпишите меня", "отменить подписку", "unsubscribe отписка",
        "abonelikten çık", "abonelikten çıkmak istiyorum", "aboneliği iptal et", "listeden çık", "abonelik iptali",
        "uitschrijven", "afmelden", "descadastrar", "cancelar inscrição", "cancelar subscrição", "sair da lista",
        "wypisz", "wypisz mnie", "rezygnacja", "відписатися", "退订", "取消订阅", "退訂", "配信停止", "購読解除",
        "수신거부", "הסר", "הסירו אותי", "avregistrera", "avmeld", "afmeld", "odhlásit", "leiratkozás", "dezabonare",
    }
)  # fmt: skip

# Subjects of answers that nobody wrote; sought at the beginning, behind prefixes.
_AWAY_SUBJECTS: Final = (
    "auto reply", "auto-reply", "autoreply", "auto:", "auto response", "auto-response", "autoresponse", "autorespons",
    "automatic reply", "automatic response", "automated reply", "automated response", "automatically generated reply",
    "out of office", "out-of-office", "out of the office", "ooo:", "ooo ", "vacation", "on vacation", "on leave",
    "away from", "i am away", "i'm away", "absence", "on holiday", "annual leave", "maternity leave",
    "réponse automatique", "reponse automatique", "absent", "absence du bureau", "message d'absence", "en congé",
    "automatische antwort", "automatische antworten", "abwesenheit", "abwesend", "abwesenheitsnotiz", "nicht im büro",
    "im urlaub", "automatische rückantwort", "autoantwort", "eingangsbestätigung", "respuesta automática",
    "respuesta automatica", "fuera de la oficina", "fuera de oficina", "ausente", "de vacaciones",
    "risposta automatica", "fuori sede", "fuori ufficio", "assente", "in ferie", "risposta automatizzata",
    "автоматический ответ", "автоответ", "вне офиса", "нет на месте", "в отпуске", "автоматична відповідь",
    "otomatik yanıt", "otomatik cevap", "ofis dışında", "ofis dışı", "izindeyim", "yıllık izin", "رد تلقائي",
    "الرد التلقائي", "رد آلي", "خارج المكتب", "في إجازة", "إجازة", "وەڵامی خۆکار", "وەڵامدانەوەی خۆکار", "لە پشوودام",
    "لە دەرەوەی نووسینگە", "پاسخ خودکار", "خارج از دفتر", "در مرخصی", "مرخصی", "عدم حضور", "resposta automática",
    "resposta automatica", "fora do escritório", "automatisch antwoord", "afwezig", "niet aanwezig", "autosvar",
    "frånvaro", "fraværende", "automatisk svar", "poissa", "automaattinen vastaus", "odpowiedź automatyczna",
    "nieobecność", "automatická odpověď", "automatikus válasz", "răspuns automat", "自动回复", "自動回覆", "自動回信",
    "自動応答", "自動返信", "不在", "부재중", "자동 회신", "자동응답", "תשובה אוטומטית", "מחוץ למשרד",
)  # fmt: skip

_CHALLENGES: Final = (
    "challenge", "please confirm your message", "confirm your email to", "verify your message",
    "verification required", "sender verification", "action required: your email", "your email requires verification",
    "spamarrest", "please verify your", "click the link below to", "boxbe", "mailblocks", "quarantined until",
    "awaiting verification", "tmda", "confirm that you are", "prove you are human", "approve your message",
    "one-time verification", "mail in black", "mailinblack", "authentification demand", "vade retro",
    "bestätigen sie ihre nachricht", "confirme su mensaje", "confermi il suo messaggio", "request_auth",
    "activation de votre mail",
)  # fmt: skip

_GONE: Final = (
    "no longer in use", "no longer works", "no longer work", "no longer with", "has left", "left the company",
    "left the organisation", "left the organization", "is no longer employed", "no longer employed", "not monitored",
    "is not monitored", "no longer monitored", "no longer active", "no longer valid", "mailbox is unattended",
    "has retired", "ne travaille plus", "a quitté", "n'est plus utilis", "ne fait plus partie", "arbeitet nicht mehr",
    "nicht mehr im unternehmen", "hat das unternehmen verlassen", "nicht mehr für", "ausgeschieden",
    "nicht mehr aktiv", "wird nicht mehr", "ya no trabaja", "ya no forma parte", "ya no está en uso",
    "non lavora più", "non è più in", "non fa più parte", "больше не работает", "уволи", "artık çalışmamaktadır",
    "ayrılmıştır", "artık kullanılm", "لم يعد يعمل", "لم تعد مستخدمة", "غادر", "لم يعد", "دیگر کار نمی",
    "دیگر استفاده نمی", "چیتر کار ناکات", "não trabalha mais", "werkt niet meer", "retir", "退職",
)  # fmt: skip


def read(parts: list[Part]) -> tuple[Notice, ...]:
    """What an automatic answer says; nothing where a person wrote."""
    top = parts[0]
    sender = address_of(top.get("from"))
    subject = bare(top.get("subject"))
    words = f"{subject}\n{_text(parts)}"[:BODY]
    low = words.lower().replace("’", "'")
    if not (by_machine(top) or subject.lower().startswith(_AWAY_SUBJECTS)):
        return ()
    if top.get("auto-submitted").lower().startswith("auto-notified") or _of_a_list(top):
        return ()
    reason = "vacation"
    if any(phrase in low for phrase in _CHALLENGES):
        reason = "challenge"
    elif any(phrase in low for phrase in _GONE):
        reason = "gone"
    domain = sender.rpartition("@")[2]
    named = (clean(each[0]) for each in ADDRESS.finditer(words))
    also = tuple(dict.fromkeys(each for each in named if each and each != sender and each.endswith(f"@{domain}")))[:5]
    return (
        Notice(Kind.AUTO_REPLY, recipient=sender, also=also if reason == "gone" else (), reason=reason, words=words),
    )


def by_machine(top: Part) -> bool:
    """Whether fields say that nobody wrote it (RFC 3834 §5, and what was common before)."""
    submitted = top.get("auto-submitted").strip().lower()
    if submitted and not submitted.startswith("no"):
        return True
    names = {name for name, _ in top.fields}
    if names & {
        "x-autoreply",
        "x-autorespond",
        "x-autoreply-from",
        "x-mail-autoreply",
        "x-vacation",
        "x-autoreply-domain",
    }:
        return True
    if top.get("x-auto-response-suppress").lower().startswith(("all", "oof")) and top.get("in-reply-to"):
        return True
    if top.get("precedence").strip().lower() in ("auto_reply", "auto-reply"):
        return True
    if top.get("x-precedence").strip().lower() == "auto_reply" or top.get("delivered-to").lower() == "autoresponder":
        return True
    return top.get("x-apple-unsubscribe").lower() == "true" or top.get(
        "x-ms-exchange-generated-message-source"
    ).lower().startswith("mailbox rules")


def _of_a_list(top: Part) -> bool:
    """Whether it is a list's mail or a newsletter: those are made by machines too."""
    return any(name in ("list-unsubscribe", "list-id", "list-post") for name, _ in top.fields)


def receipts(parts: list[Part]) -> tuple[Notice, ...]:
    """A disposition notification (RFC 8098): somebody's program has shown it, or deleted it."""
    top = parts[0]
    typed = any(part.type == "message/disposition-notification" for part in parts if not part.depth)
    if not typed and top.parameters.get("report-type", "").lower() != "disposition-notification":
        return ()
    return (Notice(Kind.OTHER, recipient=address_of(top.get("from")), reason="receipt", words=top.get("subject")),)


def leave(parts: list[Part]) -> tuple[Notice, ...]:
    """A wish to leave: our token in the subject, or the plain words alone."""
    top = parts[0]
    subject = top.get("subject")
    sender = address_of(top.get("from"))
    if LEAVE.search(subject):
        return (Notice(Kind.UNSUBSCRIBE, recipient=sender, reason="leave", words=subject),)
    if top.get("x-apple-unsubscribe").lower() == "true":
        # the button of a mail program, on a mail whose leave address is not ours: what RFC 6430 calls opt-out
        return (Notice(Kind.COMPLAINT, recipient=sender, reason="complaint", words=subject),)
    if by_machine(top) or _of_a_list(top):
        return ()
    wish = _short(bare(subject))
    body = _short(_own_words(_text(parts)))
    if (wish in _LEAVE_WORDS and len(body) < 400) or body in _LEAVE_WORDS:
        return (Notice(Kind.UNSUBSCRIBE, recipient=sender, reason="leave", words=subject or body),)
    return ()


def _short(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .!,:;-*\"'»«")


def _own_words(text: str) -> str:
    """What the person wrote, without what is quoted or signed."""
    lines: list[str] = []
    for line in text.split("\n")[:60]:
        if line.startswith((">", "-----", "_____", "Sent from", "Von meinem")) or line.rstrip() in ("--", "-- "):
            break
        if line.rstrip().endswith((":", ":>")) and "@" in line:
            break
        lines.append(line)
    return "\n".join(lines)


def bare(subject: str) -> str:
    """A subject without "Re:" and its like."""
    return _PREFIX.sub("", subject[:500]).strip()


def _text(parts: list[Part]) -> str:
    texts = [part.text[:BODY] for part in parts if not part.depth and part.type in ("text/plain", "text/html")]
    return next((text for text in texts if text.strip()), "")


def address_of(field: str) -> str:
    """The address in a From: the one in angle brackets, else the first."""
    inside = field.rpartition("<")[2] if "<" in field else field
    found = ADDRESS.search(inside) or ADDRESS.search(field)
    return clean(found[0]) if found else ""
