-- PARTS suppression, tally
-- Change the list of suppressed numbers: put entries on it.
-- ARG   again (1: it happened; 0: it is only reported), source (that they are counted by; '': their own), added
-- ->    how many entries were added
for _, one in ipairs(ARG.added) do
  local entry = cjson.decode(one[Added.entry])
  suppress(one[Added.number], entry, ARG.again)
  count(Count.suppressed .. (ARG.source ~= '' and ARG.source or entry.source))
end
return tallied(#ARG.added)
