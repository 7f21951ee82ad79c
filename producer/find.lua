-- Which of these messages match.
-- KEYS  11.. records   ARGV  batch, tag, recipient, producer, lane ('' each: any), '1': only what waits at the gateway
-- ->    for each that matches {position, status, lane, to, due, batch, tags, producer}
local answers = {}
local function differs(wanted, value) return wanted ~= '' and wanted ~= value end
for i = 1, #KEYS - 10 do
  local known = redis.call('HMGET', KEYS[10 + i], 'status', 'lane', 'to', 'due', 'batch', 'tags', 'producer', 'gateway_due')
  if known[1] and not differs(ARGV[1], known[5]) and not differs(ARGV[3], known[3]) and not differs(ARGV[4], known[7])
    and not differs(ARGV[5], known[2]) and (ARGV[6] == '0' or known[8])
    and (ARGV[2] == '' or string.find(',' .. (known[6] or '') .. ',', ',' .. ARGV[2] .. ',', 1, true)) then
    answers[#answers + 1] = {tostring(i), known[1], known[2], known[3] or '', known[4] or '', known[5] or '', known[6] or '', known[7] or ''}
  end
end
return answers
