"""Words that take a person off our messages, and back on: nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.worker.reply.words import LISTS, build, load

WORDS = build({})

# fmt: off
STOPS = ["STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL", "stop", "Stop.", " stop  all! ",
         "stop\nall",
         "«Stop»", "\"STOP\"", "'stop'", "“stop”", "STOP!!!", "...stop...", "stop, stop", "stop-all", "ＳＴＯＰ",
         "STOP\u00a0ALL",
         "st\u200bop", "\ufeffstop", "stop 🛑", "sTOp?", "\tStop\r\n", "(unsubscribe)", "¡Stop!", "stop\x00",
         "stop\ufffd",
         "S T O P", "s.t.o.p.", "STÓP", "STOP\ufe0f"]
STARTS = ["START", "start.", "Unstop", " UNSTOP! ", "start\u2026"]
NEITHER = ["", " ", ".", "please stop by", "stop it", "don't stop", "stopp", "stop1", "1 stop",
           "STOP ALL NOW",
           "stop stop stop", "stopstop", "stopall", "the end", "no", "un stop", "re-start", "unsub", "arret", "revoke",
           "opt out", "yes",
           "🛑", "x" * 100_000]
# fmt: on


@pytest.mark.parametrize("text", STOPS)
def test_a_word_to_stop_is_known_however_it_is_written(text: str) -> None:
    """Case, accents, spaces, punctuation, quotes and what cannot be seen are forgiven."""
    assert "stop" == WORDS.meaning(text)


@pytest.mark.parametrize("text", STARTS)
def test_a_word_to_start_again_is_known(text: str) -> None:
    """As custom has it."""
    assert "start" == WORDS.meaning(text)


@pytest.mark.parametrize("text", NEITHER)
def test_a_word_among_others_means_nothing(text: str) -> None:
    """Only a whole message counts: "please stop by" is an invitation."""
    assert "" == WORDS.meaning(text)


# fmt: off
LOOK_ALIKES = ["ЅТОР", "ѕtор", "Stоp", "SΤOP", "ꜱᴛᴏᴘ", "𝐒𝐓𝐎𝐏", "ⓢⓣⓞⓟ", "Ѕ Т О Р", "CАNCEL", "QUІT",
               "🆂🆃🅾🅿", "🅂🅃🄾🄿", "🅢🅣🅞🅟", "🇸🇹🇴🇵", "🆂🆃🅾️🅿️", "🆂 🆃 🅾 🅿"]
# fmt: on


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_a_word_to_stop_in_letters_of_several_scripts_is_known(text: str) -> None:
    """It is meant to be read as STOP, whatever keyboard wrote it."""
    assert "stop" == WORDS.meaning(text)


@pytest.mark.parametrize("text", ["ЅТАRТ", "S T A R T", "ꜱᴛᴀʀᴛ", "YES", "стоп", "ΣΤΟΠ"])
def test_a_doubtful_text_never_starts_messages_and_another_language_is_no_disguise(text: str) -> None:
    """A wrong START sends to somebody who does not want it; a Russian СТОП is a word of its own language."""
    assert "" == WORDS.meaning(text)


# fmt: off
IN_NORTH_AMERICA = ["STOP", "QUIT", "END", "REVOKE", "OPT OUT", "CANCEL", "UNSUBSCRIBE",  # 47 CFR 64.1200(a)(10)
                    "STOPALL", "STOP ALL", "OPTOUT", "OPT-OUT", "REMOVE", "ARRET", "arrêt", "Arrêté"]
PLACES = [
    ("REVOKE", "27831234567", ""), ("ARRET", "33612345678", "stop"), ("ARRÊT", "41791234567", "stop"),
    ("ARRET", "491711234567", ""), ("STOPP", "4791234567", "stop"), ("STOPP", "491711234567", ""),
    ("REVOKE", "16475550123", "stop"), ("REVOKE", "18005550123", "stop"), ("REVOKE", "", ""), ("REVOKE", "123", ""),
    ("REVOKE", "1CALLME", ""), ("STOP", "VODAFONE", "stop"),
    ("help", "12025550123", "help"), ("INFO.", "27831234567", "help"), ("information", "12025550123", ""),
]
# fmt: on


@pytest.mark.parametrize("text", IN_NORTH_AMERICA)
def test_the_words_of_the_fcc_and_of_the_carriers_stop_numbers_of_plus_1(text: str) -> None:
    """In the US and Canada, and everywhere else within +1."""
    assert ["stop"] * 3 == [WORDS.meaning(text, one) for one in ("12025550123", "14165550123", "18765550123")]


@pytest.mark.parametrize(("text", "sender", "meaning"), PLACES)
def test_a_word_of_a_country_counts_for_numbers_of_that_country(text: str, sender: str, meaning: str) -> None:
    """A short code or a name has no country; STOP needs none."""
    assert meaning == WORDS.meaning(text, sender)


def test_each_list_of_words_has_its_source() -> None:
    """Nobody should have to guess why a word counts."""
    assert [] == [one.language for one in LISTS if not one.source]


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_an_operator_adds_languages_and_takes_none_of_the_english_away(tmp_path: Path) -> None:
    """Clickatell's own words stop its messages in any case, so ours do too."""
    content = {
        "fr": {"stop": ["ARRÊT", "Arret"], "start": ["DÉBUT"]},
        "en": {"stop": ["REMOVE"]},
        "es": {"stop": ["BAJA"], "help": ["AYUDA"], "countries": ["es", "+52"]},
        "de": {},
        "ar": {"stop": ["قف"]},
    }
    words = load(written(tmp_path / "words.json", content))
    assert ["stop"] * 5 == [words.meaning(one) for one in ("arre\u0302t!", "arret", "remove", "قف", "stop all")]
    assert ["start", "start"] == [words.meaning(one) for one in ("début", "unstop")]
    senders = ("34612345678", "525512345678", "12025550123")
    assert ["stop", "stop", ""] == [words.meaning("¡Baja!", one) for one in senders]
    assert ["help", "help", ""] == [words.meaning("ayuda", one) for one in senders]
    assert load(None) == load() == WORDS
    assert ["stop"] * 7 == [words.meaning(one) for one in LISTS[0].stop]


