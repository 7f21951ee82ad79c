-- Suppression: the list of numbers that must not be sent to, MSISDN -> JSON list of entries; see suppression.py.

local function is_over(entry, now) return (entry.expires or 0) > 0 and entry.expires <= now end

-- -> whether an entry forbids sending now.
local function forbids(entry, sender, tags, now)
  if (entry.times or 1) < (entry.needs or 1) or is_over(entry, now) then return false end
  local kind, name = string.match(entry.scope or 'all', '^(%a+):?(.*)$')
  if kind == 'sender' then return name == sender end
  if kind == 'tag' then return string.find(',' .. tags .. ',', ',' .. name .. ',', 1, true) ~= nil end
  return true
end

-- -> the entries of each of these numbers: JSON, or false.
local function entries_of(numbers) return redis.call('HMGET', KEY.suppressed, unpack(numbers)) end

-- -> the first of these entries (JSON, or false) that forbids sending now, or nil.
local function forbidden(entries, sender, tags, now)
  if not entries then return nil end
  for _, entry in ipairs(cjson.decode(entries)) do
    if forbids(entry, sender, tags, now) then return entry end
  end
end

local function decoded(number) return cjson.decode(redis.call('HGET', KEY.suppressed, number) or '[]') end

-- Add an entry, or merge it into the one of the same source and scope; an expired entry is replaced.
-- again  1 for a new occurrence, 0 for a repeated report
local function suppress(number, new, again)
  local entries, place = decoded(number), nil
  for i, entry in ipairs(entries) do
    if entry.source == new.source and entry.scope == new.scope then place = i end
  end
  local old = place and not is_over(entries[place], new.last) and entries[place]
  if old then
    new.times = math.max((old.times or 1) + again, new.times)
    new.needs, new.first, new.last = old.needs, math.min(old.first, new.first), math.max(old.last, new.last)
    if new.evidence == '' then new.evidence = old.evidence end
  end
  entries[place or #entries + 1] = new
  redis.call('HSET', KEY.suppressed, number, cjson.encode(entries))
end

-- Remove the entries of a source and scope ('': any) from a number, except younger ones. -> how many
local function lift(number, source, scope, youngest)
  local entries, left = decoded(number), {}
  for _, entry in ipairs(entries) do
    local meant = (source == '' or entry.source == source) and (scope == '' or entry.scope == scope)
    if not meant or (youngest and entry.last > youngest) then left[#left + 1] = entry end
  end
  if #left == 0 then
    redis.call('HDEL', KEY.suppressed, number)
  elseif #left < #entries then
    redis.call('HSET', KEY.suppressed, number, cjson.encode(left))
  end
  return #entries - #left
end

-- Remove a number from the list, unless its entries changed since they were read. -> 1 or 0
local function forget(number, entries)
  if redis.call('HGET', KEY.suppressed, number) ~= entries then return 0 end
  return redis.call('HDEL', KEY.suppressed, number)
end
