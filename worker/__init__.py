"""Worker: everything after accept: claim, send, settle, receipts, time, money."""
