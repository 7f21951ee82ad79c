-- Move records forward by what the network reported. Safe to repeat and to reorder; creates nothing.
-- The first final status wins; of the others the one that is furthest on the way, and its charge with it. A final
-- status that contradicts the first tells a charge only where no other does.
-- KEYS  11 late, 12.. records
-- ARGV  now, ms to keep, ms until a receipt is asked for, ms until it is late, then for each: id, gateway id,
--       network status, state ('': says nothing), charge ('': none), rank 0-4, what the report said, and
--       where the API tells no charges, 'estimate' or 'none' ('': it does)
-- ->    for each 'moved', 'noted' (no move), 'repeated', 'late' (it ended before), 'never_sent' or 'unknown'; after a space, its trace if it has one
local FIELDS, MOST_REPORTS, FINAL, answers = 8, 2000, 4, {}
local now = tonumber(ARGV[1])
for i = 1, #KEYS - 11 do
  local record, a = KEYS[11 + i], 5 + (i - 1) * FIELDS
  local id, network, to, charge, rank = ARGV[a], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], tonumber(ARGV[a + 5])
  local known = redis.call('HMGET', record, 'status', 'lane', 'attempt', 'charge', 'network', 'sent', 'gateway_id',
    'rank', 'charge_rank', 'reports', 'gateway_due', 'estimate', 'country', 'parts', 'trace')
  local from, lane, before = known[1], known[2], tonumber(known[8]) or 0
  local charged_at, reports = tonumber(known[9]), known[10] or ''
  if not from then
    answers[i] = 'unknown'
  elseif not known[3] then
    answers[i] = 'never_sent'
  else
    if #reports < MOST_REPORTS then
      redis.call('HSET', record, 'reports', reports .. ARGV[1] .. ' ' .. ARGV[a + 6] .. '\n')
    end
    local weight = rank == FINAL and before == FINAL and network ~= known[5] and -1 or rank
    if charge ~= '' and weight >= (charged_at or weight) then
      redis.call('HSET', record, 'charge_rank', weight)
      pay(record, lane, tonumber(charge))
      if tonumber(charge) > 0 and known[13] then
        redis.call('HSET', MONEY.prices, known[13], math.floor(charge / known[14]))
      end
    end
    if to ~= '' and (rank > before or rank == before and rank < FINAL) then
      redis.call('HSET', record, 'network', network, 'rank', rank)
    end
    if to == '' then
      answers[i] = 'noted'
    elseif from == to then
      answers[i] = known[5] == network and 'repeated' or 'noted'
    else
      local expected = math.max(now, tonumber(known[11]) or 0)  -- later than now when the gateway waits for the time
      if move(record, id, lane, from, to, to == 'sent' and expected + ARGV[3] or now) then
        redis.call('HDEL', record, 'token', 'ended')
        local gateway_id = ARGV[a + 1] ~= '' and ARGV[a + 1] or known[7] or ''
        redis.call('HSET', record, 'gateway_id', gateway_id, 'sent', known[6] or ARGV[1])
        if to ~= 'sent' then redis.call('HSET', record, 'ended', ARGV[1]) end
        if to == 'sent' and lane == '1' then redis.call('ZADD', KEYS[11], expected + ARGV[4], id) end
        redis.call('PEXPIRE', record, ARGV[2] + expected - now)
        answers[i] = 'moved'
      else
        answers[i] = 'late'
      end
      if ARGV[a + 7] ~= '' and charge == '' and not charged_at and (answers[i] == 'moved' or from == 'unknown' and before < rank) then
        if ARGV[a + 7] == 'none' then
          if known[4] then pay(record, lane, 0) end
        elseif not known[4] then pay(record, lane, tonumber(known[12]) or 0) end
      end
    end
  end
  if known[15] then answers[i] = answers[i] .. ' ' .. known[15] end
end
return tallied(answers)
