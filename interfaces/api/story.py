"""Story: one message's timeline, for its producer, and for operators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from threelane.interfaces.api import visible_to
from threelane.interfaces.api.body import answered
from threelane.interfaces.api.caller import Caller
from threelane.interfaces.api.describe import answer, problems
from threelane.interfaces.api.messages import STANDS, MessageId, owned
from threelane.interfaces.api.problem import unknown
from threelane.interfaces.api.service import Service, Shared
from threelane.operations.explain import MessageCost, Pending, Step, Story, explain
from threelane.runtime.settings import load
from threelane.worker.gateway.overrides import in_force
from threelane.worker.policy.rule import Table
from threelane.worker.process.settings import WorkerSettings

router = APIRouter(tags=["messages"])
VALUES: list[Any] = [Story]
_STEPS = (Step(1767225600000, "accepted", "1 part, lane 1"), Step(1767225600120, "sent", "the gateway's id 7e1c40b2"))
EXAMPLE = Story(
    message=STANDS,
    producer="shop",
    steps=_STEPS,
    pending=Pending("receipt", 1767226200000, "the gateway has it; without a receipt, it is polled then"),
    money=MessageCost(estimate=800_000),
)


@router.get(
    "/messages/{message_id:message}/timeline",
    responses=answer(200, Story, "its history; never its text", EXAMPLE) | problems(404),
)
def message_timeline(service: Shared, key: Caller, message_id: MessageId) -> Response:
    """Return a message's history: what happened when, what it waits for, which rule decided, what it cost."""
    owned(service, key, message_id)
    return answered(visible_to.story(key, story(service, message_id)))


def story(service: Service, message_id: str) -> Story:
    """Return a message's story; ends the request when it is unknown."""
    found = explain(service.redis, message_id, service.producer.now(), _settings(service))
    if found is None:
        raise unknown("this message", message_id)
    return found


def table(service: Service) -> Table:
    """Return the policy table in force."""
    settings = _settings(service)
    return in_force(settings.gateway, settings.policy_file)


def _settings(service: Service) -> WorkerSettings:
    return load(WorkerSettings, gateway=service.settings.gateway)
