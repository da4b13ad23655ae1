"""E-mails as rows: what is read of well-formed and of broken ones, and how a spec names it."""

from time import perf_counter

import pytest

from dotnn.compiler import check_file, compile_file
from dotnn.data import mail as module
from dotnn.data.mail import columns_of
from dotnn_grammar.limits import Limits, allowing

PLAIN = b"From: A B <a@example.org>\nSubject: Two\n words\n\nHello  there,\nthis is it.\n"


def parts(*inner: tuple[str, bytes]) -> bytes:
    made = b'Content-Type: multipart/mixed; boundary="x"\nSubject: parts\n\n'
    for kind, text in inner:
        made += b"--x\nContent-Type: " + kind.encode() + b"\n\n" + text + b"\n"
    return made + b"--x--\n"


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (PLAIN, {"subject": "Two words", "from": "A B <a@example.org>", "text": "Hello there,\nthis is it."}),
        (PLAIN.replace(b"\n", b"\r\n"), {"subject": "Two words", "text": "Hello there,\nthis is it."}),
        (b"Subject: =?utf-8?b?R3LDvMOfZQ==?= =?iso-8859-1?q?f=FCr?= dich\n\nx", {"subject": "Grüßefür dich"}),
        (b"Subject: =?utf-8?b?!!!?=\n\nx", {"text": "x"}),
        (b"Content-Type: text/plain; charset=latin-1\n\nf\xfcr", {"text": "für"}),
        (b"Content-Type: text/plain; charset=no-such-charset\n\nf\xc3\xbcr", {"text": "für"}),
        (b"Content-Type: text/plain; charset=utf-8\n\nf\xfcr", {"text": "für"}),
        (b"Content-Transfer-Encoding: base64\n\naGVsbG8=", {"text": "hello"}),
        (b"Content-Transfer-Encoding: base64\n\n====!", {"text": "(no text)"}),
        (
            b"Content-Type: text/html\n\n<p>One<br>two &amp; <b>three</b><style>p {}</style>",
            {"text": "One\ntwo & three"},
        ),
        (parts(("text/html", b"<p>no"), ("text/plain", b"yes")), {"text": "yes", "subject": "parts"}),
        (parts(("text/html", b"<i>only</i> this")), {"text": "only this"}),
        (parts(("application/pdf", b"%PDF")), {"text": "(no text)"}),
        (b"just words, no header at all", {"subject": "(no subject)", "from": "(no sender)"}),
        (b"", {"subject": "(no subject)", "text": "(no text)"}),
        (b"\x00\xff\xfe\x80" * 50, {"subject": "(no subject)"}),
        (b"Content-Type: multipart/mixed\n\nno boundary", {}),
        (
            b"Content-Type: multipart/mixed; boundary=x\n\n"
            + b"--x\nContent-Type: multipart/mixed; boundary=x\n\n" * 500,
            {},
        ),
        (b"Content-Type: text/html\n\n" + b"<a <b <!-- " * 2000, {}),
        (b"Subject: " + b"=?utf-8?q?" * 500 + b"\n\nx", {"text": "x"}),
        (b"From 12a1mailbot1@web.de  Thu Aug 22 13:17:22 2002\nSubject: box\n\nx", {"subject": "box", "text": "x"}),
    ],
)
def test_what_is_read(raw, found):
    made = columns_of(raw)
    assert set(made) == {"subject", "from", "text", "message"}
    assert all(made.values())
    assert all(c.isprintable() or c == "\n" for text in made.values() for c in text)
    assert made["message"] == f"{made['subject']}\n{made['text']}"
    for name, text in found.items():
        assert " ".join(made[name].split(" ")) == text, made


def test_a_long_mail_is_cut():
    with allowing(Limits(cell=100)):
        assert len(columns_of(b"Subject: x\n\n" + b"word " * 1000)["text"]) == 100


SPEC = """
data mails {
  source mail "box/*/*.eml"
  say  = text as words(length = 6)
  kind = folder as class
  split train 50%, test 50% stratify kind
}
net N(say: int[b, t] < vocab) -> s: [b, 2] { s = mean(say -> embedding(vocab, 3), over = t) -> dense(2) }
train N on mails { loss cross_entropy(s, kind); optimizer adam; batch 4; epochs 1; answer argmax(s) as kind }
"""


@pytest.fixture
def box(tmp_path):
    for kind in ("good", "bad"):
        (tmp_path / "box" / kind).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "box" / kind / f"{number}.eml").write_bytes(PLAIN + f"{kind} {number}".encode())
    (tmp_path / "mails.nn").write_text(SPEC)
    return tmp_path


def test_a_spec_names_what_is_in_them(box):
    made = compile_file(box / "mails.nn")
    says = {raw.name: raw for raw in made.program.inputs}
    assert says["kind"].classes == ("bad", "good")
    assert says["say"].reader == "mail"
    train = made.dataset.splits["train"].arrays
    assert sorted(train["kind"].tolist()) == [0, 0, 0, 1, 1, 1]
    assert train["say"].shape == (6, 6)
    again = compile_file(box / "mails.nn")
    assert again.dataset.fingerprint == made.dataset.fingerprint
    (box / "box/bad/0.eml").write_bytes(PLAIN + b"another")
    assert compile_file(box / "mails.nn").dataset.fingerprint != made.dataset.fingerprint


def test_what_does_not_fit(box, refused, monkeypatch):
    path = box / "mails.nn"
    path.write_text(SPEC.replace("box/*/*.eml", "box/*/*.txt"))
    refused("D009", lambda: check_file(path))
    path.write_text(SPEC.replace("box/*/*.eml", "one.eml"))
    (box / "one.eml").write_bytes(PLAIN)
    refused("D071", lambda: check_file(path))
    path.write_text(SPEC.replace('"box/*/*.eml"', '"box/*/*.eml", "box/bad/1.eml"'))
    refused("D012", lambda: check_file(path))
    path.write_text(SPEC)
    monkeypatch.setattr(module, "MOST", 60)
    problem = refused("D072", lambda: check_file(path))
    assert "box/bad/0.eml" in problem.title_text


def test_a_link_is_not_followed(box, refused):
    (box / "box/bad/9.eml").symlink_to(box / "box/bad/1.eml")
    refused("D004", lambda: check_file(box / "mails.nn"))


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/html\n\n" + b"<a <b <!-- " * 50_000,
        b"Content-Type: text/html\n\n" + b"<style></style>" * 50_000,
        b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\n\nx",
        b"Content-Type: text/plain; " + b"a=b; " * 100_000 + b"\n\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=x%d\n\n--x%d\n" % (i, i) for i in range(1_000)),
    ],
)
def test_what_would_take_for_ever_does_not(raw):
    started = perf_counter()
    columns_of(raw)
    assert perf_counter() - started < 5
