"""A local Clickatell over real HTTP: accounts, charges, receipts, scripted faults; repeatable by a seed."""
