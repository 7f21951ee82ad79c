-- PARTS suppression
-- Take a number off the list of suppressed numbers whose entries are over, if nobody changed them since they were read.
-- ARG   number, entries (as they were read)
-- ->    1, or 0
return forget(ARG.number, ARG.entries)
