"""Statuses: the One API's statuses by name, and the state that each one means.

Source: Clickatell's One API table of statuses.  The same numbers mean other things in the legacy APIs (4 there is
received by the handset), so a status is kept by its name.
"""

from __future__ import annotations

from threelane.store.states import Status

# fmt: off
ONE_STATUSES: dict[str, Status | None] = {
    "UNKNOWN":                         None,                # unknown, or not reported yet
    "QUEUED":                          Status.SENT,
    "SCHEDULED":                       Status.SENT,
    "SENT_TO_SUPPLIER":                Status.SENT,
    "DEVICE_ACK":                      Status.DELIVERED,
    "READ":                            Status.DELIVERED,
    "EXPIRED":                         Status.EXPIRED,
    "STOPPED_BY_USER":                 Status.CANCELLED,
    "STOPPED_BY_ADMIN":                Status.CANCELLED,
    "DELIVERY_FAILURE":                Status.UNDELIVERED,
    "EMULATED":                        Status.UNDELIVERED,  # by a sandbox integration: no handset got it
    "INSUFFICIENT_ACCOUNT_BALANCE":    Status.UNDELIVERED,
    "VOLUME_LIMIT":                    Status.UNDELIVERED,
    "VOLUME_LIMIT_DAILY":              Status.UNDELIVERED,
    "VOLUME_LIMIT_MONTHLY":            Status.UNDELIVERED,
    "RECIPIENT_DOES_NOT_EXIST":        Status.UNDELIVERED,
    "STOP_MARKETING_MESSAGES":         Status.UNDELIVERED,
    "EXCESSIVE_MESSAGES_TO_RECIPIENT": Status.UNDELIVERED,
    "ROUTING_ERROR":                   Status.UNDELIVERED,
}
# fmt: on
IN_PROGRESS, FAILURES = range(2, 7), 20  # the numbers of unlisted names: on the way, and from here on failures


def one_status(name: str, number: int | None = None) -> Status | None:
    """Return the state that a status means: by its name, or an unlisted name by its number; None: no information."""
    if name in ONE_STATUSES:
        return ONE_STATUSES[name]
    if number is None:
        return None
    return Status.UNDELIVERED if number >= FAILURES else Status.SENT if number in IN_PROGRESS else None
