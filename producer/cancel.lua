-- PARTS move
-- Cancel messages that are certainly not sent, each atomically: afterwards no worker can claim them. One with an attempt
-- in progress, in doubt or sent, is marked: move.lua ends it instead of trying it again.
-- KEYS  records
-- ARG   now, keep_ms, gateway_stops (the gateway can stop messages that it holds), by_our_id (also those whose gateway id
--       is unknown), ids
-- ->    for each id the result and the state that it was or is in: 'cancelled:queued'; or 'unknown',
--       or 'account:<name>' of another account's
local NOT_SENT = {[Status.scheduled] = true, [Status.queued] = true, [Status.paused] = true, [Status.dead] = true}
local MAY_BE_SENT = {[Status.sending] = true, [Status.in_doubt] = true}
local answers, FIELDS = {}, fields(Field.gateway_due)
local mark = string.format('%d %d', ARG.now, ARG.keep_ms)
each(ARG.ids, function(i, id)
  local record = KEY.records[i]
  answers[i] = CancelResult.unknown
  local known = read_or_set_aside(record, id, FIELDS)
  local from = known.status
  if not from then return end
  if not is_own(known) then
    answers[i] = elsewhere(known)
    return
  end
  if NOT_SENT[from] and move(record, id, known, Status.cancelled, 0, Field.ended, ARG.now) then
    keep_for(record, ARG.keep_ms)
    count_of(Count.cancelled, known.lane)
    answers[i] = CancelResult.cancelled .. ':' .. from
  elseif (from == Status.sent or MAY_BE_SENT[from]) and ARG.gateway_stops
    and (tonumber(known.gateway_due) or 0) > ARG.now then
    redis.call('ZADD', KEY.stopping, ARG.now, id)
    write_first(record, Field.cancel, mark)
    answers[i] = (MAY_BE_SENT[from] and CancelResult.not_retried or CancelResult.asked) .. ':' .. from
  elseif MAY_BE_SENT[from] then
    if ARG.by_our_id then redis.call('ZADD', KEY.stopping, ARG.now, id) end
    write_first(record, Field.cancel, mark)
    answers[i] = CancelResult.not_retried .. ':' .. from
  else
    if from == Status.sent then write_first(record, Field.cancel, mark) end  -- it may return to its lane
    answers[i] = CancelResult.too_late .. ':' .. from
  end
end)
return moved(answers)
