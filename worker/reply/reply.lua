-- Tell producers of a reply, once, and let STOP and START take effect in the same step.
-- KEYS  11 suppressed, 12 halves, 13 its parts, 14 record of the message it answers, 15.. that its parts were taken
-- ARGV  key of a long reply ('': it is none), ms to remember, word: stop, start or '', entry JSON of a STOP,
--       id, from, to, text, at, network, id of the message it answers, '1' when parts are missing
-- ->    {1}, or {0} when it was told before
local taken = 0
for i = 15, #KEYS do
  if redis.call('SET', KEYS[i], '1', 'NX', 'PX', ARGV[2]) then taken = taken + 1 end
end
if ARGV[1] ~= '' then
  redis.call('DEL', KEYS[13])
  redis.call('ZREM', KEYS[12], ARGV[1])
end
if taken == 0 then return tallied({0}) end
if ARGV[3] == 'stop' then
  suppress(KEYS[11], ARGV[6], cjson.decode(ARGV[4]), 1)
  count('suppressed:STOP')
elseif ARGV[3] == 'start' then -- one that was held up on its way lifts no later STOP
  count('lifted', lift(KEYS[11], ARGV[6], 'STOP', '', tonumber(ARGV[9])))
end
count('replies:' .. (ARGV[3] ~= '' and ARGV[3] or 'other'))
local producer = ARGV[11] ~= '' and redis.call('HGET', KEYS[14], 'producer')
tell('type', 'reply', 'id', ARGV[5], 'producer', producer, 'message', ARGV[11], 'from', ARGV[6], 'to', ARGV[7], 'text', ARGV[8],
  'at', ARGV[9], 'network', ARGV[10], 'incomplete', ARGV[12], 'word', ARGV[3])
return tallied({1})
