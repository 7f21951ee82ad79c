-- PARTS record
-- Make look-ups of messages in doubt due now.
-- KEYS  none   ARG  now, lane, most
-- ->    how many became due
local ids = redis.call('ZRANGE', KEY.doubt[ARG.lane], '(' .. written(ARG.now), '+inf', 'BYSCORE', 'LIMIT', 0, ARG.most)
for _, id in ipairs(ids) do redis.call('ZADD', KEY.doubt[ARG.lane], 'XX', ARG.now, id) end
return #ids
