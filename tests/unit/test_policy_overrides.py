"""An operator's overrides: checked, merged, and never able to weaken the promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from threelane.contract.gateways import SHIPPED
from threelane.contract.refusal import Owner
from threelane.worker.gateway import tables
from threelane.worker.gateway.overrides import WrongPolicy, in_force, override
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.policy.rule import LATER, Scope, Verdict


def _file(folder: Path, text: str) -> Path:
    file = folder / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_only_the_codes_in_the_file_change(tmp_path: Path) -> None:
    """A rule keeps what the file does not name."""
    changed = override(LEGACY, "legacy", _file(tmp_path, '[legacy.901]\nmost_attempts = 3\nwait = "later"\n'))
    assert LEGACY.rule_for("901")._replace(most_attempts=3, wait=LATER) == changed.rule_for("901")
    assert {code: rule for code, rule in LEGACY.rules.items() if code != "901"} == {
        code: rule for code, rule in changed.rules.items() if code != "901"
    }


def test_a_new_code_needs_a_whole_rule(tmp_path: Path) -> None:
    """Half a rule would leave a message to chance."""
    whole = '[legacy.710]\nverdict = "stop"\nscope = "message"\nowner = "gateway"\nreason = "not_documented"\n'
    rule = override(LEGACY, "legacy", _file(tmp_path, whole)).rule_for("710")
    assert (Verdict.STOP, Scope.MESSAGE, Owner.GATEWAY) == (rule.verdict, rule.scope, rule.owner)
    with pytest.raises(WrongPolicy, match="owner, reason, scope, verdict"):
        override(LEGACY, "legacy", _file(tmp_path, "[legacy.710]\nalarm = true\n"))


@pytest.mark.parametrize("gateway", SHIPPED)
def test_the_file_is_obeyed_on_each_api(tmp_path: Path, gateway: str) -> None:
    """Also on Central REST, which adds rules of its own to the legacy ones."""
    file = _file(tmp_path, "[legacy.901]\nmost_attempts = 2\n[one_api.18]\nmost_attempts = 2\n")
    internal = "18" if gateway == "one" else "901"
    table = tables.by_gateway()[gateway]
    assert 2 != table.rule_for(internal).most_attempts
    assert 2 == in_force(gateway, file).rule_for(internal).most_attempts
    assert table is in_force(gateway, None)


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("family", ["legacy", "one_api"])
def test_no_file_makes_a_code_prove_what_the_built_in_table_does_not(
    tmp_path: Path, family: str, verdict: Verdict
) -> None:
    """A stand-by would send what the gateway may have sent; a file may only take a proof away."""
    table = tables.by_family()[family]
    changeable = [one for one in table.rules.values() if one.verdict is not Verdict.UNSURE]
    change = f"verdict = '{verdict}'\nscope = 'account'\nlook_up_first = false\n"
    text = "".join(f"[{family}.{one.code}]\n{change}" for one in changeable)
    text += f"[{family}.710]\n{change}owner = 'gateway'\nreason = 'not_documented'\n"
    changed = override(table, family, _file(tmp_path, text))
    proven = {code for code, rule in changed.rules.items() if rule.proves_refusal}
    built_in = {code for code, rule in table.rules.items() if rule.proves_refusal}
    assert (built_in if verdict is not Verdict.UNSURE else set()) == proven
    careful = "".join(f"[{family}.{one.code}]\nlook_up_first = true\n" for one in changeable)
    careful_table = override(table, family, _file(tmp_path, careful))
    assert not any(rule.proves_refusal for rule in careful_table.rules.values())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[legacy.104]\nverdict = 'retry'\n", "must stay unsure"),
        ("[legacy.901]\nverdict = 'again'\n", "not one of retry"),
        ("[legacy.901]\nmost_attempts = 0\n", "from 1 to 1000"),
        ("[legacy.901]\nmost_attempts = true\n", "from 1 to 1000"),
        ("[legacy.901]\nwait = 7\n", "neither soon nor later"),
        ("[legacy.901]\nreason = 'Not A Label'\n", "not a valid label"),
        ("[legacy.901]\ncolour = 'red'\n", "unknown"),
        ("[legacy.abc]\nalarm = true\n", "three digits"),
        ("[transport.lost]\nverdict = 'retry'\n", "unknown family"),
        ("legacy = 5\n", "a section for each code"),
        ("[legacy.901\n", "policy.toml"),
        ("[legacy.901]\nwait = ['soon']\n", r"\[legacy.901\] wait: a list is neither soon nor later"),
        ("[legacy.901]\nwait = {a = 1}\n", r"\[legacy.901\] wait: a table is neither soon nor later"),
        ("[legacy.901]\nverdict = ['stop']\n", r"\[legacy.901\] verdict: a list is not one of"),
        ("[legacy.901]\nreason.a = 1\n", r"\[legacy.901\] reason: a table is not a valid label"),
        (f"[legacy.901]\nmost_attempts.{'.'.join('a' * 5000)} = 1\n", r"\[legacy.901\] most_attempts: a table"),
        (f"[legacy.901]\nmost_attempts = 0x{'f' * 5000}\n", r"\[legacy.901\] most_attempts: a number of more than 64"),
        (f"[legacy.901]\nmost_attempts = {'9' * 5000}\n", r"policy.toml: \[legacy.901\] most_attempts has a number"),
        (f"[legacy.901]\nwait = {'[' * 5000}{']' * 5000}\n", "policy.toml: lists or tables are nested too deeply"),
    ],
)
def test_an_invalid_file_is_refused_with_file_and_entry(tmp_path: Path, text: str, problem: str) -> None:
    """Nothing runs on a file that is half understood, and no override may lead to a second SMS."""
    with pytest.raises(WrongPolicy, match=problem):
        override(LEGACY, "legacy", _file(tmp_path, text))


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(WrongPolicy, match=r"nowhere\.toml"):
        override(LEGACY, "legacy", tmp_path / "nowhere.toml")
