"""Producer: the operations of a caller: accept, enqueue, cancel, reschedule, status."""
