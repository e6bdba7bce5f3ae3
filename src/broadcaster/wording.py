"""How mail servers word it, in the languages they speak: known texts, in the order in which they decide.

In small letters, without addresses ("@" stands for one), links and numbers. "…" in a phrase: a few words between.
What is more certain comes first: a mailbox that is full says so and nothing else, while many refusals that are
about a policy speak of recipients, users and addresses too. "_": a word begins or ends there.
"""

from __future__ import annotations

import re
from typing import Final

Phrase = tuple[str, ...]  # pieces that stand in this order, near each other

_SIGNS: Final = str.maketrans(dict.fromkeys(',;:()[]{}"!?|*<>=#~\u3000', " ") | {"’": "'", "‘": "'", "`": "'"})
_SPACES: Final = re.compile(r"(?:\s|\.(?=\s|$))++")


def folded(text: str) -> str:
    """A text as phrases are sought in it: in small letters, words apart by one space, with one at each end."""
    return f" {_SPACES.sub(' ', text.lower().translate(_SIGNS)).strip()} "


def phrases(text: str) -> tuple[Phrase, ...]:
    """The phrases of a table, "|" between them; "_" is where a word begins or ends."""
    return tuple(
        tuple(folded(piece).strip().replace("_", " ") for piece in phrase.split("…"))
        for phrase in text.replace("\n", " ").split("|")
        if phrase.strip()
    )


# Names in links or words that say "you are on a list" whatever is around them.
LISTS: Final[tuple[str, ...]] = (
    "spamhaus", "spamcop.net", "abuseat.org", "sorbs.net", "barracudacentral", "dnsbl", "rbl.", "uceprotect",
    "surbl.org", "psbl.", "mailspike", "backscatterer", "spamrats", "invaluement", "senderbase.org", "senderscore",
    "ipcheck.proofpoint", "csi.cloudmark.com", "sender.office.com", "njabl.org", "five-ten-sg",
    "trendmicro.com/reputation", "ers.trendmicro", "urlblacklist", "0spam", "abusix", "s25r", "truncate.gbudb",
    "truncate.gbudb.net",
)  # fmt: skip

_FULL: Final = """
mailbox full | mailbox is full | mailbox … is full | mailbox almost full | mailbox … has exceeded |
mailbox … exceeds allowed | mailbox … over its | mailbox … exceeded … limit | mailbox … exceed … quota |
mailbox … reached its | mailbox … no space | mailbox size | mailbox quota | mailbox for user is full |
mailbox would exceed maximum allowed storage | mailfolder is full | mailfolder is over | mail box full |
mail box is full | inbox is full | inbox full | inbox … is full | quota exceed | quota is exceed |
quota has been exceed | quota full | quota limit | quota violation | quota overrun | quotaexceeded |
exceeded … quota | exceeding … quota | exceeds … quota | exceed … quota | exceeded … storage | exceeds … storage |
exceeded … disk space | exceeded … allotted | exceeding receive limits | over quota | overquota | over the quota |
over the allowed quota | over their quota | over his quota | over its quota | over the maximum allowed |
out of storage | out of disk space | out of space | not enough storage | not enough disk space |
not enough space … mailbox | not enough free space | no space left | insufficient … storage | insufficient disk |
insufficient system storage | insufficient space | insufficient quota | disk quota | disk full | disk is full |
user … is full | user … has too many messages on the server | account is full | account full | account is over |
account … exceeded | account … over … quota | too many messages in this mailbox |
too many messages on this mailbox | too full | maildir delivery failed: user … quota | mail file full |
mail file is full | no room in mailbox | storage … exceeded | storage … full | storage limit | storage quota |
storage space | recipient reached … quota | recipient … quota | recipient … storage … full |
the user has not enough | would exceed … quota | would exceed … limit | user's disk | mapiexceptionshutoffquota |
mapiexceptionnotenoughdisk | resolver.rst.quota | boîte aux lettres … pleine | boite aux lettres … pleine |
boîte … pleine | boite … pleine | boîte de réception … pleine | messagerie … pleine | quota … dépassé |
quota depasse | quota dépassé | espace de stockage | postfach … voll | postfach … überfüllt |
postfach des empfängers … voll | mailbox … voll | speicherplatz … erschöpft | speicherplatz … überschritten |
kontingent | quota überschritten | buzón … lleno | buzon … lleno | buzón … llena | bandeja … llena |
casilla … llena | cuota … excedida | cuota … superad | excedido … cuota | casella … piena | casella piena |
mailbox piena | spazio … esaurito | quota superata | caixa … cheia | caixa postal … cheia | cota … excedida |
cota … excedeu | skrzynka … pełna | skrzynka … zapełniona | przepełnion | posta kutusu … dolu | posta kutusu dolu |
kotası … aş | kota … aşıldı | postlåda … full | brevlåda … full | postboks … full | schránka … plná |
postafiók … megtelt | почтовый ящик … переполнен | почтовый ящик … заполнен | ящик переполнен | ящик … переполнен |
ящик … полон | превышен … квот | квота … превышен | поштова скринька … переповнена | メールボックス … 一杯 |
メールボックス … いっぱい | メールボックスがいっぱい | メールボックスの容量 | 容量 … 超え | 容量オーバー |
容量 … 超過 | 受信容量 | 受信箱 … 一杯 | 邮箱已满 | 邮箱 … 满 | 邮箱空间 | 信箱已滿 | 郵箱已滿 | 超出 … 配额 |
容量已满 | 사서함 … 가득 | 용량 … 초과 | صندوق البريد ممتلئ | صندوق … ممتلئ | علبة … ممتلئة | صندوق پستی … پر
"""

