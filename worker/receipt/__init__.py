"""Receipt: status reports of sent messages: callbacks, polls, late receipts and cancels at the gateway."""
