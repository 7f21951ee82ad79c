-- PARTS move, holds
-- Publish, once each, messages of lane 1 without a final receipt in time, wherever they are.
-- KEYS  records   ARG  now, late_ms, ids
-- ->    for each id the state in which it is late, or ''
local answers, FIELDS = {}, {Field.status, Field.producer, Field.client, Field.lane, Field.to, Field.sent,
  Field.gateway_due, Field.waiting, Field.late, Field.paused, Field.account}
local OTHERS_MS = 10000  -- the workers of a message's account come first: they know its holds
local UNDER_WAY = {
  [Status.scheduled] = true, [Status.queued] = true, [Status.sending] = true, [Status.in_doubt] = true, [Status.sent] = true,
  [Status.paused] = true,
}

local held
-- -> whether a hold stops all of lane 1.
local function is_held()
  if held == nil then
    held = false
    for scope in pairs(in_force()) do
      held = held or scope == 'account' or scope == 'lane:1' or string.find(scope, '^gateway:') ~= nil
    end
  end
  return held
end

-- -> why a message waits where it is; '' on the plain path.
local function why(known)
  if known.status == Status.queued and is_own(known) and is_held() then return Cause.hold end
  if known.status == Status.paused then return Status.paused end
  return known.waiting and string.match(known.waiting, '^%d:([%a_]+):') or ''
end

each(ARG.ids, function(i, id)
  answers[i] = ''
  local record = KEY.records[i]
  local listed = redis.call('ZREM', KEY.expected, id) + redis.call('ZREM', KEY.late, id)
  local known = read(record, FIELDS)
  if listed > 0 and UNDER_WAY[known.status] and not known.late then
    local since = math.max(since_of(record), tonumber(known.gateway_due) or 0)
    if since + ARG.late_ms + (is_own(known) and 0 or OTHERS_MS) > ARG.now then
      index(KEY.expected, id, since)
    else
      publish(EventField.type, EventType.late, EventField.id, id, Field.producer, known.producer, Field.client, known.client,
        Field.lane, known.lane, Field.to, known.to, Field.sent, known.sent, Field.status, known.status, EventField.cause,
        why(known))
      write(record, Field.late, ARG.now)
      count_of(Count.late, known.lane)
      answers[i] = known.status
    end
  end
end)
return moved(answers)