_SIZE: Final = """
message too large | message too big | message is too large | message is too big | message size exceed |
message size … exceed | message size limit | message exceeds … size | message exceeds … limit |
message exceeded … size | message … exceeds maximum | message … larger than | message … too large |
message length exceed | message header size | message size … too | maximum message size | maximum size … message |
max message size | exceeds size limit | exceeds … size limit | exceeds the maximum … size |
exceeded maximum … message size | mail size limit | mail size exceed | mail … too large | mail too big |
email … too large | size limit exceed | size of the message exceed | size of … message … exceed |
size … larger than | size exceeds | too large for | too much mail data | data size exceed |
resolver.rst.recipsizelimit | resolver.rst.sendsizelimit | body is too long | message file too big |
attachment … too large | nachricht … zu groß | nachricht … zu gross | message trop volumineux |
message … trop volumineux | message … trop gros | taille … dépasse | mensaje … demasiado grande | mensaje … tamaño |
messaggio … troppo grande | mensagem … muito grande | размер … превышает | сообщение слишком больш |
письмо слишком больш | メール … サイズ … 超 | サイズが大きすぎ | サイズ … 制限
"""

_RATE: Final = """
receiving mail at a rate | receiving mail too quickly | receiving email at a rate | receiving … too many messages |
receiving messages … too quickly | too many recipients | too many connections | too many concurrent |
too many simultaneous | too many sessions | too many messages … connection | too many messages from |
too many messages in | too many messages sent | too many mails | too many emails | too many e-mails |
too many errors | too many bad commands | too many invalid recipients | too many unknown | too many requests |
too many rcpt | too many smtp | too many delivery | too many attempts | too many transactions | too much mail |
too much email | too frequent | too fast | rate limit | ratelimit | rate-limit | rate exceed | _rate … exceed |
rate control | rate that prevents | rate is too | rate of … exceed | throttl | slow down | slowdown |
frequency limit | frequency … limit | frequency … exceed | connection frequency | connection limit |
connection rate | connections exceed | connections … exceed | connections … limit | concurrent connections |
concurrent session | max connections | maximum number of connections | maximum number of … connections |
maximum connections | maximum … recipients | maximum number of messages | exceeded … maximum number of |
exceeded … daily | exceeded … hourly | exceeded … messages | exceeded … emails | exceeds … messages per |
exceeded the limit of | exceeded the maximum … recipients | hourly limit | daily limit | daily … quota |
daily sending | sending limit | sending quota | sending rate | send limit | sender … exceeded | message limit |
message rate | messages per hour | message submission rate | mail limit | limit … per hour | limit … per day |
recipient limit | recipients limit | recipients per message | recipients in a single | volume of email |
volume of mail | high volume | unusual rate | unusual traffic | unsolicited mail … rate |
domain … exceeded the max | has exceeded the max | temporarily rate | suspicious … volume | trop de connexions |
trop de messages | trop de destinataires | limite … envoi | zu viele verbindungen | zu viele nachrichten |
zu viele empfänger | demasiados mensajes | demasiados destinatarios | demasiadas conexiones | troppi messaggi |
troppi destinatari | слишком много | 発信頻度 | 频率
"""

_DMARC: Final = """
dmarc
"""
_SPF: Final = """
sender policy framework | not designated … permitted sender | not permitted sender | not allowed to send … domain |
not allowed to send mail from | not authorized to send … from | not authorized to send … domain |
_ip_ … not authorized … domain | is not authorized … on behalf of | invalid ip for sending mail of domain |
invalid ip … domain | sender id (pra) not permitted | sender-id | spf
"""
_DKIM: Final = """
dkim | domainkey
"""
_AUTHENTICATION: Final = """
unauthenticated mail | unauthenticated email | unauthenticated e-mail | is unauthenticated | authentication checks |
authentication check fail | authentication level | fails authentication | failed authentication |
failed to authenticate … domain | domain … authentic | missing a valid address in from | not authenticated … spf |
multiple authentication | message … not authenticated | mail … not authenticated | message is not authenticated |
arc validation | sender's domain … authentic | sender authentication fail | email authentication
"""

