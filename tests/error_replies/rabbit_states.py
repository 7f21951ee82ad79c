"""RabbitMQ states: a real server that gives each reply of the table, and stops giving it."""

from __future__ import annotations

from contextlib import suppress

import amqp

from tests.rabbit import RabbitServer
from tests.servers import wait_until
from threelane.runtime import broker_replies
from threelane.runtime.broker_replies import REPLIES, BrokerReply
from threelane.store import keys

USER, PASSWORD = "sms", "do-not-log-me-sandbox-pw"
PERMISSIONS = ("^sms", r"^(sms|amq\.default)", "^sms")  # as in the documentation
BY_NAME = {one.name: one for one in REPLIES}


class RabbitState:
    """A RabbitMQ that works until ``begin`` and after ``end``; in between it gives the reply."""

    reply: BrokerReply
    ends_a_starting_worker = False
    ends_a_running_worker = False
    is_over_at_once = False
    fails_nudges = True
    """Whether the nudges of producers fail meanwhile."""

    def __init__(self, server: RabbitServer) -> None:
        self.server = server
        self.url = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{server.port}//"

    def prepare(self) -> None:
        """Restore everything, whatever an earlier test left: no queue, no nudge, and the user of the documentation."""
        with suppress(Exception):
            self.server.control("add_user", USER, PASSWORD)
        self.server.control("change_password", USER, PASSWORD)
        self.server.control("set_permissions", USER, *PERMISSIONS)
        self.server.control("set_vm_memory_high_watermark", "absolute", "1GB")
        self.server.control("set_disk_free_limit", "50MB")
        self.delete_queues()

    def begin(self) -> None:
        """Give the reply from now on."""
        raise NotImplementedError

    def end(self) -> None:
        """Work again."""

    def cut(self) -> None:
        """Close all connections."""
        self.server.control("close_all_connections", "maintenance")

    def await_alarm(self) -> None:
        """Wait until the alarm is in force."""
        wait_until(
            lambda: "resource_limit" in self.server.control("eval", "rabbit_alarm:get_alarms()."), 60, "an alarm"
        )

    def delete_queues(self) -> None:
        with self.channel() as connection:
            for queue in map(keys.queue, keys.LANES):
                connection.channel().queue_delete(queue)

    def channel(self) -> amqp.Connection:
        """Return a connection of the operator."""
        return amqp.Connection(f"127.0.0.1:{self.server.port}", connect_timeout=10)


class Forced(RabbitState):
    """An operator closes all connections, as before a restart."""

    reply = BY_NAME["connection_forced"]
    is_over_at_once = True
    fails_nudges = False

    def begin(self) -> None:
        self.cut()


class LoginRefused(RabbitState):
    """The password was changed."""

    reply = BY_NAME["login_refused"]
    ends_a_starting_worker = True

    def begin(self) -> None:
        self.server.control("change_password", USER, "another")
        self.cut()

    def end(self) -> None:
        self.server.control("change_password", USER, PASSWORD)


class AccessRefused(RabbitState):
    """The user may log in, and do nothing."""

    reply = BY_NAME["access_refused"]
    ends_a_starting_worker = True

    def begin(self) -> None:
        self.server.control("set_permissions", USER, "", "", "")
        self.cut()

    def end(self) -> None:
        self.server.control("set_permissions", USER, *PERMISSIONS)


class HostRefused(RabbitState):
    """The user may not use the virtual host."""

    reply = BY_NAME["vhost_refused"]
    ends_a_starting_worker = True

    def begin(self) -> None:
        self.server.control("clear_permissions", USER)
        self.cut()

    def end(self) -> None:
        self.server.control("set_permissions", USER, *PERMISSIONS)


class Deleted(RabbitState):
    """An operator deletes the queues, with what is in them."""

    reply = BY_NAME["not_found"]
    is_over_at_once = True
    fails_nudges = False

    def begin(self) -> None:
        self.delete_queues()


class OtherArguments(RabbitState):
    """Somebody declared the queues with arguments of their own."""

    reply = BY_NAME["other_arguments"]
    ends_a_starting_worker = ends_a_running_worker = True
    fails_nudges = False

    def begin(self) -> None:
        for queue in map(keys.queue, keys.LANES):
            while not self._declared(queue):  # a worker may be faster, and declare what was deleted
                pass
        self.cut()

    def end(self) -> None:
        self.delete_queues()

    def _declared(self, queue: str) -> bool:
        with self.channel() as connection, suppress(amqp.PreconditionFailed):
            channel = connection.channel()
            channel.queue_delete(queue)
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments={"x-max-priority": 10})
            return True
        return False


class MemoryAlarm(RabbitState):
    """RabbitMQ uses more memory than it may."""

    reply = broker_replies.ALARM

    def begin(self) -> None:
        self.server.control("set_vm_memory_high_watermark", "absolute", "1MB")
        self.await_alarm()

    def end(self) -> None:
        self.server.control("set_vm_memory_high_watermark", "absolute", "1GB")


class DiskAlarm(RabbitState):
    """Its disk has less free space than it needs."""

    reply = broker_replies.ALARM

    def begin(self) -> None:
        self.server.control("set_disk_free_limit", "900000GB")
        self.await_alarm()

    def end(self) -> None:
        self.server.control("set_disk_free_limit", "50MB")


STATES = (Forced, LoginRefused, AccessRefused, HostRefused, Deleted, OtherArguments, MemoryAlarm, DiskAlarm)
