"""Broker replies: what RabbitMQ refuses, what it means, who fixes it, and whether a worker goes on or ends.

The table is the source of docs/rabbitmq-replies.md.  Texts are those of RabbitMQ 3.10 to 4.x.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

PERMISSIONS = r"rabbitmqctl set_permissions -p VHOST USER '^sms' '^(sms|amq\.default)' '^sms'"
RETRY_SECONDS = 5.0  # between two attempts of a worker that RabbitMQ refuses; the first is made at once


class Ends(StrEnum):
    """When a reply ends a worker, with exit code 2: waiting cannot fix a setting."""

    NEVER = "never"
    AT_START = "at start"  # a running worker goes on: looks find its messages, and the setting may be restored
    ALWAYS = "always"


class BrokerReply(NamedTuple):
    """A refusal of RabbitMQ: ``name`` is stable, for logs; ``pattern`` tells replies of one code apart."""

    name: str
    code: int  # of AMQP; 0: not an error of the protocol
    pattern: str
    meaning: str
    remedy: str
    ends: Ends = Ends.NEVER
    nudges: str = "fail"
    """What becomes of a producer's nudges."""

    def sentence(self, text: str = "") -> str:
        """Return cause and remedy; ``text`` is the reply of RabbitMQ, which has names and no password."""
        return f"RabbitMQ {self.meaning}{f' ({text})' if text else ''}: {self.remedy}"


ALARM = BrokerReply(
    "alarm", 0, "", "takes no nudges during an alarm for memory or disk",
    "rabbitmqctl status lists the alarms; free memory or disk",
)  # fmt: skip
RETURNED = BrokerReply(
    "returned", 0, "", "has no queue for the nudge", "none: producers and workers declare it again",
    nudges="are published after the queue is declared",
)  # fmt: skip
NACKED = BrokerReply(
    "nacked", 0, "", "could not store the nudge", "see the log of RabbitMQ; a quorum queue needs most of its nodes",
)  # fmt: skip

# fmt: off
REPLIES = (
    BrokerReply("connection_forced", 320, "", "closed the connection", "none if it restarts; otherwise see its log",
                nudges="are published on a new connection"),
    BrokerReply("login_refused", 403, "[Ll]ogin was refused", "refuses the user or the password",
                "correct THREELANE_BROKER_URL, or the user in RabbitMQ", Ends.AT_START),
    BrokerReply("access_refused", 403, "", "denied a permission", PERMISSIONS, Ends.AT_START),
    BrokerReply("not_found", 404, "", "has no such queue or exchange", "none: producers and workers declare it again",
                nudges="are published after the queue is declared"),
    BrokerReply("resource_locked", 405, "", "has a queue that another connection uses exclusively",
                "end the program that declared it: nobody but Threelane may use sms.1, sms.2 and sms.3"),
    BrokerReply("other_arguments", 406, "inequivalent arg", "has a queue or exchange with other arguments",
                "set THREELANE_RABBIT_QUEUE_TYPE to the type of the queue, or delete it: workers declare it again, "
                "and find the messages of its nudges", Ends.ALWAYS, "are published: the queue takes them"),
    BrokerReply("precondition_failed", 406, "", "refused a precondition", "see its log, and its limits and policies"),
    BrokerReply("internal_error", 541, "", "failed", "see its log; start a virtual host that is down"),
    BrokerReply("resource_error", 506, "", "is at a limit", "see its log; raise the limit"),
    BrokerReply("limit_reached", 530, "limit", "is at a limit of connections or channels",
                "raise the limit, or start fewer processes"),
    BrokerReply("vhost_refused", 530, "vhost", "refuses the virtual host",
                "correct the end of THREELANE_BROKER_URL, or create the host and grant it to the user", Ends.AT_START),
    BrokerReply("not_allowed", 530, "", "does not allow it", "see its log; correct THREELANE_BROKER_URL"),
    BrokerReply("not_implemented", 540, "", "does not support a feature", "use RabbitMQ 3.10 or later"),
    ALARM,
    RETURNED,
    NACKED,
)
"""All replies; of those with one code, the first whose pattern is found applies."""
# fmt: on


class Refusal(NamedTuple):
    """A reply as it arrived: its row, and the text of RabbitMQ."""

    reply: BrokerReply
    text: str

    @property
    def sentence(self) -> str:
        """Cause and remedy."""
        named = re.search(r"for (queue|exchange) '([^']*)'", self.text)
        if self.reply.name == "other_arguments" and named:
            kind, name = named.groups()
            return f"{kind} {name}: {self.reply.sentence(self.text)}"
        return self.reply.sentence(self.text)


def refusal_of(failed: BaseException | None) -> Refusal | None:
    """Return the reply of RabbitMQ behind an exception; None if there is none, such as for a lost connection."""
    for _ in range(8):  # kombu wraps those of py-amqp in its own
        if failed is None:
            return None
        own: object = getattr(failed, "broker_reply", None)
        if isinstance(own, BrokerReply):
            return Refusal(own, str(getattr(failed, "broker_text", "")))
        code, text = getattr(failed, "reply_code", 0), str(getattr(failed, "reply_text", None) or "")
        for one in REPLIES:
            if code and code == one.code and re.search(one.pattern, text):
                return Refusal(one, text)
        failed = failed.__cause__ or failed.__context__
    return None