_REVERSE: Final = """
helo domain | ehlo domain | reverse dns | reverse-dns | rdns | r-dns | reverse lookup | reverse name |
reverse hostname | reverse address | ptr record | ptr lookup | ptr entry | no ptr | ptr name | dns ptr | valid ptr |
missing ptr | dynamic-looking ptr | no reverse | reverse … not | cannot find your hostname |
cannot find your reverse | cannot resolve your address | cannot resolve your ip |
can't determine purported responsible | could not resolve … hostname … your | domain name of your … server |
your host name … does not | unresolvable relay host | unable to verify … host name | ip name possibly forged |
ip name lookup failed | forged hostname | hostname … not match | forward-confirmed | helo command rejected |
helo/ehlo | ehlo/helo | helo … invalid | helo … rejected | invalid helo | bad helo | helo name
"""

_BLOCKLIST: Final = """
blocklist | block list | block-list | blacklist | black list | black-list | blocked using | blocked by |
is blocked | are blocked | was blocked … _ip | been blocked | blocked - see | blocked for | blocked due |
blocked ip | blocked at | blocked because | blocked … abuse | blocked address | blocked sender | blocked mail |
host … blocked | client … blocked | server … blocked | address … blocked | _ip_ … blocked | sender … blocked |
connection … blocked | block … reported | ban list | denylist | deny list | denied by … rbl | listed in |
listed at | listed on | listed by | is listed | dynamic ip | dynamic host | dynamic address | dialup | dial-up |
dynablock | residential | reputation | access denied … _ip | access denied … banned | access denied - invalid helo |
access from ip | access is denied … _ip | rejected … ip address | rejected because of … _ip | _ip_ … rejected |
_ip_ … refused | _ip_ … denied | ip address … not allowed | _ip_ … not allowed | ip address is | your ip |
your server's ip | sending ip | sender ip | host network not allowed | messages from … weren't sent |
messages from … temporarily deferred | message from … temporarily deferred | messages from your |
mail from your server | mail from … refused | mail server … refused | mail server … reject | mail server … listed |
email from … _ip | refused to accept mail from … _ip | connections from … refused | connection refused … _ip |
connection denied | connections not accepted from | no access from mail server | not accepting mail … _ip |
not accepting connections | not accepting mail from | esmtp not accepting | client host rejected |
client host … rejected | client ip | access to … denied … host | access from your | access not allowed … host |
server access … forbidden | server is not allowed | your network | your mail server | your access … denied |
too many spam … _ip | too many spams … _ip | unwanted messages | adresse ip … bloqu | ip source bloquee |
bloqué … _ip | ip-adresse … gesperrt | _ip_ … gesperrt | _ip_ … blockiert | dirección ip … bloque |
indirizzo ip … blocc | заблокирован | 拒否リスト | 黑名单 | 被屏蔽 | _blocked | _banned | your server … not |
your host … not | ip is not
"""

_SPAM: Final = """
spam | unsolicited | bulk mail | bulk email | bulk e-mail | junk mail | junk email | unwanted … content |
suspected … phish | phishing | scored as | content rejected, ube | looks like … bulk |
rejected by … filter … content | message content rejected | content filter | rejected due to content |
because of … content | content restrictions | content analysis | content … rejected | rejected … content |
mail content denied | blacklisted url | blacklisted uri | url … black | contains … _url | bad url | message scored |
considered … undesirable | classified as | commtouch | cloudmark | high probability | suspicious content |
suspicious message | identified as … unwanted | urbl | reject,  id= | message was rejected … high |
not deliver junk | nevyžádan | pourriel | indésirable | unerwünscht | correo no deseado | posta indesiderata |
posta non desiderata | lixo eletr | спам | нежелательн | 迷惑メール | 垃圾 | 스팸 | istenmeyen | هرزنامه |
بريد مزعج | بريد عشوائي | _ube_ | _uce_ | _bulk_
"""

_VIRUS: Final = """
virus | malware | infected | infection | trojan | malicious | ウイルス | ウィルス | вирус | 病毒 | _macro
"""

_CONTENT: Final = """
executable | attachment | file extension | banned file | message content is not | security issue |
potential security | prohibited content | header error | header too | headers too | malformed | rfc 5322 |
rfc 2822 | rfc 5321 | rfc2822 | rfc5322 | not rfc | non-rfc | illegal header | invalid header | duplicate header |
missing header | header … missing | missing … header | multiple … headers | bad header | 8bit | 8-bit | bare lf |
bare linefeed | stray … linefeed | unsupported character | character set | charset | from: header | from header |
date: header | date header | subject header | empty subject | without subject | message body | media error |
smtputf8 | contains … illegal | line too long | lines too long | line length | cannot be opened | format error |
content … not allowed | encrypted | password-protected | _mime_
"""

