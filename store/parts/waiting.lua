-- PARTS record, index
-- Waiting: the messages off the plain path, with cause and since when; see store/waiting.py.

-- -> since when a message waits: when it was accepted, became due or was redriven.
local function since_of(record)
  local since = 0
  for _, at in ipairs(read_list(record, Table.since)) do since = math.max(since, at and tonumber(at) or 0) end
  return since
end

-- A message no longer waits off the plain path.
local function forget_wait(record, id, known)
  if not known.waiting then return end
  index(KEY.waiting, known.waiting .. ':' .. id)
  drop(record, Field.waiting)
  known.waiting = nil
end

-- Note why a message waits.
local function note_wait(record, id, known, cause)
  local note = string.format('%s:%s:%013d', known.lane, cause, since_of(record))
  if known.waiting == note then return end
  forget_wait(record, id, known)
  index(KEY.waiting, note .. ':' .. id, 0)
  write(record, Field.waiting, note)
  known.waiting = note
end
