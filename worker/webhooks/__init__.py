"""Webhooks: outcomes and replies are posted to the producers that want them."""