_RELAYING: Final = """
relay access denied | relay denied | relay not permitted | relay not allowed | relay is not | relaying denied |
relaying not allowed | relaying not permitted | relaying is prohibited | relaying prohibited | relaying forbidden |
relaying mail | relaying to | unable to relay | not relaying | no relaying | not permitted to relay |
not allowed to relay | not authorized to relay | not authorised to relay | cannot relay | can not relay |
can't relay | do not relay | don't relay | does not relay | doesn't relay | not a relay | relay operation |
relay … prohibited | relay rejected | relay refused | relay restrict | refuses to relay | open relay | mail relay |
isn't in my list | not in my list of | rcpthosts | not a gateway | no such domain here | not served here |
not local … relay | not our customer … relay | this server does not … domain |
this system is not configured to relay | domain is not hosted | domain not hosted | domain … not hosted here |
we don't handle mail for | we do not handle | do not accept mail for | don't accept mail for |
not authorized to use … relay | not authoritative for | non-accepted domain | specified domain is not allowed |
user not local | not local host | outgoing mail from | must check for new mail first | pop before smtp |
pop3 before | pop authentication | relais refusé | relais interdit | weiterleitung … verweigert | relay nicht |
não é permitido retransmitir | ретрансляция запрещена
"""

_LOGIN: Final = """
authentication required | authentication is required | authentication credentials | authentication unsuccessful |
authentication fail | smtp auth | smtpauth | smtp-auth | must be authenticated | must authenticate |
need to authenticate | requires authentication | please authenticate | username and password | log in | sasl |
unauthenticated sender | invalid credentials | basic authentication is disabled | not authenticated | _login_
"""

_SENDER: Final = """
your domain | your e-mail domain | your email domain | sender address rejected | sender address … rejected |
sender address refused | sender address denied | sender address is | sender address verification |
sender address must | sender address does | sender address has null mx | sender rejected | sender refused |
sender denied | sender is not | sender not allowed | sender not authorized … send | sender unknown |
sender … does not exist | sender … not exist | sender … is not allowed | sender … is not authorized |
sender … invalid | sender domain | sender's domain | sender's address | sender's e-mail | sender's email |
sender verify | sender verification | sender callout | sender callback | sender email address | senders |
invalid sender | unknown sender | unroutable sender | unrouteable sender | unverified sender | untrusted sender |
forged sender | fake sender | bad sender | verify sender | verify … sender | return address | return path |
return-path | reverse path | reverse-path | envelope sender | envelope from | mailfrom | from address |
from: domain | from domain | from field | from: address | domain of sender | domain of the sender |
domain … sender address | domain … not resolve … sender | does not resolve | must resolve |
mail from … does not exist | cannot send to yourself | cannot send e-mail to yourself | you cannot send |
you are not allowed | you are not authorized | no permission to send | backscatter | null sender | empty sender |
empty envelope | does not accept mail from you | not accepted from | i don't accept mail from |
adresse d'expéditeur | expéditeur … refus | expediteur | absender | remitente | mittente | remetente | отправител |
送信者 | 发件人 | 寄件者 | _mail from_
"""

_LOOP: Final = """
hop count | hopcount | too many hops | maximum hop | mail loop | routing loop | message loop | looping |
loop detected | loop alert | loops back | loops to myself | too many received | received headers |
received: headers | already been here | forwarding loop | delivery loop | rewriting loop | duplicated message-id |
mail-schleife | mailschleife | boucle | bucle | petla | зацикл | ループ | in a loop
"""

_MOVED: Final = """
has moved | mailbox moved | user moved | user … moved to | address … has changed | address has been changed |
address changed | address … has been replaced | has been replaced by | has changed to | has been changed to |
has changed … e-mail | has changed … email | has a new address | new address is | new e-mail address |
new email address | please use the new | no forwarding address | mailbox has been moved | adresse … a changé |
adresse … geändert | ha cambiado de | ha cambiado … dirección | ha cambiato
"""

_CLOSED: Final = """
no longer exist | no longer valid | no longer in use | no longer in service | no longer a valid | no longer here |
no longer on | no longer with | no longer used | no longer at this | permanently closed | permanently disabled |
permanently deactivated | permanently removed | permanently suspended | has been deleted | have been deleted |
was deleted | been removed | was removed | account deleted | account closed | account has been closed |
account is closed | account … been closed | mailbox deleted | mailbox closed | mailbox removed | deleted user |
is deleted | address … discontinued | existe plus | n'est plus valide | n'est plus utilis | a été supprimé |
wurde gelöscht | existiert nicht mehr | nicht mehr gültig | nicht mehr vorhanden | ya no existe | ha sido eliminad |
non esiste più | não existe mais | bestaat niet meer | удалён | удален | больше не существует | silinmiş |
existuje již
"""

