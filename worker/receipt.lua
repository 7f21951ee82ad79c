-- Move records forward by what the network reported. Safe to repeat and to reorder; creates nothing.
-- The first final status wins; of the others the one that is furthest on the way, and its charge with it. A final
-- status that contradicts the first tells a charge only where no other does.
-- KEYS  11 late, 12.. records
-- ARGV  now, ms to keep, ms until a receipt is asked for, ms until it is late, then for each: id, gateway id,
--       network status, state ('': says nothing), charge ('': none), rank 0-4, what the report said, and
--       where the API tells no charges, 'estimate' or 'none' ('': it does)
-- ->    for each 'moved', 'noted' (no move), 'repeated', 'late' (it ended before), 'never_sent' or 'unknown'; after a space, its trace if it has one
local SAID, MOST_REPORTS, FINAL, answers = 8, 2000, 4, {}
local FIELDS = fields('attempt', 'charge', 'network', 'sent', 'gateway_id', 'rank', 'charge_rank', 'reports', 'gateway_due',
  'country', 'parts', 'trace')
local now = tonumber(ARGV[1])
for i = 1, #KEYS - 11 do
  local record, a = KEYS[11 + i], 5 + (i - 1) * SAID
  local id, network, to, charge, rank = ARGV[a], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], tonumber(ARGV[a + 5])
  local known = read(record, FIELDS)
  local from, before = known.status, tonumber(known.rank) or 0
  local charged_at, reports = tonumber(known.charge_rank), known.reports or ''
  if not from then
    answers[i] = 'unknown'
  elseif not known.attempt then
    answers[i] = 'never_sent'
  else
    if #reports < MOST_REPORTS then
      redis.call('HSET', record, 'reports', reports .. ARGV[1] .. ' ' .. ARGV[a + 6] .. '\n')
    end
    local weight = rank == FINAL and before == FINAL and network ~= known.network and -1 or rank
    if charge ~= '' and weight >= (charged_at or weight) then
      redis.call('HSET', record, 'charge_rank', weight)
      pay(record, known, tonumber(charge))
      if tonumber(charge) > 0 and known.country then
        redis.call('HSET', MONEY.prices, known.country, math.floor(charge / known.parts))
      end
    end
    if to ~= '' and (rank > before or rank == before and rank < FINAL) then
      redis.call('HSET', record, 'network', network, 'rank', rank)
    end
    if to == '' then
      answers[i] = 'noted'
    elseif from == to then
      answers[i] = known.network == network and 'repeated' or 'noted'
    else
      local expected = math.max(now, tonumber(known.gateway_due) or 0)  -- later than now when the gateway waits for the time
      local gateway_id = ARGV[a + 1] ~= '' and ARGV[a + 1] or known.gateway_id or ''
      if move(record, id, known, to, to == 'sent' and expected + ARGV[3] or now, 'gateway_id', gateway_id, 'sent', known.sent or ARGV[1]) then
        if to == 'sent' then redis.call('HDEL', record, 'ended') else redis.call('HSET', record, 'ended', ARGV[1]) end
        if to == 'sent' and known.lane == '1' then redis.call('ZADD', KEYS[11], expected + ARGV[4], id) end
        redis.call('PEXPIRE', record, ARGV[2] + expected - now)
        answers[i] = 'moved'
      else
        answers[i] = 'late'
      end
      if ARGV[a + 7] ~= '' and charge == '' and not charged_at and (answers[i] == 'moved' or from == 'unknown' and before < rank) then
        if ARGV[a + 7] == 'none' then
          if known.charge then pay(record, known, 0) end
        elseif not known.charge then pay(record, known, tonumber(known.estimate) or 0) end
      end
    end
  end
  if known.trace then answers[i] = answers[i] .. ' ' .. known.trace end
end
return tallied(answers)
