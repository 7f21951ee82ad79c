-- Take a request's share of what its key may do in a second; a larger one may run into debt, which the next ones wait for.
-- KEYS  11 bucket   ARGV  now, units a second, most at once, units, '1' if what is there does not matter
-- ->    ms to wait until there is room again, 0: taken
local now, rate, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[11], 'left', 'at')
local left = math.min(most, (tonumber(known[1]) or most) + math.max(0, now - (tonumber(known[2]) or now)) * rate / 1000)
if ARGV[5] ~= '1' and left < 1 then return math.ceil((1 - left) * 1000 / rate) end
left = left - tonumber(ARGV[4])
redis.call('HSET', KEYS[11], 'left', string.format('%.6f', left), 'at', math.max(now, tonumber(known[2]) or now))
redis.call('PEXPIRE', KEYS[11], math.ceil((most - left) * 1000 / rate) + 1000)
return 0
