"""Exits: the exit codes of the command line."""

from enum import IntEnum


class Exit(IntEnum):
    """An exit code has one meaning, for scripts; docs/command-line.md lists them."""

    OK = 0
    REFUSED = 1  # some messages were refused or too late; the others were accepted
    USAGE = 2  # the command, a file or a setting is invalid; nothing was done
    UNAVAILABLE = 3  # Redis does not answer; the output lists what was accepted
    DIFFERENT = 4  # ledgers that should be equal are not
    UNHEALTHY = 5  # a worker does not consume although there is work, or the doctor found a problem
    NOT_FOUND = 6  # no such message, producer or budget, or its retention is over
    STOPPED = 7  # too many of a bulk's first messages failed; the others were not sent
    WAITING = 8  # the worker consumes, and messages of its lanes wait too long
    FINISHED = 9  # a finished job was begun again: nothing was sent
    CUT_OFF = 10  # a process ended with work under way, or without its results recorded; others continue it
    NO_MATCH = 11  # the filter of a cancel or redrive matched no message; nothing was changed
    FAULT = 70  # an internal error; completed work is kept
    INTERRUPTED = 130  # by Ctrl-C; completed work is kept, and the command can be repeated
    CLOSED = 141  # the reader of the output closed the pipe, as head does