_DISABLED: Final = """
no longer accept | no longer active | user is terminated | account terminated | account … terminated |
archived recipient | archivee | account … locked | account locked | account expired | account … expired |
account is currently unavailable | account … unavailable | account … limited | account unavailable |
account has been blocked | account … hold | disabled | inactive | deactivated | suspend | dormant | frozen |
on hold | not active | not activated | is locked | mailbox temporarily | mailbox is blocked | mailbox blocked |
mailbox not available | user's account | user is blocked | user blocked | user … expired |
unavailable for this user | temporarily unavailable … user | mailbox … unavailable … policy | discontinued |
closed account | boite … désactiv | boîte … désactiv | compte … désactiv | compte … inactif | konto … gesperrt |
konto … deaktiviert | postfach … gesperrt | postfach … deaktiviert | cuenta … desactivad | cuenta … deshabilitad |
cuenta … inactiv | account … disabilitat | casella … disabilitat | utente … sospes | conta … desativad |
conta … inativ | конто | заблокирован … ящик | ящик … заблокирован | отключен | hesap … devre dışı | 利用停止 |
停止中 | 禁用 | 冻结 | _locked
"""

_RESTRICTED: Final = """
resolver.rst | authrequired | only accept … authorized | only accepts … from | accepts messages only from |
accepts mail only from | only members | not a member | members only | subscribers only | not subscribed |
closed list | not allowed to post | permission to post | permissions to post | permission … group |
not have permission | group … not exist … permission | group you tried to contact … may not exist |
posting to … group | groups.google.com | google groups | address is restricted | restricted to |
restricted address | restricted recipient | internal use only | internal mail only | local mail only |
internal users | recipient not authorized | recipient … not allowed | not authorized to send … recipient |
not authorized to send to | isn't allowed to … recipient | don't have permission | delivery not authorized |
not authorised to send to | wasn't delivered because … permission | keine berechtigung | nicht berechtigt |
n'êtes pas autorisé | vous n'avez pas l'autorisation | no tiene permiso | non hai l'autorizzazione |
moderated list | list is moderated
"""

_REFUSED: Final = """
recipient preferences | recipient … refuses | recipient … refused | recipient … blocked |
recipient … does not want | recipient … doesn't want | recipient does not accept | recipient is not accepting |
recipient not accepting | recipient … not accepting | recipient unwilling | recipient is not currently |
recipient's … preferences | email preferences | filtered | filter rule | user filter | user reject | user refused |
user refuses | user doesn't want | user does not wish | user … not accept | user … is not accepting |
refused by recipient | refused by the recipient | refused by … user | rejected by recipient |
rejected by the recipient | rejected by user | rejected by … user | rejected by … rule | blocked by recipient |
blocked by user | blocked by the recipient | blocked by the user | bounced by user | message was discarded |
due to extended inactivity | whitelist | white list | not in … address book | not in … contact | not on … allow |
only accept mail from | only accepts mail from | have been blocked | blocked you | has refused your | mail refused |
delivery refused | delivery … refused | cannot route mail to user | resolver.fwd | customer … rejected | 拒否 |
bloqué par le destinataire | destinataire … refus | empfänger … verweigert | annahme verweigert
"""

_POLICY: Final = """
policy | policies | protocol violation | access restrict | access control | administrative prohibition |
administratively | administrator … prohibit | prohibited | forbidden | not permitted | not allowed |
not authorized | not authorised | unauthorized | denied | local polic | security polic | organization … reject |
rejected by … organization | rejected by destination domain | rejected by the recipient domain |
rejected by administrator | rejected for … reasons | message rejected | message was rejected |
message has been rejected | mail rejected | mail was rejected | mail has been rejected | transaction failed |
transaction rejected | transport rules | transport.rules | complaint | not accepted | not acceptable |
unacceptable | we do not accept | does not accept … from | refus | abgelehnt | zurückgewiesen | rechazad | rechazó |
rifiutat | recusad | rejeitad | afgewezen | geweigerd | reddedildi | отклонен | отклонён | отвергнут | запрещен |
политик | 拒绝 | 拒收 | رفض | _abuse | _csa_ | _agents_ | excessive
"""

