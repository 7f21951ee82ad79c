"""Account: the balance and the holds of one Clickatell account."""
