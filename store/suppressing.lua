-- The one list of numbers that must not be sent to: MSISDN -> JSON list of entries; see suppression.py.

local function is_over(entry, now) return (entry.expires or 0) > 0 and entry.expires <= now end

-- Tell whether an entry forbids sending now.
local function forbids(entry, sender, tags, now)
  if (entry.times or 1) < (entry.needs or 1) or is_over(entry, now) then return false end
  local kind, name = string.match(entry.scope or 'all', '^(%a+):?(.*)$')
  if kind == 'sender' then return name == sender end
  if kind == 'tag' then return string.find(',' .. tags .. ',', ',' .. name .. ',', 1, true) ~= nil end
  return true
end

-- -> the entry among those of a number (their JSON, if it has any) that forbids sending to it now, or nil.
local function forbidden(entries, sender, tags, now)
  if not entries then return nil end
  for _, entry in ipairs(cjson.decode(entries)) do
    if forbids(entry, sender, tags, now) then return entry end
  end
end

-- Add an entry, or its repetition to the one of the same source and scope; one that is over begins anew.
-- again  how often it happened once more: 1, or 0 when it is only told of once more
local function suppress(list, to, new, again)
  local entries, place = cjson.decode(redis.call('HGET', list, to) or '[]'), nil
  for i, entry in ipairs(entries) do
    if entry.source == new.source and entry.scope == new.scope then place = i end
  end
  local known = place and not is_over(entries[place], new.last) and entries[place]
  if known then
    new.times = math.max((known.times or 1) + again, new.times)
    new.needs, new.first, new.last = known.needs, math.min(known.first, new.first), math.max(known.last, new.last)
    if new.evidence == '' then new.evidence = known.evidence end
  end
  entries[place or #entries + 1] = new
  redis.call('HSET', list, to, cjson.encode(entries))
end

-- Take a source's entries of a scope off a number, if they are no younger than told; '' and nil are any. -> how many
local function lift(list, to, source, scope, youngest)
  local entries, left = cjson.decode(redis.call('HGET', list, to) or '[]'), {}
  for _, entry in ipairs(entries) do
    local meant = (source == '' or entry.source == source) and (scope == '' or entry.scope == scope)
    if not meant or (youngest and entry.last > youngest) then left[#left + 1] = entry end
  end
  if #left == 0 then
    redis.call('HDEL', list, to)
  elseif #left < #entries then
    redis.call('HSET', list, to, cjson.encode(left))
  end
  return #entries - #left
end
