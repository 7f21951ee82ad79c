"""Gateway: how a message is put to Clickatell, and what its answer comes to."""
