"""Fuzzing of the parsers: ``make fuzz``; targets.py has the seeds and the rule of each."""
