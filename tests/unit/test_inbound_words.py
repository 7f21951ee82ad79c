"""Words that take a person off our messages, and back on: nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threelane.worker.reply.words import ENGLISH, build, load

WORDS = build({})

# fmt: off
STOPS = ["STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "STOP STOP", "STOP ALL", "stop", "Stop.", " stop  all! ",
         "stop\nall",
         "«Stop»", "\"STOP\"", "'stop'", "“stop”", "STOP!!!", "...stop...", "stop, stop", "stop-all", "ＳＴＯＰ",
         "STOP\u00a0ALL",
         "st\u200bop", "\ufeffstop", "stop 🛑", "sTOp?", "\tStop\r\n", "(unsubscribe)", "¡Stop!", "stop\x00",
         "stop\ufffd"]
STARTS = ["START", "start.", "Unstop", " UNSTOP! ", "start\u2026"]
NEITHER = ["", " ", ".", "please stop by", "stop it", "don't stop", "S T O P", "S.T.O.P", "stopp", "stop1", "1 stop",
           "STOP ALL NOW",
           "stop stop stop", "stopstop", "stopall", "the end", "no", "un stop", "re-start", "unsub", "arret", "ѕtор",
           "🛑", "x" * 100_000]
# fmt: on


@pytest.mark.parametrize("text", STOPS)
def test_a_word_to_stop_is_known_however_it_is_written(text: str) -> None:
    """Case, spaces, punctuation, quotes and what cannot be seen are forgiven."""
    assert "stop" == WORDS.meaning(text)


@pytest.mark.parametrize("text", STARTS)
def test_a_word_to_start_again_is_known(text: str) -> None:
    """As custom has it."""
    assert "start" == WORDS.meaning(text)


@pytest.mark.parametrize("text", NEITHER)
def test_a_word_among_others_means_nothing(text: str) -> None:
    """Only a whole message counts: "please stop by" is an invitation."""
    assert "" == WORDS.meaning(text)


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_an_operator_adds_languages_and_takes_none_of_the_english_away(tmp_path: Path) -> None:
    """Clickatell's own words stop its messages in any case, so ours do too."""
    content = {
        "fr": {"stop": ["ARRÊT", "Arret"], "start": ["DÉBUT"]},
        "en": {"stop": ["REMOVE"]},
        "de": {},
        "ar": {"stop": ["قف"]},
    }
    words = load(written(tmp_path / "words.json", content))
    assert ["stop"] * 5 == [words.meaning(one) for one in ("arre\u0302t!", "arret", "remove", "قف", "stop all")]
    assert ["start", "start"] == [words.meaning(one) for one in ("début", "unstop")]
    assert load(None) == load() == WORDS
    assert ["stop"] * 7 == [WORDS.meaning(one) for one in ENGLISH["stop"]]


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
    assert WORDS.meaning(text) in ("", "stop", "start")
    assert "" == WORDS.meaning(f"please {text} stop by")
