"""Sentence pairs from catalogues: gaps are filled alike on both sides, the same everywhere."""

import pytest
from tests.fetch.conftest import zip_of

from dotnn.fetch.pairs import entries, filled, sentences, swahili_of_django
from dotnn_grammar.problems import ProblemError

CATALOGUE = """# Translators
msgid ""
msgstr ""
"Content-Type: text/plain\\n"

#: a.py
msgid "Log \\"out\\""
msgstr "Toka"

msgid "user"
msgstr "mtumiaji"

#, python-format
msgid "Add another %(model)s"
msgstr "Ongeza %(model)s "
"tena"

#, python-format
msgid "%(n)d day"
msgid_plural "%d days"
msgstr[0] "siku %(n)d"
msgstr[1] "siku %d"

#, fuzzy
msgid "Unsure"
msgstr "Labda"

msgid "Empty"
msgstr " "

msgid "See <b>this</b>"
msgstr "Tazama <b>hii</b>"
"""


def test_a_catalogue_is_read():
    found = dict(entries(CATALOGUE))
    assert found["Add another %(model)s"] == "Ongeza %(model)s tena"
    assert found['Log "out"'] == "Toka"
    assert found["%d days"] == "siku %d"
    assert not {"Unsure", "Empty", "%(n)d day"} & set(found)


def test_gaps_are_filled_alike():
    made = dict(sentences(dict(entries(CATALOGUE))))
    assert made["Add another user"] == "Ongeza mtumiaji tena"
    days = {one: other for one, other in made.items() if one.endswith("days")}
    assert len(days) == 24
    assert all(other == f"siku {one.split()[0]}" for one, other in days.items())
    assert set(made) == {"Add another user", "user", *days}
    assert list(filled("%s of %s and %d or %(x)s", "%s %d %(x)s", [])) == []
    assert list(filled("By %(unknown)s", "Kwa %(unknown)s", [("user", "mtumiaji")])) == []


def test_a_package_becomes_a_table(tmp_path):
    package = tmp_path / "django-1-py3-none-any.whl"
    package.write_bytes(zip_of({"django/locale/sw/LC_MESSAGES/django.po": CATALOGUE.encode()}))
    ((name, table),) = swahili_of_django(package)
    assert name == "en-sw.tsv"
    lines = table.decode().splitlines()
    assert lines[0] == "en\tsw"
    assert "Add another user\tOngeza mtumiaji tena" in lines
    assert table == next(iter(swahili_of_django(package)))[1]


def test_a_package_without_catalogues_is_refused(tmp_path):
    package = tmp_path / "django-1-py3-none-any.whl"
    package.write_bytes(zip_of({"django/readme.txt": b"nothing"}))
    with pytest.raises(ProblemError, match="no catalogue of Swahili"):
        list(swahili_of_django(package))
