"""The API that the tests of the main job run on, and its differences; THREELANE_TEST_GATEWAY names it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from threelane import Status


class Tested(NamedTuple):
    """What a test has to know of its API."""

    name: str
    batch: int  # most messages in a request
    credentials: tuple[str, ...]  # the variables without which there is no account; the last is the secret
    validity: str  # the parameter
    looks_up: bool = True  # it can be queried by our id
    reports_charge: bool = True
    names_the_end_of_a_limit: bool = True
    without_credit: Status = Status.DEAD  # what the messages become that met the empty account; the rest waits
    own_codes: Mapping[str, str] = {}

    def code(self, cause: str) -> str:
        """Return this API's number for what has the given code on the HTTP API."""
        return self.own_codes.get(cause, cause)


# fmt: off
NAMED = ("API_ID", "USER", "PASSWORD")
APIS = {api.name: api for api in (
    Tested("http", 1,  NAMED,        "validity"),
    Tested("rest", 1,  ("TOKEN",),   "validityPeriod"),
    Tested("xml",  99, NAMED,        "validity"),
    Tested("platform", 1, ("API_KEY",), "validityPeriod",
           looks_up=False, reports_charge=False, own_codes={"001": "108"}),
    Tested("one",  99, ("API_KEY",), "validityPeriod",
           looks_up=False, reports_charge=False, names_the_end_of_a_limit=False, without_credit=Status.QUEUED,
           own_codes={"001": "1", "105": "25", "122": "26", "301": "20", "901": "18"}),
)}
# fmt: on
API = APIS[os.environ.get("THREELANE_TEST_GATEWAY", "http")]

needs_a_look_up = pytest.mark.skipif(
    not API.looks_up, reason="this API cannot be queried by our id; see test_worker_one.py"
)
