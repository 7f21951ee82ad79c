-- Change what is known of visibility, unless another worker changed the sample or its next look-up since it was read.
-- KEYS  none   ARG  sample, next (as read; '' for none), values (name, value ...), drops (names)
-- ->    1, or 0 when it was changed
local kept = redis.call('HMGET', KEY.visibility, Sight.sample, Sight.next)
if (kept[1] or '') ~= ARG.sample or (kept[2] or '') ~= ARG.next then return 0 end
if #ARG.drops > 0 then redis.call('HDEL', KEY.visibility, unpack(ARG.drops)) end
if #ARG.values > 0 then redis.call('HSET', KEY.visibility, unpack(ARG.values)) end
return 1
