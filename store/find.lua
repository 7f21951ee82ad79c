-- Which of these messages match.
-- KEYS  11.. records   ARGV  batch, tag, recipient, producer, lane, client message id, state, code, owner ('' each: any),
--       '1': only what waits at the gateway
-- ->    for each that matches {position, then the values of SHOWN, '' each for what it has not}
local ASKED = {[1] = 'batch', [3] = 'to', [4] = 'producer', [5] = 'lane', [6] = 'client', [7] = 'status', [8] = 'code', [9] = 'owner'}
local SHOWN = {'status', 'lane', 'to', 'due', 'batch', 'tags', 'producer', 'client', 'accepted', 'code', 'reason', 'owner',
  'parts', 'estimate', 'expires', 'gateway_due'}
local place, answers = {}, {}
for i, name in ipairs(SHOWN) do place[name] = i end
for i = 1, #KEYS - 10 do
  local known = redis.call('HMGET', KEYS[10 + i], unpack(SHOWN))
  local matches = known[1] and (ARGV[10] == '0' or known[place.gateway_due])
    and (ARGV[2] == '' or string.find(',' .. (known[place.tags] or '') .. ',', ',' .. ARGV[2] .. ',', 1, true))
  for argument, name in pairs(ASKED) do
    matches = matches and (ARGV[argument] == '' or ARGV[argument] == known[place[name]])
  end
  if matches then
    local answer = {tostring(i)}
    for j = 1, #SHOWN do answer[j + 1] = known[j] or '' end
    answers[#answers + 1] = answer
  end
end
return answers
