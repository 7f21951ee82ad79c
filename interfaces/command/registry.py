"""Registry: the commands of ``threelane``, each with its help and the module that is imported when it runs."""

from __future__ import annotations

from typing import NamedTuple

OPERATOR, PROCESSES, TRY_IT = "Operator", "Processes", "Try it"


class Listed(NamedTuple):
    """A command, or a group of commands, which ``threelane --help`` lists without an import of its code."""

    name: str
    source: str  # "module:name" in this folder: a function, or the typer.Typer of a group
    help: str  # the first line of its own
    example: str = ""  # of a command; those of a group have their own
    panel: str = ""  # of the help
    extra: str = "cli"  # whose packages it needs
    part: str = ""  # of the product, which an image for production may lack


COMMANDS = (
    Listed(
        "send", "send:send", "Enqueue one message.", example="threelane send 27831234567 'Your code is 4711' --lane 1"
    ),
    Listed("status", "status:status", "Show the status of a message.", example="threelane status 0f3c... --json"),
    Listed(
        "features",
        "features:features",
        "Show how each gateway API supports each feature: by a parameter, through Threelane, or not at all.",
        example="threelane features --json",
    ),
    Listed(
        "bulk",
        "bulk.command:bulk",
        "Enqueue a file of messages; each invalid row is reported. Run it again after a crash: no row is sent twice.",
        example="threelane bulk people.csv --text 'Dear {name}, ...' --country ZA --dry-run",
        extra="files",
    ),
    Listed(
        "cancel",
        "schedule:cancel",
        "Cancel messages that have not been sent yet, by id, batch, tag, recipient, producer or lane.",
        example="threelane cancel --batch newsletter-7",
    ),
    Listed(
        "list",
        "find:show",
        "List messages, in any state, that match all of the given options.",
        example="threelane list --batch newsletter-7 --state undelivered --json",
    ),
    Listed(
        "search",
        "find:search",
        "Find messages by id, recipient, client message id, batch or tag, tried in this order.",
        example="threelane search 27831234567",
    ),
    Listed(
        "explain",
        "find:explain",
        "Show the history of a message: timeline, policy rule, waits, look-ups, charge, receipts, events.",
        example="threelane explain 0f3c...",
    ),
    Listed(
        "health",
        "check:health",
        "Check that this host's workers run and consume: exit code 5 if a restart would help, 8 if messages wait long.",
        example="threelane health --ready",
        panel=OPERATOR,
    ),
    Listed(
        "check",
        "check:check",
        "Check the settings, Redis and the broker, and, with --live, the account.",
        example="threelane check --live",
        panel=OPERATOR,
    ),
    Listed(
        "doctor",
        "check:doctor",
        "List each problem with its owner and the command that fixes it; exits with 5 if any problem is an error.",
        example="threelane doctor --json",
        panel=OPERATOR,
    ),
    Listed(
        "holds",
        "holds:holds",
        "List active holds, their causes and the evidence for them.",
        example="threelane holds --json",
        panel=OPERATOR,
    ),
    Listed(
        "hold",
        "holds:put",
        "Put the account, a lane, a sender or a prefix on hold; messages are still accepted and wait.",
        example="threelane hold sender:ACME --cause 'wrong link'",
        panel=OPERATOR,
    ),
    Listed(
        "pause",
        "holds:pause",
        "Put a lane on hold; shorthand for hold lane:N.",
        example="threelane pause 3 --cause 'newsletter is wrong' --minutes 30",
        panel=OPERATOR,
    ),
    Listed(
        "resume",
        "holds:resume",
        "Lift a hold; sending continues where it stopped.",
        example="threelane resume lane:3",
        panel=OPERATOR,
    ),
    Listed(
        "prefix",
        "holds:prefix",
        "Show holds, the price of a part and the staging allow-list for one prefix or for all.",
        example="threelane prefix 2783123",
        panel=OPERATOR,
    ),
    Listed(
        "redrive",
        "dead:redrive_code",
        "Redrive the dead letters with a code; shorthand for dead redrive --code.",
        example="threelane redrive 301",
        panel=OPERATOR,
    ),
    Listed(
        "erase",
        "erase:erase",
        "Erase a recipient's number, texts, replies and events. Keeps counts, costs and, without --forget, a STOP.",
        example="threelane erase 27831234567",
        panel=OPERATOR,
    ),
    Listed(
        "top",
        "top:top",
        "Show lanes, holds, credits, workers and problems on one screen, until Ctrl-C.",
        example="threelane top --once",
        panel=OPERATOR,
    ),
    Listed(
        "webhooks",
        "processes:webhooks",
        "Run the webhook dispatcher, which posts events to the producers' webhooks. You can run several.",
        example="threelane webhooks",
        panel=PROCESSES,
        extra="worker",
    ),
    Listed(
        "worker",
        "processes:worker",
        "Run a worker, which fetches messages from its lanes and sends them.",
        example="THREELANE_GATEWAY_URL=... threelane worker",
        panel=PROCESSES,
        extra="worker",
    ),
    Listed(
        "callbacks",
        "processes:callbacks",
        "Run the endpoint for Clickatell's callbacks: receipts and replies.",
        example="THREELANE_CALLBACK_SECRET=... threelane callbacks",
        panel=PROCESSES,
        extra="worker",
    ),
    Listed(
        "api",
        "processes:api",
        "Run the HTTP API for producers and operators, and the console; reference at /docs.",
        example="THREELANE_API_PORT=8080 threelane api",
        panel=PROCESSES,
        extra="api",
    ),
    Listed(
        "exporter",
        "processes:exporter",
        "Run the exporter, which reads fleet metrics from Redis: depths, ages, holds, counts and credits.",
        example="threelane exporter",
        panel=PROCESSES,
        extra="worker",
    ),
    Listed(
        "demo",
        "trying:demo",
        "Run the complete system with the sandbox on this machine, and compare three ledgers at the end.",
        example="threelane demo --json summary.json",
        panel=TRY_IT,
        extra="demo",
        part="demo.run",
    ),
    Listed(
        "up",
        "trying:up",
        "Run the demo stack until Ctrl-C; its addresses are written to .threelane/stack.json.",
        example="threelane up",
        panel=TRY_IT,
        extra="demo",
        part="demo.run",
    ),
    Listed(
        "sandbox",
        "simulation:sandbox",
        "Run a local simulation of Clickatell; every option but --part can be set with THREELANE_SANDBOX_<NAME>.",
        example="threelane sandbox --port 8090",
        panel=TRY_IT,
        extra="worker",
        part="sandbox",
    ),
    Listed("batch", "batch:app", "Batches: all messages of a job, by its name."),
    Listed("schedule", "schedule:schedules", "List scheduled messages or reschedule one."),
    Listed("dead", "dead:app", "Dead letters: messages that were not sent, with cause and owner.", panel=OPERATOR),
    Listed(
        "damaged",
        "damaged:app",
        "Damaged rows: stored holds, suppressions, budgets, keys and other rows that cannot be read.",
        panel=OPERATOR,
    ),
    Listed("suppress", "suppress:app", "The suppression list: numbers to which nothing is sent.", panel=OPERATOR),
    Listed("replies", "replies:app", "Replies: who gets them, and those that nobody gets.", panel=OPERATOR),
    Listed("money", "money:app", "Show credits: balance, forecast, spending and budgets.", panel=OPERATOR),
    Listed(
        "account",
        "account:app",
        "Accounts at the gateway: list, drain, use; and balance, coverage of a number, vouchers.",
        panel=OPERATOR,
        extra="worker",
    ),
    Listed(
        "route",
        "route:app",
        "Routes: which messages are sent through which account, by THREELANE_ACCOUNTS_FILE.",
        panel=OPERATOR,
        extra="worker",
    ),
    Listed(
        "limits",
        "limits:app",
        "Limits: how many messages are accepted for a recipient, a prefix, a country and of a producer.",
        panel=OPERATOR,
    ),
    Listed(
        "audit",
        "audit:app",
        "The audit log: who changed what decides who is sent to, how much and when.",
        panel=OPERATOR,
    ),
    Listed(
        "windows",
        "windows:app",
        "Sending windows: the hours in which messages of a lane or tag are sent. Outside them, messages wait.",
        panel=OPERATOR,
    ),
    Listed(
        "template",
        "template:app",
        "Templates: texts with placeholders, stored by name and version; and the opt-out lines of lanes and tags.",
        panel=OPERATOR,
    ),
    Listed(
        "countries",
        "countries:app",
        "Countries: the first message to each. One that nobody expected is an alarm for a day.",
        panel=OPERATOR,
    ),
    Listed("producers", "producers:producers", "Producers: their rights, API keys and webhooks.", panel=OPERATOR),
)
"""All commands, in the order of the help."""
BY_NAME = {one.name: one for one in COMMANDS}