_UNKNOWN_USER: Final = """
user unknown | user … unknown | user not found | user … not found | user no exist | user unavailable |
user not here | user not local | user not listed | user … not listed | user … not valid | user invalid |
user … isn't | user doesn't have | user … does not have | unknown user | unknown recipient | unknown local |
unknown account | unknown mailbox | unknown address | unknown e-mail | unknown email | unknown destination |
unknown or illegal | unknown or invalid | unknown: … address | no user | no mailbox | no mail box | no account |
no matches to | no one here | no recipient | no record of | no local mailbox | nosuchuser | not a known user |
not a valid | not a local | not an active | not an existing | not exist | non-existent | nonexistent |
non existent | non-existing | not our user | not our customer | not local user | not listed in |
not found in directory | not recognized | not recognised | not in this server | not have an account |
not have a … account | doesn't have an account | doesn't have a … account | doesn't exist | don't exist |
dosn't exist | does not match any | invalid user | invalid recipient | invalid mailbox | invalid address |
invalid account | invalid alias | invalid destination | invalid email | invalid e-mail | invalid local |
invalid name | invalid or unknown | invalid to | is not valid | is not a known | is unknown | is not local |
illegal user | illegal alias | illegal recipient | illegal address | bad address | bad destination | bad recipient |
bad user | bad mailbox | recipient unknown | recipient … unknown | recipient not found | recipient … not found |
recipient … invalid | recipient invalid | recipient address does | recipient not valid | recipient … not valid |
recipient verification failed | recipient address verification | recipient unavailable | recipient name is not |
recipient no longer | recipient cannot be verified | recipient could not be | recipient couldn't |
recipient wasn't | recipientnotfound | resolver.adr | address unknown | address … unknown | address not found |
address … not found | address … doesn't | address error | address invalid | address … invalid | address not valid |
address not present | address … is incorrect | account not found | account … not found | account … does not |
account … that you tried to reach does not | account invalid | mailbox not found | mailbox … not found |
mailbox unavailable | mailbox … unavailable | mailbox unknown | mailbox … unknown | mailbox invalid |
mailbox … invalid | mailbox not available | mailbox … not available | mailbox not accept | mailbox not here |
mailbox no longer | mailbox name | mailbox … was not found | mail box not | email address … couldn't |
email … not found | could not be found | couldn't be found | wasn't found | unable to find |
unable to validate recipient | unable to verify user | unable to verify recipient | unable to verify address |
cannot find user | cannot find … mailbox | cannot find … recipient | can't find user | cannot be found |
can't be found | couldn't find | can't verify recipient | cannot verify |
delivery to the following recipients failed permanently | that address is not | there is no |
this address does not | this user does not have | undeliverable address | unroutable | unrouteable |
unresolved address | undefined user | undefined mail | unlisted | verify … recipient … failed |
account unavailable | cuda_nsu | syntax of the address | address syntax | user@domain |
cannot deliver mail to this user | no such user | no such recipient | no such account | no such mailbox |
no such address | no such person | no such local | no such name | no such email | no such e-mail | no such virtual |
no such customer | no such member | no such alias | no such destination | no such contact | no such id |
no valid recipient | recipient is invalid | user is invalid | mailbox is invalid | alias … not found |
no email address | _address … not known | recipient verify failed | no address by that name | is not a known user |
user is not known | user is not listed | user is not found
"""
# the same in other languages: what a server says there it says in English, so this is a system speaking for itself
_UNKNOWN_USER_ABROAD: Final = """
adresse … inconnue | adresse inconnue | adresse … invalide | destinataire … inconnu | destinataire inconnu |
destinataire invalide | destinataire … invalide | utilisateur inconnu | utilisateur … inconnu | compte … inconnu |
n'existe pas | introuvable | inexistant | unbekannter empfänger | unbekannte adresse | unbekannter benutzer |
unbekannter user | empfänger unbekannt | empfänger … unbekannt | empfängeradresse … ungültig | adresse … unbekannt |
adresse … ungültig | benutzer … unbekannt | benutzer unbekannt | existiert nicht | nicht gefunden |
nicht vorhanden | nicht bekannt | ist unbekannt | kein solcher | kein benutzer | usuario desconocido |
usuario … desconocido | usuario inexistente | usuario no encontrado | destinatario desconocido |
destinatario … desconocido | destinatario inexistente | destinatario … no se encuentra | dirección … no se encontr |
dirección … no encontrada | cuenta inexistente | no se encontró | no se ha encontrado | no se pudo encontrar |
no existe | utente sconosciuto | utente … sconosciuto | utente inesistente | destinatario sconosciuto |
destinatario … sconosciuto | destinatario inesistente | destinatario … inesistente | indirizzo … inesistente |
indirizzo … sconosciuto | casella … inesistente | non esiste | non trovato | usuario nao | não existe |
não encontrad | desconhecido | gebruiker … onbekend | onbekende gebruiker | adres … onbekend | bestaat niet |
niet gevonden | nieznany użytkownik | nie istnieje | nie ma takiego | bilinmeyen kullanıcı | bulunamadı |
adres … mevcut değil | okänd användare | mottagaren … okänd | finns inte | ukjent bruker | finnes ikke |
ukendt bruger | findes ikke | tuntematon | ei löydy | neznámý uživatel | neexistuje | ismeretlen | nem létezik |
nem található | necunoscut | nu există | άγνωστος | δεν υπάρχει | δεν βρέθηκε | неизвестный пользователь |
неизвестный получатель | такого пользователя нет | нет такого | не существует | не найден | не знайден | не існує |
見つかりません | あて先不明 | 宛先不明 | 存在しない | 存在しません | ディレクトリのリストにありません | 不存在 |
找不到 | 查無此人 | 존재하지 않는 | 수신자 … 없 | 찾을 수 없 | غير موجود | غير معروف | تعذر العثور | لم يتم العثور |
کاربر ناشناس | وجود ندارد | یافت نشد | ناشناخته | משתמש לא קיים
"""

