-- PARTS suppression, tally
-- Take entries off the list of suppressed numbers.
-- ARG   number, source ('': any), scope ('': any)
-- ->    how many entries were lifted
local lifted = lift(ARG.number, ARG.source, ARG.scope)
count(Count.lifted, lifted)
return tallied(lifted)
