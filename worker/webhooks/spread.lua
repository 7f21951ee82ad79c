#!lua
-- Put an event into the deliveries of producers and acknowledge it, both or neither; once, however often it is asked.
-- KEYS  events, producers, then deliveries and delivery of each     ARGV  group, now, id, content, most, then names
-- ->    the names whose backlog is full: there it was dropped
local dropped = {}
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[3]) == 0 then return dropped end  -- another dispatcher has done it
for i = 6, #ARGV do
  local deliveries, delivery = KEYS[2 * i - 9], KEYS[2 * i - 8]
  local known = redis.call('HGET', KEYS[2], ARGV[i])
  if known and cjson.decode(known).webhook ~= '' then
    if redis.call('HLEN', delivery) >= tonumber(ARGV[5]) then
      table.insert(dropped, ARGV[i])
    else
      redis.call('HSET', delivery, ARGV[3], ARGV[4])
      redis.call('ZADD', deliveries, ARGV[2], ARGV[3])
    end
  end
end
return dropped
