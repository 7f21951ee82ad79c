"""Exits: what the command line's exit codes mean."""

from enum import IntEnum


class Exit(IntEnum):
    """One meaning each, for scripts."""

    OK = 0
    REFUSED = 1  # some messages were refused; the others were accepted
    USAGE = 2  # the command, a file or the settings make no sense; nothing was done
    UNAVAILABLE = 3  # Redis does not answer; what was accepted is told
    UNHEALTHY = 5  # a worker does not consume although there is work
    DIFFERENT = 4  # ledgers that should be equal are not
