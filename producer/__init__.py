"""Producer: the verbs of a caller: accept, enqueue, cancel, reschedule, status."""