def test_one_word_may_mean_different_things_in_different_countries() -> None:
    """But not two things for one number."""
    words = build({"x": {"stop": ["JA"], "countries": ["DE"]}, "y": {"start": ["JA"], "countries": ["NL", "+47"]}})
    senders = ("491711234567", "31612345678", "4791234567")
    assert ["stop", "start", "start"] == [words.meaning("ja", one) for one in senders]
    with pytest.raises(ValueError, match="y: 'JA' cannot mean start, since it means stop in x"):
        build({"x": {"stop": ["JA"], "countries": ["NO"]}, "y": {"start": ["JA"], "countries": ["+47"]}})


def test_upper_and_lower_case_are_one_in_every_script() -> None:
    """Also where one letter becomes two."""
    words = build({"de": {"stop": ["Schluß"]}, "el": {"stop": ["στοπ"]}, "ru": {"stop": ["стоп"]}})
    assert ["stop"] * 4 == [words.meaning(one) for one in ("SCHLUSS", "schluß.", "ΣΤΟΠ", "СТОП")]


# fmt: off
WRONG: list[tuple[Any, str]] = [
    ("{", "not JSON"), ("[" * 10_000, "not JSON"), ([], "object"), ("5", "object"), ({"fr": []}, "fr: an object"),
    ({"": {}}, "name"),
    ({"fr": {"stopp": []}}, "fr: 'stopp'"), ({"fr": {"stop": "ARRET"}}, "fr: stop should be a list"),
    ({"fr": {"stop": [5]}}, "fr: stop has 5"), ({"fr": {"stop": ["ARRET", " ! "]}}, "fr: stop has ' ! '"),
    ({"fr": {"stop": ["x" * 71]}}, "longer than 70"), ({"fr": {"stop": ["OUI"], "start": ["oui."]}},
    "'oui.' cannot mean start"),
    ({"fr": {"countries": "FR"}}, "fr: countries should be a list"),
    ({"fr": {"countries": ["FR", "XX"]}}, "fr: countries has 'XX'"), ({"fr": {"countries": ["+999"]}}, "'+999'"),
    ({"fr": {"countries": [33]}}, "has 33"), ({"fr": {"confirmation": 5}}, "fr: confirmation"),
    ({"fr": {"confirmation": "x" * 161}}, "longer than one SMS"),
    ({"fr": {"start": ["Stop"]}}, "fr: 'Stop' cannot mean start, since it means stop in Clickatell's English"),
    ({"fr": {"stop": ["START"]}}, "cannot mean stop"), ({"fr": {"stop": ["ja"]}, "de": {"start": ["JA"]}},
    "stop in fr"),
]
# fmt: on


@pytest.mark.parametrize(("content", "about"), WRONG)
def test_an_invalid_file_is_refused_with_language_and_word(tmp_path: Path, content: Any, about: str) -> None:
    """With the file's name, at the start of the process."""
    path = written(tmp_path / "words.json", content)
    with pytest.raises(ValueError, match=r"words\.json") as refused:
        load(path)
    assert about in str(refused.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """And one that is a folder, or no text."""
    tmp_path.joinpath("octets").write_bytes(b"\xff\xfe")
    for name, about in (("none.json", "No such file"), (".", "directory"), ("octets", "not JSON")):
        with pytest.raises(ValueError, match=about):
            load(tmp_path / name)


@given(some.text())
def test_no_text_raises_and_no_longer_text_is_a_word(text: str) -> None:
    """A stranger writes it."""
    assert WORDS.meaning(text, "12025550123") in ("", "stop", "start", "help")
    assert "" == WORDS.meaning(f"please {text} stop by")
