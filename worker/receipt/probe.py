"""Probe: messages whose time to look them up has come, as many as the rate of look-ups allows."""

from __future__ import annotations

from threelane.store.scripts import Script

probe = Script(__file__, "probe")
