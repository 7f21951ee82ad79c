"""Webhooks: posts outcomes and replies to the producers that registered a webhook."""
