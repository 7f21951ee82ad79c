-- PARTS rows
-- Add an event to the deliveries of producers and acknowledge it, both or neither; only once, even if repeated.
-- KEYS  deliveries and contents of each name   ARG  now, group, id, content, most (pending for one webhook), names
-- ->    the names whose backlog is full: the event was dropped for them
local dropped = {}
if redis.call('XACK', KEY.events, ARG.group, ARG.id) == 0 then return dropped end  -- another dispatcher has done it
for i, name in ipairs(ARG.names) do
  local registered = of_table('HGET', KEY.producers, name)
  if registered and row_of(registered, {webhook = 'string'}) and cjson.decode(registered).webhook ~= '' then
    local kept = of_table('HLEN', KEY.contents[i])  -- nil: a key of another type takes nothing
    if not kept or kept >= ARG.most then
      table.insert(dropped, name)
    else
      redis.call('HSET', KEY.contents[i], ARG.id, ARG.content)
      redis.call('ZADD', KEY.deliveries[i], ARG.now, ARG.id)
    end
  end
end
return dropped