_UNKNOWN_HOST: Final = """
host unknown | host not found | host does not exist | unknown host | unknown domain | unknown mail domain |
domain not found | domain … not found | domain name not found | domain … couldn't be found |
domain … could not be found | domain … cannot be found | domain does not exist | domain … does not exist |
domain doesn't exist | domain … doesn't exist | domain not exist | domain invalid | domain is invalid |
domain lookup failed | domain … non-existent | recipient domain … not exist | invalid domain | illegal host |
invalid host | bad domain | no such domain | no such host | no mail exchanger | no mx | no route to … domain |
no route found to domain | no dns | no valid mx | no usable mx | no mail server … found | nxdomain |
non-existent domain | nonexistent domain | name service error | name or service not known | couldn't find any host |
couldn't find a mail exchanger | couldn't find … host | cannot find … domain | can't find … domain |
could not find … domain | could not resolve domain | dns … not exist | domainnonexistent |
remote domain doesnt exist | records point to non-existent | all host address lookups failed permanently |
all relevant mx records point to | an mx or srv record indicated no smtp service | unrouteable mail domain |
unrouteable domain | unroutable domain | unable to lookup … domain | domaine … introuvable | domaine … inconnu |
domaine … n'existe pas | domäne … nicht gefunden | domain … unbekannt | domain … existiert nicht |
dominio … no existe | dominio … no se encontr | dominio … non esiste | dominio … inesistente | домен … не найден |
домен … не существует | ドメイン … 存在しません | ドメイン … 見つかりません | 域名不存在 | النطاق غير موجود
"""

_NO_MAIL: Final = """
host does not accept mail | host/domain does not accept | domain … does not accept mail | mail receiving disabled |
domain does not accept | domain accepts no mail | no smtp service | no mail service | null mx | nullmx |
destination domain … null
"""

_GREYLISTED: Final = """
greylist | gray list | graylist | grey list | grey-list | gray-list | temporarily deferred … try | postgrey |
please retry later | try again in | come back later | come back in | please resend later
"""

_NETWORK: Final = """
connection refused | connection reset | connection lost | connection closed | connection dropped |
connection failed | connection died | connection error | connection was dropped | connection attempt |
connection … refused | connection to | timed out | timeout | time out | time-out | lost connection |
no route to host | no connection | network error | network problem | host is down | host down | could not connect |
couldn't connect | cannot connect | can't connect | failed to connect | unable to connect | unable to contact |
unable to reach | unable to resolve | wasn't able to establish | couldn't reach | could not be reached |
not reachable | not respond | no response | no answer | no mail hosts | did not accept our requests to connect |
socket error | dns error | dns fail | dns query | dns lookup | dns server | dns problem | dns temporarily |
temporary failure in name resolution | servfail | name server | nameserver | lookup fail | mx lookup | mx record |
all servers | ssl | starttls | handshake | broken pipe | bad connection | premature | remote host | deferred |
unreachable | server busy | délai … dépassé | zeitüberschreitung | nicht erreichbar | tiempo de espera | conexión |
connessione | タイムアウト | 接続 | _tls_
"""

_EXPIRED: Final = """
retry time not reached for any host | all hosts have been failing | has been frozen | was frozen on arrival |
delivery timed out | expired | been in the queue | queue too long | queue lifetime | retry timeout exceeded |
retry time … exceeded | retry … exceeded | gave up | given up | giving up | could not be delivered for |
could not be delivered after | cannot send message for | could not send message for | unable to deliver … days |
undelivered after | not been delivered after | too old | has been attempted … times | attempts … failed |
maximum … retries | retries exceeded | delivery attempts | delayed | delivery incomplete | temporary problem |
will be retried | will retry | will keep trying | still undelivered | haven't been able to deliver
"""

