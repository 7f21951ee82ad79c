"""Fuzz of the doors: ``make fuzz``; what each door is given, and what it must not do, stands in doors.py."""
