"""The register of gateways: what a folder declares, and one sentence for each that is not as it should be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import threelane.gateways
from threelane.contract import features, gateways
from threelane.contract.gateways import InvalidGateway, resolve
from threelane.contract.message import Draft, parse
from threelane.contract.refusal import Refusal
from threelane.operations.check import wrong_parts
from threelane.runtime.settings import InvalidSettings, ProducerSettings, gateway_problems, load

NOW = 1_800_000_000_000
HEAD = "from threelane.contract.gateways import OURS, Credential, Declaration\n"
SOUND = {
    "name": "'new'",
    "title": "'New'",
    "address": "'https://api.example.com'",
    "sender": "'threelane.gateways.http.gateway:create'",
    "codes": "'threelane.worker.policy.legacy:LEGACY'",
    "family": "'legacy'",
    "parameters": "{'to': 'to', 'text': 'text'}",
}
Make = Callable[..., None]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Returns a function that makes a folder of a gateway beside those that ship."""
    folders = tmp_path / "gateways"
    monkeypatch.setattr(threelane.gateways, "__path__", [*threelane.gateways.__path__, str(folders)])

    def add(text: str | None = None, folder: str = "new", **changes: str) -> None:
        declaration = ", ".join(f"{name}={value}" for name, value in (SOUND | changes).items())
        (folders / folder).mkdir(parents=True)
        (folders / folder / "__init__.py").write_text(text or f"{HEAD}GATEWAY = Declaration({declaration})\n", "utf-8")
        gateways.register.cache_clear()

    yield add
    for name in [name for name in sys.modules if name.startswith("threelane.gateways.new")]:
        del sys.modules[name]
    gateways.register.cache_clear()
    features._lacks.cache_clear()


def test_a_folder_is_found_by_being_there(make: Make) -> None:
    """Nothing lists it."""
    make()
    expected = tuple(sorted((*gateways.SHIPPED, "new")))
    assert (expected, ()) == (tuple(gateways.declared()), gateways.register().problems)


