-- PARTS record, index, bucket
-- Take messages of a lane and a state that are due for a look-up, as many as the rate of look-ups allows; no other
-- worker takes the same ones until again_at.
-- KEYS  records   ARG  now, lane, status (in_doubt or sent), again_at, a_second (look-ups), ids
-- ->    for each id taken {id, probes so far, in doubt since, lapses, body, gateway id, sent at, polls}
local now = ARG.now
local kept = redis.call('HMGET', KEY.rate, Rate.asks, Rate.asked)
local tokens, refilled_at = refill(kept[1], kept[2], now, ARG.a_second, math.max(1, ARG.a_second))
local set = ARG.status == Status.sent and KEY.awaiting[ARG.lane] or KEY.doubt[ARG.lane]
local answers, FIELDS = {}, {Field.status, Field.probes, Field.doubted, Field.lapses, Field.body, Field.gateway_id,
  Field.sent, Field.asks, Field.gateway_due}
for i, id in ipairs(ARG.ids) do
  local record, due_at = KEY.records[i], tonumber(redis.call('ZSCORE', set, id))
  local known = read(record, FIELDS)
  if due_at and due_at <= now and known.status ~= ARG.status then
    index(set, id)
  elseif due_at and due_at <= now and tokens >= 1 then
    tokens = tokens - 1
    index(set, id, ARG.again_at)
    if ARG.status == Status.in_doubt and not known.doubted then write(record, Field.doubted, now) end
    local on_its_way = math.max(tonumber(known.sent) or now, tonumber(known.gateway_due) or 0)
    answers[#answers + 1] = {id, known.probes or '0', known.doubted or tostring(now), known.lapses or '0', known.body or '',
      known.gateway_id or '', string.format('%d', on_its_way), known.asks or '0'}
  end
end
redis.call('HSET', KEY.rate, Rate.asks, string.format('%.3f', tokens), Rate.asked, refilled_at)
write_indexes()
return answers
