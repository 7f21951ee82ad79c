"""Callbacks: the requests that the gateway makes, and the values by which they are chosen."""

from __future__ import annotations

from threelane.operations.clickatell.item import Document, Item

# fmt: off
_MASKS = tuple(
    (f"callback={value}", meaning, "sandbox/codes.py:MASKS",
     "tests/sandbox/test_sandbox_callbacks.py::test_each_mask_pushes_its_statuses_and_no_other")
    for value, meaning in enumerate((
        "no callback", "intermediate statuses", "final statuses", "intermediate and final statuses", "error statuses",
        "intermediate and error statuses", "final and error statuses", "all: our default",
    ))
)
_CALLBACKS = (
    *_MASKS,
    ("status callback", "apimsgid, charge, climsgid, from, status, timestamp, to", "worker/inbound/central.py:read",
     "tests/unit/test_inbound_central.py::test_a_status_is_understood_in_every_form"),
    ("retries of a status", "after 2, 4, 8 ... 128 minutes and 3 days", "sandbox/callbacks.py:RETRIES_AFTER_SECONDS",
     "tests/sandbox/test_sandbox_callbacks.py::test_a_callback_is_given_up_after_eight_retries"),
    ("reply callback", "api_id, momsgid, from, timestamp, text, to", "worker/inbound/central.py:read",
     "tests/unit/test_inbound_central.py::test_a_reply_is_understood_in_every_form"),
    ("retries of a reply", "after 2, 4, 8, 16 and 25 minutes",
     "sandbox/callbacks.py:CENTRAL_REPLY_RETRIES_AFTER_SECONDS",
     "tests/sandbox/test_sandbox_replies.py::test_it_is_given_up_after_five_retries_or_eight"),
)
# fmt: on

ITEMS = tuple(Item(Document.HTTP, "callback", *row) for row in _CALLBACKS)