# fmt: off
WRONG = [
    ({"text": "import sys\nsys.exit(0)\n"},           "gateways/new: its __init__.py cannot be loaded: SystemExit: 0"),
    ({"text": "class Own(BaseException): pass\nraise Own('no')\n"},
     "gateways/new: its __init__.py cannot be loaded: Own: no"),
    ({"credentials": "(Credential(None, 'a key'),)"}, "gateways/new: credentials has the wrong type"),
    ({"credentials": "(Credential(['a'], 'a key'),)"}, "gateways/new: credentials has the wrong type"),
    ({"credentials": "(Credential('new_key', None),)"}, "gateways/new: credentials has the wrong type"),
    ({"credentials": "(Credential('new_key', 'a key', secret=[]),)"}, "gateways/new: credentials has the wrong type"),
    ({"account": "5"},                                "gateways/new: account has the wrong type"),
    ({"account": "('new_key', [])"},                  "gateways/new: account has the wrong type"),
    ({"address": "'api.example.com'"},
     "gateways/new: address 'api.example.com' must be an http:// or https:// URL with a host"),
    ({"address": "'https://'"}, "gateways/new: address 'https://' must be an http:// or https:// URL with a host"),
    ({"address": "'http://[1'"}, "gateways/new: address 'http://[1' must be an http:// or https:// URL with a host"),
    ({"text": "X = 1\n"},                             "gateways/new: its __init__.py has no GATEWAY"),
    ({"text": "GATEWAY = {'name': 'new'}\n"},       "gateways/new: GATEWAY is a dict, not a Declaration"),
    ({"text": "import no_such_module\n"},
     "gateways/new: its __init__.py cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
    ({"text": "def broken(:\n"},                      "gateways/new: its __init__.py cannot be loaded: SyntaxError"),
    ({"text": HEAD + "GATEWAY = Declaration(name='new')\n"},
     "gateways/new: its __init__.py cannot be loaded: TypeError"),
    ({"name": "'http'"},                              "gateways/new: the name 'http' is already used by gateways/http"),
    ({"name": "'A New'"},   "gateways/new: name 'A New' may only have lower-case letters, digits and _"),
    ({"name": "7"},                                   "gateways/new: name has the wrong type"),
    ({"parameters": "('to', 'text')"},                "gateways/new: parameters has the wrong type"),
    ({"parameters": "{'to': 'to'}"},                  "gateways/new: its parameters lack 'text'"),
    ({"parameters": "{'to': 'to', 'text': 'text', 'colour': 'c'}"}, "gateways/new: unknown feature 'colour'"),
    ({"abilities": "{'fly': 'fly'}"},                 "gateways/new: unknown ability 'fly'"),
    ({"sender": "'threelane.gateways.new'"},
     "gateways/new: sender 'threelane.gateways.new' must have the form module:name"),
    ({"callbacks": "{'status': 'threelane.worker.inbound.platform:read'}"},
     "gateways/new: the path 'status' has another reader in gateways/http"),
    ({"callbacks": "{'a/b': 'threelane.worker.inbound.platform:read'}"},
     "gateways/new: invalid callback path 'a/b'"),
    ({"credentials": "('new_key',)"},               "gateways/new: credentials has the wrong type"),
    ({"credentials": "(Credential('redis_url', 'a key'),)"},
     "gateways/new: the credential 'redis_url' must start with new_"),
    ({"credentials": "(Credential('clickatell_user', 'another user'),)"},
     "gateways/new: the credential clickatell_user is declared differently in gateways/http"),
    ({"account": "('new_key',)", "credentials": "(Credential('new_key', 'a key'),)"},
     "gateways/new: account names 'new_key', which is not a public credential"),
]
# fmt: on


@pytest.mark.parametrize(("changes", "sentence"), WRONG)
def test_a_folder_that_is_wrong_gives_one_sentence(make: Make, changes: dict[str, str], sentence: str) -> None:
    """And takes no other gateway with it: the register goes on."""
    make(**changes)
    (problem,) = gateways.register().problems
    assert sentence == problem[: len(sentence)]
    assert "\n" not in problem
    assert gateways.SHIPPED == tuple(gateways.declared())


def test_a_conflict_blames_the_folder_that_was_added(make: Make) -> None:
    """Also one whose name comes first in the alphabet: the gateways that ship stay valid."""
    assert set(gateways.SHIPPED) == set(gateways.declared())
    path = "{'status': 'threelane.worker.inbound.platform:read'}"
    make(folder="acme", name="'acme'", callbacks=path)
    assert ("gateways/acme: the path 'status' has another reader in gateways/http",) == (
        gateways.register().problems[:1]
    )
    assert set(gateways.SHIPPED) == set(gateways.declared())


def test_a_folder_without_its_init_file_gives_one_sentence(make: Make, tmp_path: Path) -> None:
    """Python would skip it silently; only what Python leaves of a folder that was removed is skipped."""
    make()
    (tmp_path / "gateways" / "new" / "__init__.py").rename(tmp_path / "gateways" / "new" / "gateway.py")
    (tmp_path / "gateways" / "removed" / "__pycache__").mkdir(parents=True)
    gateways.register.cache_clear()
    assert ("gateways/new: it has no __init__.py",) == gateways.register().problems


def test_a_part_that_exits_at_import_gives_one_sentence(make: Make, tmp_path: Path) -> None:
    """Or every command that needs it would end with that code and no word."""
    make(codes="'threelane.gateways.new.codes:CODES'")
    (tmp_path / "gateways" / "new" / "codes.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    sentence = "gateway new: its codes, threelane.gateways.new.codes:CODES, cannot be loaded: SystemExit: 0"
    assert [sentence] == list(wrong_parts())


def test_a_credential_that_is_another_setting_is_found(make: Make) -> None:
    """Also one whose name begins as it should."""
    make(folder="redis", name="'redis'", credentials="(Credential('redis_url', 'a key'),)")
    assert ["gateway redis: its credential redis_url is the name of another setting"] == list(gateway_problems())
    with pytest.raises(InvalidSettings, match="redis_url is the name of another setting"):
        load(ProducerSettings)


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("threelane.no_such:create", "its sender, threelane.no_such:create, cannot be loaded: ModuleNotFoundError"),
        ("threelane.contract.text:create", "its sender, threelane.contract.text:create, cannot be loaded: Attribute"),
        ("threelane.worker.policy.legacy:LEGACY", "its sender, threelane.worker.policy.legacy:LEGACY, is a T"),
    ],
)
def test_a_part_that_is_not_there_gives_one_sentence(make: Make, reference: str, sentence: str) -> None:
    """It is loaded when it is used, and not before."""
    make(sender=repr(reference))
    assert () == gateways.register().problems
    with pytest.raises(InvalidGateway) as wrong:
        resolve(gateways.named("new"), "sender", reference)
    assert f"gateway new: {sentence}" == str(wrong.value)[: len(f"gateway new: {sentence}")]
    assert [str(wrong.value)] == list(wrong_parts())


def test_an_undeclared_feature_is_refused(make: Make) -> None:
    """No requested feature is dropped silently, not even one that all shipped APIs have."""
    make()
    fields_of = {
        "sender": {"sender": "12025550100"},
        "validity_period": {"validity_period": 60},
        "at_gateway": {"delay": 1200, "at_gateway": 1},
        "callback": {"callback": 3},
        "unicode": {"text": "\u0434\u0430"},
        "binary": {"binary": "0102", "text": None},
    }
    for feature, field in fields_of.items():
        draft = parse({"to": "27831234567", "text": "Hello"} | field, NOW)
        assert isinstance(draft, Draft)
        refused = features.refuse(draft.message, "new")
        assert isinstance(refused, Refusal), feature
        assert feature == refused.field
        assert f"(new) has no {feature.replace('_', ' ')}" in refused.problem
        assert refused.remedy.startswith("leave it out, or use an account of the API http")
    plain = parse({"to": "27831234567", "text": "Hello", "lane": 1}, NOW)
    assert isinstance(plain, Draft)
    assert features.refuse(plain.message, "new") is None


def test_a_caller_loads_declarations_and_no_part_of_a_gateway() -> None:
    """Reading what gateways declare costs a caller no worker."""
    loaded = (
        "import sys; from threelane import Producer; print(*(one for one in sys.modules if one[:10] == 'threelane.'))"
    )
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert "threelane.gateways.http" in modules
    assert not [
        name for name in ("threelane.worker", "threelane.gateways.http.", "threelane.sandbox") if name in modules
    ]
