"""Exits: what the command line's exit codes mean."""

from enum import IntEnum


class Exit(IntEnum):
    """One meaning each, for scripts; docs/command-line.md says the same."""

    OK = 0
    REFUSED = 1  # some messages were refused, or came too late; the others were accepted
    USAGE = 2  # the command, a file or the settings make no sense; nothing was done
    UNAVAILABLE = 3  # Redis does not answer; what was accepted is told
    DIFFERENT = 4  # ledgers that should be equal are not
    UNHEALTHY = 5  # a worker does not consume although there is work, or the doctor found something that is wrong
    NOT_FOUND = 6  # no such message, producer or budget, or it is forgotten
    STOPPED = 7  # too many of a bulk's first messages failed; the others were not sent
    FAULT = 70  # a fault of ours; what was done until then is done
    INTERRUPTED = 130  # by Ctrl-C; what was done is done, and the same command can be run again
    CLOSED = 141  # whoever read the output went away, as head does
