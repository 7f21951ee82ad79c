-- PARTS move
-- Put waiting messages aside, as far as their batches are paused.
-- KEYS  records   ARG  now, ids
-- ->    for each id 1, or 0 when it does not wait, or its batch is not paused; 'account:<name>' of another account's
local answers, FIELDS = {}, fields(Field.batch, Field.expires)
each(ARG.ids, function(i, id)
  answers[i] = 0
  local record = KEY.records[i]
  local known = read(record, FIELDS)
  if not is_own(known) then
    answers[i] = elsewhere(known)
    return
  end
  local is_scheduled = known.status == Status.scheduled
  if not is_scheduled and known.status ~= Status.queued then return end
  local digest = pause.of(known.producer, known.batch)
  if not digest then return end
  local due = is_scheduled and redis.call('ZSCORE', KEY.due[known.lane], id) or nil
  if pause.put_aside(record, id, known, digest, due) then answers[i] = 1 end
end)
return moved(answers)
