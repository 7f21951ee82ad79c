-- PARTS move, bucket
-- Take messages of one lane and state that are due for a look-up, as many as the rate of look-ups allows; no other
-- worker takes the same ones until again_at.
-- Doubts of lane 1 come first, then the other doubts, then receipts by lane. Each has a share of the rate that the others
-- cannot use up; what has nothing due lends its share to the first that has. The rate grows with what is due.
-- KEYS  records
-- ARG   now, status (in_doubt or sent), lane, again_at, a_second (requests, at least), most_a_second, per_request (ids),
--       ids
-- ->    {what is known of the account's visibility, {for each id taken: its fields}}
local SHARES = {[Status.in_doubt] = {0.5, 0.1, 0.1}, [Status.sent] = {0.1, 0.1, 0.1}}
local WITHIN = 30  -- seconds in which a backlog is looked up, if the configured limit allows
local BURST = 0.5  -- seconds' worth of the rate
local FIELDS = {Field.status, Field.probes, Field.doubted, Field.lapses, Field.body, Field.gateway_id, Field.sent,
  Field.asks, Field.gateway_due, Field.resent, Field.retry, Field.expires, Field.former_id,
  Field.cancel, Field.account}
local now, lane = ARG.now, tonumber(ARG.lane)

-- -> the set of a state and lane.
local function set_of(status, of)
  return status == Status.sent and KEY.awaiting[of] or KEY.doubt[of]
end

-- -> the requests a second that this state and lane may make now.
local function its_rate()
  local due, first, lent = 0, nil, 0
  for _, status in ipairs({Status.in_doubt, Status.sent}) do
    for of, share in ipairs(SHARES[status]) do
      local waiting = redis.call('ZCOUNT', set_of(status, of), '-inf', now)
      due = due + waiting
      if waiting == 0 then lent = lent + share elseif not first then first = {status, of} end
    end
  end
  local rate = math.min(math.max(ARG.a_second, ARG.most_a_second), math.max(ARG.a_second, due / ARG.per_request / WITHIN))
  local is_first = first and first[1] == ARG.status and first[2] == lane
  return rate * (SHARES[ARG.status][lane] + (is_first and lent or 0))
end

-- -> a number of a record as text, 0 if it is absent; an error if it is no number.
local function count_in(value) return string.format('%d', tonumber(value or 0)) end

local names = {Rate.asks .. ':' .. ARG.status .. ':' .. lane, Rate.asked .. ':' .. ARG.status .. ':' .. lane}
local kept, rate = redis.call('HMGET', KEY.rate, unpack(names)), its_rate()
local tokens, refilled_at = refill(kept[1], kept[2], now, rate, math.max(1, BURST * rate))
local most, set, answers = math.floor(tokens) * ARG.per_request, set_of(ARG.status, lane), {}
each(ARG.ids, function(i, id)
  local record, due_at = KEY.records[i], tonumber(redis.call('ZSCORE', set, id))
  local known = read(record, FIELDS)
  if due_at and due_at <= now and not is_own(known) then
    leave_stray(set, id, known)
  elseif due_at and due_at <= now and known.status ~= ARG.status then
    index(set, id)
  elseif due_at and due_at <= now and #answers < most then
    index(set, id, ARG.again_at)
    if ARG.status == Status.in_doubt and not known.doubted then write(record, Field.doubted, now) end
    local on_its_way = math.max(tonumber(known.sent) or now, tonumber(known.gateway_due) or 0)
    answers[#answers + 1] = {id, count_in(known.probes), known.doubted and count_in(known.doubted) or tostring(now),
      count_in(known.lapses), known.body or '', known.gateway_id or '', string.format('%d', on_its_way),
      count_in(known.asks), count_in(known.resent), count_in(known.retry), count_in(known.expires),
      known.former_id or '', known.cancel and '1' or '0'}
  end
end)
tokens = tokens - math.ceil(#answers / ARG.per_request)
redis.call('HSET', KEY.rate, names[1], string.format('%.3f', tokens), names[2], refilled_at)
local seen = redis.call('HMGET', KEY.visibility, Sight.delay, Sight.learned, Sight.witness, Sight.sample, Sight.began,
  Sight.answered, Sight.unseen, Sight.next, Sight.chosen)
return moved({seen, answers})