_SYSTEM: Final = """
internal error | internal software error | system error | system not accepting | system config error |
system not available | system is not | server error | service unavailable | service currently unavailable |
service not available | service is not | service … unavailable | temporary system problem | temporary failure |
temporary error | temporary problem | temporary local problem | temporarily | try again | try later | local error |
configuration | misconfigured | mailer error | command output | procmail | maildrop | mail.local | dovecot | lmtp |
pipe to | lock failure | i/o error | input/output | can't create | cannot create | can't open | cannot open |
cannot append | cannot write | could not write | file system | filesystem | database | ldap | backend | unexpected |
out of memory | resources | shortage | overload | unable to deliver | recipient error | queue file |
operating system | requested action aborted | not implemented | mapi | storedrv | _busy_ | _later | _permission_ |
_directory
"""

_SYNTAX: Final = """
syntax error | command not | command unrecognized | unrecognized command | bad sequence | out of order |
pipelining | unexpected command | need rcpt | need mail | no valid recipients … data | protocol error |
bad command | valid rcpt command | _syntax
"""

_SECURITY: Final = """
must issue a starttls | requires tls | tls required | tls is required | encryption required | encryption needed |
encryption is required | cryptographic | insecure | not secure | _security
"""

# Said by a system of its own users: nobody else says it so.
STRONG: Final = phrases("""
not listed in domino directory | not listed in public name & address book | recipient name is not recognized |
delivery error dd this user doesn't have | no valid recipients for this mm | mail.local unknown user |
address not found your message wasn't delivered … couldn't be found check | resolver.adr.recipnotfound |
resolver.adr.recipientnotfound | resolver.adr.exrecipnotfound | no mailbox here by that name | nosuchuser
""")
# Where no server's answer is told, a system speaks for itself.
LOCAL: Final = phrases("""
unknown user @ | unrouteable address | unroutable address | couldn't be found | wasn't found | not recognized |
not found in directory
""") + phrases(_UNKNOWN_USER_ABROAD)

# What one provider means by words that others use otherwise: a sign of the provider, the words, the reason.
PROVIDERS: Final[tuple[tuple[str, str, str], ...]] = (
    ("5.4.1 recipient address rejected: access denied", "access denied", "unknown_user"),  # Microsoft's edge
    ("mimecast", "invalid recipient", "unknown_user"),
    ("5.1.0 address rejected", "", "unknown_user"),  # Cisco's
    ("openspf", "", "spf"),
)

TEXTS: Final[tuple[tuple[str, tuple[Phrase, ...]], ...]] = (
    ("unknown_user", STRONG),
    (
        "rate",
        phrases("receiving mail at a rate|receivingrate|receiving mail too quickly|sending limit|frequency limited"),
    ),
    ("full", phrases(_FULL)),
    ("size", phrases(_SIZE)),
    ("virus", phrases(_VIRUS)),
    ("content", phrases("banned file|banned content|content presents a potential|attachment … not allowed")),
    ("dmarc", phrases(_DMARC)),
    ("authentication", phrases(_AUTHENTICATION)),
    ("spf", phrases(_SPF)),
    ("dkim", phrases(_DKIM)),
    ("reverse_name", phrases(_REVERSE)),
    ("relaying", phrases(_RELAYING)),
    ("moved", phrases(_MOVED)),
    (
        "disabled",
        phrases(
            "disabled or discontinued|temporarily suspended|temporarily disabled|no longer accepts|terminated|archive"
        ),
    ),
    ("closed", phrases(_CLOSED)),
    ("rate", phrases(_RATE)),
    ("restricted", phrases(_RESTRICTED)),
    ("refused", phrases(_REFUSED)),
    ("spam", phrases(_SPAM)),
    ("login", phrases(_LOGIN)),
    ("security", phrases("must issue a starttls|starttls required|requires tls|tls required|encryption required")),
    ("sender", phrases(_SENDER)),
    ("blocklist", phrases(_BLOCKLIST)),
    ("loop", phrases(_LOOP)),
    ("disabled", phrases(_DISABLED)),
    ("no_mail", phrases(_NO_MAIL)),
    ("greylisted", phrases(_GREYLISTED)),
    ("unknown_host", phrases(_UNKNOWN_HOST)),
    ("content", phrases(_CONTENT)),
    ("unknown_user", phrases(_UNKNOWN_USER) + phrases(_UNKNOWN_USER_ABROAD)),
    ("policy", phrases(_POLICY)),
    ("expired", phrases(_EXPIRED)),
    ("network", phrases(_NETWORK)),
    ("security", phrases(_SECURITY)),
    ("system", phrases(_SYSTEM)),
    ("syntax", phrases(_SYNTAX)),
)

# What comes to nothing but the sender or the way at MAIL and before; what is not among them is a policy.
ABOUT_US: Final = tuple(
    (reason, table)
    for reason, table in TEXTS
    if reason in ("rate", "size", "dmarc", "authentication", "spf", "dkim", "reverse_name", "relaying", "spam", "login")
    or reason in ("security", "blocklist", "sender", "greylisted", "network", "policy", "system", "syntax")
)
