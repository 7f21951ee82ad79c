-- PARTS rows, tally
-- Move a reply that belongs to no producer to the events of one.
-- KEYS  stream (that has it)   ARG  id, entry (name, value ...)
-- ->    1, or 0 if it is not there any more
if of_table('XDEL', KEY.stream, ARG.id) ~= 1 then return 0 end
of_table('XADD', KEY.events, '*', unpack(ARG.entry))
count(Count.routed .. 'assigned')
return tallied(1)
