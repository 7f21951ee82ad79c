-- Move records forward by what the network reported. Safe to repeat and to reorder; creates nothing.
-- The first final status wins; of the others the one that is furthest on the way, and its charge with it. A final
-- status that contradicts the first tells a charge only where no other does.
-- KEYS  11 late, 12.. records
-- ARGV  now, ms to keep, ms until a receipt is asked for, ms until it is late, then for each: id, gateway id,
--       network status, state ('': says nothing), charge ('': none), rank 0-4, what the report said, and
--       where the API tells no charges, 'estimate' or 'none' ('': it does)
-- ->    for each 'moved', 'noted' (no move), 'repeated', 'late' (it ended before), 'never_sent' or 'unknown'; after a
--       space, its trace if it has one
local SAID, MOST_REPORTS, FINAL, answers = 8, 2000, 4, {}
local FIELDS = fields('attempt', 'network', 'sent', 'gateway_id', 'rank', 'charge_rank', 'reports', 'gateway_due', 'trace',
  unpack(PAID))
local now, keep_ms, ask_ms, late_ms = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
for i = 1, #KEYS - 11 do
  local record, a = KEYS[11 + i], 5 + (i - 1) * SAID
  local id, gateway_id, network, to, charge, rank, said, assumed = unpack(ARGV, a, a + SAID - 1)
  rank = tonumber(rank)
  local known, written = read(record, FIELDS), {}
  local function write(name, value)
    written[#written + 1] = name
    written[#written + 1] = value
  end
  local from, before = known.status, tonumber(known.rank) or 0
  local charged_at, reports = tonumber(known.charge_rank), known.reports or ''
  if not from then
    answers[i] = 'unknown'
  elseif not known.attempt then
    answers[i] = 'never_sent'
  else
    if #reports < MOST_REPORTS then write('reports', reports .. ARGV[1] .. ' ' .. said .. '\n') end
    local weight = rank == FINAL and before == FINAL and network ~= known.network and -1 or rank
    if charge ~= '' and weight >= (charged_at or weight) then
      write('charge_rank', weight)
      pay(record, known, tonumber(charge))
      if tonumber(charge) > 0 and known.country then
        redis.call('HSET', MONEY.prices, known.country, math.floor(charge / known.parts))
      end
    end
    if to ~= '' and (rank > before or rank == before and rank < FINAL) then
      write('network', network)
      write('rank', rank)
    end
    if to == '' then
      answers[i] = 'noted'
    elseif from == to then
      answers[i] = known.network == network and 'repeated' or 'noted'
    elseif not MAY[from][to] then
      answers[i] = 'late'
    else
      local expected = math.max(now, tonumber(known.gateway_due) or 0)  -- later than now when the gateway waits for the time
      write('gateway_id', gateway_id ~= '' and gateway_id or known.gateway_id or '')
      write('sent', known.sent or ARGV[1])
      if to ~= 'sent' then write('ended', ARGV[1]) end
      move(record, id, known, to, to == 'sent' and expected + ask_ms or now, unpack(written))
      written = {}
      if to == 'sent' then
        redis.call('HDEL', record, 'ended')
        if known.lane == '1' then redis.call('ZADD', KEYS[11], expected + late_ms, id) end
      end
      redis.call('PEXPIRE', record, keep_ms + expected - now)
      answers[i] = 'moved'
    end
    if #written > 0 then redis.call('HSET', record, unpack(written)) end
    if assumed ~= '' and charge == '' and not charged_at and (answers[i] == 'moved' or from == 'unknown' and before < rank) then
      if assumed == 'none' then
        if known.charge then pay(record, known, 0) end
      elseif not known.charge then pay(record, known, tonumber(known.estimate) or 0) end
    end
  end
  if known.trace then answers[i] = answers[i] .. ' ' .. known.trace end
end
return tallied(answers)
