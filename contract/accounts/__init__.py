"""Accounts: the accounts that messages are sent through, and the routes that choose one for each message."""
