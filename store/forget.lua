-- PARTS suppression
-- Remove a number with expired entries from the list of suppressed numbers, unless they changed since they were read.
-- ARG   number, entries (as read)
-- ->    1, or 0
return forget(ARG.number, ARG.entries)
