"""Account: what concerns all messages of one Clickatell account at once."""
