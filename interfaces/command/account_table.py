"""The table of accounts that a dry run prints."""

from __future__ import annotations

from rich.markup import escape

from threelane.interfaces.command.printing import out
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import credits
from threelane.producer.files.accounts import Accounts


def print_accounts(accounts: Accounts) -> None:
    """Print messages, parts, cost and routes by account; nothing if the installation has one account."""
    found = accounts.by_messages()
    if not found:
        return
    table = Table("account", "messages", "parts", "about", "by route")
    for account, one in found.items():
        routes = ", ".join(f"{route} ({messages:,})" for route, messages in one.routes.most_common())
        cost = f"{credits(one.estimate_millionths)} {one.currency}"
        table.add_row(account, f"{one.messages:,}", f"{one.parts:,}", escape(cost), escape(routes))
    out.print(table)
