"""Bench: how fast and how exact, measured; what prints numbers of time stands here and in no test."""
