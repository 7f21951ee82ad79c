"""Gateways: one folder for each API; docs/adding-a-gateway.md explains what is in it."""
