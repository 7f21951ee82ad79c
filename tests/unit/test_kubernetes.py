"""The manifests: each is valid, kustomize finds all of them, and they set what the processes read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from threelane.operations.catalogue import of_series
from threelane.runtime.secret_files import secret_fields, variable
from threelane.runtime.settings import Settings
from threelane.worker.process.settings import CallbackSettings, WebhookSettings, WorkerSettings

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
BASE, PRODUCTION = FOLDER / "base", FOLDER / "overlays/production"
MANIFESTS = sorted(file for file in FOLDER.rglob("*.yaml") if file.name != "kustomization.yaml")
VALIDATE = Path(sys.executable).parent / "kubernetes-validate"
KINDS = (WorkerSettings, CallbackSettings, WebhookSettings)


def _objects(*files: Path) -> list[dict[str, Any]]:
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def _deployments() -> list[dict[str, Any]]:
    return [one for one in _objects(*MANIFESTS) if one["kind"] == "Deployment"]


def _named(one: dict[str, Any]) -> str:
    return str(one["metadata"]["name"])


def _kustomization(folder: Path) -> dict[str, Any]:
    (found,) = _objects(folder / "kustomization.yaml")
    return found


def test_every_manifest_of_kubernetes_is_valid() -> None:
    """Strictly: a misspelt field is an error."""
    files = [str(file) for file in MANIFESTS if file.name != "keda.yaml"]
    completed = subprocess.run([VALIDATE, "--strict", *files], capture_output=True, text=True, check=False)
    assert 0 == completed.returncode, completed.stdout + completed.stderr


def test_the_scaled_object_is_valid_for_keda() -> None:
    """By models made from KEDA's own definition; one that is misspelt is refused by them."""
    from cloudcoil.models.keda.v1alpha1 import ScaledObject  # takes half a second: for this test alone

    (found,) = _objects(BASE / "keda.yaml")
    read = ScaledObject.model_validate(found)
    assert read.spec
    assert "threelane-worker" == read.spec.scale_target_ref.name
    with pytest.raises(ValidationError):
        ScaledObject.model_validate(found | {"spec": {"triggers": [{"metadata": {}}]}})


@pytest.mark.parametrize("folder", [BASE, PRODUCTION], ids=lambda one: one.name)
def test_kustomize_lists_exactly_the_files_there_are(folder: Path) -> None:
    """A forgotten one is not applied, without any warning."""
    kustomization = _kustomization(folder)
    listed = [one for one in kustomization["resources"] if one.endswith(".yaml")]
    listed += [one["path"] for one in kustomization.get("patches", ())]
    assert sorted(file.name for file in folder.glob("*.yaml")) == sorted([*listed, "kustomization.yaml"])


def test_production_patches_only_objects_of_the_base() -> None:
    """A patch without its target, or an unused image, changes nothing."""
    base = _objects(*(file for file in MANIFESTS if file.parent == BASE))
    there_is = {(one["kind"], _named(one)) for one in base}
    kustomization = _kustomization(PRODUCTION)
    patched = _objects(*(PRODUCTION / one["path"] for one in kustomization["patches"]))
    assert {(one["kind"], _named(one)) for one in patched} <= there_is
    images = {container["image"] for one in _deployments() for container in _pod(one)["containers"]}
    assert images == {one["name"] for one in kustomization["images"]}


def _pod(deployment: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("deployment", _deployments(), ids=_named)
def test_a_pod_may_do_nothing_that_it_does_not_need(deployment: dict[str, Any]) -> None:
    """The restricted profile of Kubernetes, and no token of the API server."""
    pod = _pod(deployment)
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "RuntimeDefault" == pod["securityContext"]["seccompProfile"]["type"]
    guarded = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert guarded == container["securityContext"]
    assert container["resources"]["limits"]["memory"]
    assert {"startupProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize("deployment", _deployments(), ids=_named)
def test_a_pod_gets_known_settings_and_mounts_its_secrets(deployment: dict[str, Any]) -> None:
    """Only as files that no other user can read; and each named file exists."""
    (container,), volumes = _pod(deployment)["containers"], {one["name"]: one for one in _pod(deployment)["volumes"]}
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert set(variables) <= {variable(one) for kind in KINDS for one in secret_fields(kind)}
    secret = volumes["secrets"]["secret"]
    assert 0o440 == secret["defaultMode"]
    mounted = {f"/run/secrets/threelane/{one['path']}" for one in secret["items"]}
    assert mounted == set(variables.values())
    known = {f"THREELANE_{name.upper()}" for kind in (Settings, *KINDS) for name in kind.model_fields}
    for config in _objects(BASE / "settings.yaml", PRODUCTION / "settings.yaml"):
        assert set(config["data"]) <= known


def test_no_secret_is_in_git() -> None:
    """Only the name of the Secret is."""
    assert "Secret" not in {one["kind"] for one in _objects(*MANIFESTS)}


def test_a_worker_has_time_to_end_its_calls_before_it_is_killed() -> None:
    """Longer than a lease."""
    grace = {_named(one): _pod(one)["terminationGracePeriodSeconds"] for one in _deployments()}
    lease = WorkerSettings.model_fields["lease_seconds"].default
    assert min(grace["threelane-worker"], grace["threelane-worker-lane-1"]) > lease


def test_budgets_and_services_select_pods_there_are() -> None:
    """A budget that selects no pod protects none."""
    pods = {_named(one): one["spec"]["template"]["metadata"]["labels"] for one in _deployments()}
    for one in _objects(*MANIFESTS):
        if one["kind"] in ("PodDisruptionBudget", "Service"):
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= labels.items() for labels in pods.values()), _named(one)
    assert all(labels["app.kubernetes.io/part-of"] == "threelane" for labels in pods.values())


def test_keda_queries_metrics_that_exist() -> None:
    """That the query has an answer is shown by tests/integration/test_prometheus.py."""
    (found,) = _objects(BASE / "keda.yaml")
    (trigger,) = found["spec"]["triggers"]
    assert all(of_series(name) for name in re.findall(r"threelane_\w+", trigger["metadata"]["query"]))
