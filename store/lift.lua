-- PARTS suppression, tally
-- Remove entries from the list of suppressed numbers.
-- ARG   number, source ('': any), scope ('': any)
-- ->    how many entries were removed
local lifted = lift(ARG.number, ARG.source, ARG.scope)
count(Count.lifted, lifted)
return tallied(lifted)
