-- Move records forward by what the network reported. Safe to repeat and to reorder; creates nothing.
-- KEYS  10.. records
-- ARGV  now, ms to keep, then for each: id, gateway id, network status, state ('': says nothing), charge ('': none)
-- ->    for each 'moved', 'noted' (an intermediate status), 'repeated', 'late' (it ended before), 'never_sent' or 'unknown'
local FIELDS, answers = 5, {}
for i = 1, #KEYS - 9 do
  local record, a = KEYS[9 + i], 3 + (i - 1) * FIELDS
  local id, network, to, charge = ARGV[a], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  local known = redis.call('HMGET', record, 'status', 'lane', 'attempt', 'charge', 'centre', 'network', 'sent', 'gateway_id')
  local from, lane = known[1], known[2]
  if not from then
    answers[i] = 'unknown'
  elseif not known[3] then
    answers[i] = 'never_sent'
  else
    if charge ~= '' and charge ~= (known[4] or '0') then
      redis.call('HSET', record, 'charge', charge)
      count('charged:' .. lane .. ':' .. (known[5] or ''), tonumber(charge) - (tonumber(known[4]) or 0))
    end
    if to == '' then
      answers[i] = 'noted'
    elseif from == to then
      answers[i] = known[6] == network and 'repeated' or 'noted'
      if to == 'sent' then redis.call('HSET', record, 'network', network) end
    elseif move(record, id, lane, from, to, ARGV[1]) then
      redis.call('HDEL', record, 'token')
      local gateway_id = ARGV[a + 1] ~= '' and ARGV[a + 1] or known[8] or ''
      redis.call('HSET', record, 'network', network, 'gateway_id', gateway_id, 'sent', known[7] or ARGV[1])
      if to ~= 'sent' then redis.call('HSET', record, 'ended', ARGV[1]) end
      redis.call('PEXPIRE', record, ARGV[2])
      answers[i] = 'moved'
    else
      answers[i] = 'late'
    end
  end
end
return tallied(answers)
