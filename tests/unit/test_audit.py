"""make audit finds what it is there to find, and never passes for a check that did not take place."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import audit
from deploy.versions import IMAGES

ROOT = Path(__file__).parents[2]


def test_a_package_without_a_hash_or_a_version_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a line would install whatever an index serves."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/a.txt").write_text(f"one==1.0 \\\n    --hash=sha256:{'0' * 64}\ntwo==2.0\n")
    (tmp_path / "requirements/b.txt").write_text("three>=3\n")
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    assert ["requirements/a.txt: two has no hash"] == list(audit.hash_problems("a"))
    assert ["requirements/b.txt: not pinned by version: 'three>=3'"] == list(audit.hash_problems("b"))
    assert 1 == len(list(audit.hash_problems("missing")))


def test_every_locked_package_has_its_hashes_and_every_shipped_one_an_allowed_licence() -> None:
    """As `make audit` reports."""
    assert [] == [problem for name in audit.LOCKED for problem in audit.hash_problems(name)]
    assert [] == list(audit.licence_problems())


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-3-Clause", True),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0-only", False),
        ("GNU Affero General Public License v3", False),
        ("MIT AND AGPL-3.0", False),
        ("SSPL-1.0", False),
        ("unknown", False),
    ],
)
def test_a_licence_is_allowed_by_name(licence: str, allowed: bool) -> None:
    """What is not on the list has to be read by a person first."""
    assert allowed is audit.is_allowed(licence)


@pytest.mark.parametrize(
    ("script", "problems", "checked"),
    [
        ("echo 'No known vulnerabilities found'", 0, True),
        ("echo 'Found 1 known vulnerability in 1 package' >&2; echo 'a 1.0 CVE-1'; exit 1", 1, True),
        ("echo 'connection refused' >&2; exit 1", 0, False),
        (
            "echo 'No known vulnerabilities found'; echo 'yarl  Dependency not found on PyPI and could not be audited'",
            0,
            False,
        ),
        ("exit 0", 0, False),
        ("exit 127", 0, False),
    ],
)
def test_a_check_that_did_not_take_place_is_no_pass(script: str, problems: int, checked: bool) -> None:
    """Without a network nobody knows; pip-audit also ends with 1 then, as it does for a finding."""
    found = audit.advisories(["sh", "-c", script, "pip-audit"])
    assert (problems, checked) == (len(found.problems), not found.not_checked)


def test_a_missing_tool_is_no_pass() -> None:
    """It is not among the locked packages: it uses the network."""
    assert "did not run" in audit.advisories(["/nonexistent/pip-audit"]).not_checked


def test_every_image_has_one_version_in_one_place() -> None:
    """deploy/versions.py; compose, the Dockerfile, Kubernetes and the docs name no other."""
    files = [ROOT / "compose.yaml", ROOT / "deploy/Dockerfile", ROOT / "docs/deploy.md"]
    files += (ROOT / "deploy/kubernetes").rglob("*.yaml")
    text = "\n".join(one.read_text(encoding="utf-8") for one in files)
    for image in IMAGES.values():
        short = image.name.rpartition("/")[2]
        named = {word.partition("@")[0] for word in audit.re.findall(rf"\b{short}:(v?[0-9]+\.[\w.@:-]*)", text)}
        assert {image.version} == named, image.name
    compose = (ROOT / "compose.yaml").read_text()
    assert all(f"image: {IMAGES[name]}\n" in compose for name in ("redis", "prometheus", "grafana"))
    assert f"ARG BASE={IMAGES['python']}\n" in (ROOT / "deploy/Dockerfile").read_text()
