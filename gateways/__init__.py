"""Gateways: one folder for each API; docs/adding-a-gateway.md explains its contents."""
