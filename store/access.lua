-- PARTS bucket
-- Take units of an API key's rate. With owed the bucket may become negative, and later requests wait; but nothing more is
-- owed before that is paid: lists that are sent at once would all go past the rate.
-- KEYS  bucket   ARG  now, a_second, most, units, owed (take them although too few are left)
--       fewer than 0 units are given back
-- ->    0: taken; else ms until a unit is available
local DEBT = -0.000001  -- less is rounding
local kept = redis.call('HMGET', KEY.bucket, Rate.left, Rate.at)
local left, at = refill(kept[1], kept[2], ARG.now, ARG.a_second, ARG.most)
if ARG.units > 0 and left < (ARG.owed and DEBT or 1) then return wait_for(1 - left, ARG.a_second) end
left = math.min(ARG.most, left - ARG.units)
redis.call('HSET', KEY.bucket, Rate.left, string.format('%.6f', left), Rate.at, at)
redis.call('PEXPIRE', KEY.bucket, wait_for(ARG.most - left, ARG.a_second) + 1000)
return 0
