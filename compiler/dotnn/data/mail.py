"""E-mails as rows: `source mail "data/spam/*/*"`. Each file is a whole e-mail, as programs store it.

Columns: `subject`, `from`, `text` (what is written in it, without the signs of HTML), `message` (subject and text, as
a reader sees them), `folder`, `file`. Nothing in a mail is trusted: what is not as the standards say is read as well as
it can be, so that every file is a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from html import unescape
from typing import Any

from dotnn.data.arrays import Form
from dotnn.data.files import FilesTable
from dotnn.data.paths import TableFile
from dotnn_grammar.limits import limits

COLUMNS = ("subject", "from", "text", "message")
NOTHING = {"subject": "(no subject)", "from": "(no sender)", "text": "(no text)"}
"""What a mail program shows where there is nothing."""
MOST = 1 << 23
"""Bytes of one mail."""
LONGEST = 4_000
"""Characters of a header: what reads them takes time that grows with their square."""
PARTS = 200
"""Parts of a mail that are looked at."""
TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)|<[!?]()")
LINES = frozenset({"p", "br", "div", "tr", "li", "table", "h1", "h2", "h3"})
"""Tags before which a line ends."""
HIDDEN = frozenset({"script", "style", "title"})
"""Tags of what no reader sees."""


def read_mail(file: TableFile, raw: bytes) -> dict[str, str]:
    """The columns of one mail."""
    return columns_of(raw)


def columns_of(raw: bytes) -> dict[str, str]:
    """Subject, sender and text of an e-mail, each a text that is not empty."""
    try:
        mail: Message = message_from_bytes(raw)
        found = {"subject": _header(mail, "subject"), "from": _header(mail, "from"), "text": _text(mail)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, HeaderParseError):
        found = {"text": _decoded(raw, None)}  # what Python's own reader stumbles over: all of it as it stands
    most = limits().cell
    made = {name: _clean(found.get(name, ""))[:most] or NOTHING[name] for name in ("subject", "from", "text")}
    return {**made, "message": f"{made['subject']}\n{made['text']}"[:most]}


def _header(mail: Message, name: str) -> str:
    value = mail.get(name)
    if value is None:
        return ""
    text = str(value)[:LONGEST]
    with suppress(HeaderParseError, ValueError, LookupError):
        parts = decode_header(text)
        text = "".join(_decoded(part, charset) if isinstance(part, bytes) else part for part, charset in parts)
    return " ".join(text.split())


def _text(mail: Message) -> str:
    """The plain parts; where there are none, those in HTML without its signs."""
    plain, html = [], []
    for part in _parts(mail):
        kind = part.get_content_type()
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        if kind == "text/plain":
            plain.append(_payload(part))
        elif kind == "text/html":
            html.append(_without_signs(_payload(part)[: 4 * limits().cell]))
    for found in (plain, html):
        text = "\n".join(found).strip()
        if text:
            return text
    return ""


def _parts(mail: Message) -> Iterator[Message]:
    for number, part in enumerate(mail.walk()):
        if number == PARTS:
            return
        for name in ("content-type", "content-disposition"):
            if len(str(part.get(name, ""))) > LONGEST:
                part.replace_header(name, str(part[name])[:LONGEST])
        yield part


def _payload(part: Message) -> str:
    raw: Any = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    charset = part.get_content_charset()
    return _decoded(raw, charset)


def _decoded(raw: bytes, charset: str | None) -> str:
    """Bytes as text, whatever they claim: by their own charset, else by UTF-8, else as Western Europe wrote."""
    for name in (charset, "utf-8"):
        if name:
            with suppress(LookupError, ValueError):
                return raw.decode(name)
    return raw.decode("cp1252", "replace")


def _clean(text: str) -> str:
    """Without signs that cannot be shown, and without white space at the ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[^\S\n]+", " ", "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)).strip()


def _without_signs(html: str) -> str:
    """What a reader sees of a page of HTML, well formed or not. Goes through it once, forwards."""
    seen: list[str] = []
    at, end = 0, len(html)
    while at < end:
        sign = html.find("<", at)
        if sign < 0:
            break
        seen.append(html[at:sign])
        named = TAG.match(html, sign)
        if html.startswith("<!--", sign):
            stop = html.find("-->", sign)
            at = end if stop < 0 else stop + 3
        elif named is None:
            seen.append("<")
            at = sign + 1
        else:
            name = (named[1] or "").lower()
            stop = html.find(">", sign)
            if name in HIDDEN and stop >= 0:
                closing = re.compile(rf"</{name}\b", re.IGNORECASE).search(html, stop)
                stop = html.find(">", closing.start()) if closing else -1
            seen.append("\n" if name in LINES else " ")
            at = end if stop < 0 else stop + 1
    seen.append(html[at:end])
    return unescape("".join(seen))


class MailSource:
    """Satisfies ``dotnn.plugins.DataSource``."""

    name = "mail"
    summary = "e-mail files: `subject`, `from`, `text`, `message`, and the `folder` of each"

    def join(self, arguments: Sequence[str], place: Any) -> Sequence[FilesTable]:
        files = [file for argument in arguments for file in place.files(argument)]
        forms: Mapping[str, Form] = {name: Form("text") for name in COLUMNS}
        return [FilesTable("mail", files, " and ".join(arguments), forms, read_mail, MOST)]

    def tables(self, argument: str, place: Any) -> Sequence[FilesTable]:
        return self.join((argument,), place)
