-- PARTS suppression, tally
-- Add entries to the list of suppressed numbers.
-- ARG   again (1: new occurrences; 0: repeated reports), source (to count them by; '': their own), added
-- ->    how many entries were added
for _, one in ipairs(ARG.added) do
  local entry = cjson.decode(one[Added.entry])
  suppress(one[Added.number], entry, ARG.again)
  count(Count.suppressed .. (ARG.source ~= '' and ARG.source or entry.source))
end
return tallied(#ARG.added)
