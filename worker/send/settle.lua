-- Write down what attempts came to. Only the holder of a message's token may; the token ends with it.
-- KEYS  11 holds, 12 suppressed, 13 late, 14.. records
-- ARGV  msgpack of {now, whether the API tells no charges, holds, settlements}: a hold is {its scope, its JSON}, a settlement
--       {id, token, state, score, ms to keep (0: for ever), count ('': none), entry that suppresses ('': none), attempt,
--       seconds to wait ('': none), when a receipt is late (0: never), {field, value ...}}
-- ->    for each record 1, or 0 when the token is no longer the message's: something else settled it
local now, assumes, holds, settlements = unpack(cmsgpack.unpack(ARGV[1]))
local FIELDS, answers = assumes and fields('token', 'to', 'waits', unpack(PAID)) or fields('token', 'to', 'waits'), {}
local function lasts(hold)
  local ends = cjson.decode(hold)['until']
  return ends == 0 and math.huge or ends
end
for _, one in ipairs(holds) do  -- a hold gives way to one that lasts longer
  local scope, hold = unpack(one)
  local standing = redis.call('HGET', KEYS[11], scope)
  if standing and lasts(standing) <= now then standing = nil end
  if not standing or lasts(hold) > lasts(standing) then redis.call('HSET', KEYS[11], scope, hold) end
  if not standing then count('held:' .. string.match(scope, '^%a+')) end
end
for i, one in ipairs(settlements) do
  local id, token, to, score, keep, counts, entry, attempt, wait, late, values = unpack(one)
  local record = KEYS[13 + i]
  local known = read(record, FIELDS)
  values[#values + 1] = 'attempt'
  values[#values + 1] = attempt
  if wait ~= '' then
    values[#values + 1] = 'waits'
    values[#values + 1] = (known.waits and known.waits .. ' ' or '') .. wait
  end
  answers[i] = 0
  if known.token == token and move(record, id, known, to, score, unpack(values)) then
    answers[i] = 1
    if keep > 0 then redis.call('PEXPIRE', record, keep) end
    if counts ~= '' then count(counts) end
    if entry ~= '' then suppress(KEYS[12], known.to, cjson.decode(entry), 1) end
    if late > 0 then shelve(KEYS[13], id, late) end
    if to == 'sent' and assumes then pay(record, known, tonumber(known.estimate) or 0) end
  else
    count('stale_settle')
  end
end
return tallied(answers)
