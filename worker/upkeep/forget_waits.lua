-- PARTS record, index
-- Remove notes of messages that no longer wait, which a worker of an earlier version sent or ended.
-- KEYS  records   ARG  notes
-- ->    how many were removed
local WAITS = {
  [Status.scheduled] = true, [Status.queued] = true, [Status.sending] = true, [Status.in_doubt] = true,
}
local removed, FIELDS = 0, {Field.status, Field.waiting}
for i, one in ipairs(ARG.notes) do
  local is_read, known = pcall(function() return read(KEY.records[i], FIELDS) end)
  if not is_read then known = {} end  -- something else than a record has its key
  if not WAITS[known.status] or known.waiting ~= one[Note.note] then
    index(KEY.waiting, one[Note.note] .. ':' .. one[Note.id])
    removed = removed + 1
  end
end
write_indexes()
return removed
