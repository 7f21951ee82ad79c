-- PARTS move
-- Cancel messages that are certainly not sent, each atomically: afterwards no worker can claim them.
-- KEYS  records   ARG  now, keep_ms, gateway_stops (the gateway can stop messages that it holds), ids
-- ->    for each id the result and the state that it was or is in: 'cancelled:queued'; or 'unknown'
local NOT_SENT = {[Status.scheduled] = true, [Status.queued] = true, [Status.dead] = true}
local answers, FIELDS = {}, fields(Field.gateway_due)
for i, id in ipairs(ARG.ids) do
  local record = KEY.records[i]
  local known = read_or_set_aside(record, id, FIELDS)
  local from = known.status
  if not from then
    answers[i] = CancelResult.unknown
  elseif NOT_SENT[from] and move(record, id, known, Status.cancelled, 0, Field.ended, ARG.now) then
    keep_for(record, ARG.keep_ms)
    count_of(Count.cancelled, known.lane)
    answers[i] = CancelResult.cancelled .. ':' .. from
  elseif from == Status.sent and ARG.gateway_stops and (tonumber(known.gateway_due) or 0) > ARG.now then
    redis.call('ZADD', KEY.stopping, ARG.now, id)
    answers[i] = CancelResult.asked .. ':' .. from
  else
    answers[i] = CancelResult.too_late .. ':' .. from
  end
end
return moved(answers)
