-- PARTS rows
-- Suppression: the list of numbers that must not be sent to, MSISDN -> JSON list of entries; see suppression.py.

local DAMAGED_ENTRY = 'unreadable'  -- the source of what stands for an unreadable row: nothing is sent to its number
local damaged_entry, entries_in
do
  local ENTRY = {source = 'string', code = 'string'}
  local OF_ENTRY = {scope = 'string', evidence = 'string', first = 'number', last = 'number', expires = 'number',
    times = 'number', needs = 'number'}

  function damaged_entry()
    return {source = DAMAGED_ENTRY, code = '122', scope = 'all', first = 0, last = 0}
  end

  -- -> the entries of a row, or nil if it is unreadable.
  function entries_in(text)
    local is_read, found = pcall(cjson.decode, text)
    if not is_read or type(found) ~= 'table' or not is_plain(found) then return nil end
    for place in pairs(found) do
      local entry = type(place) == 'number' and found[place]
      if type(entry) ~= 'table' then return nil end
      for name, kind in pairs(ENTRY) do
        if type(entry[name]) ~= kind then return nil end
      end
      for name, kind in pairs(OF_ENTRY) do
        if entry[name] ~= nil and type(entry[name]) ~= kind then return nil end
      end
    end
    return found
  end
end

local function is_over(entry, now) return (entry.expires or 0) > 0 and entry.expires <= now end

-- -> whether an entry forbids sending now.
local function forbids(entry, sender, tags, now)
  if (entry.times or 1) < (entry.needs or 1) or is_over(entry, now) then return false end
  local kind, name = string.match(entry.scope or 'all', '^(%a+):?(.*)$')
  if kind == 'sender' then return name == sender end
  if kind == 'tag' then return string.find(',' .. tags .. ',', ',' .. name .. ',', 1, true) ~= nil end
  return true
end

-- -> the entries of each of these numbers: JSON, or false; nil if the key of the list is no hash.
local function entries_of(numbers) return (of_table('HMGET', KEY.suppressed, unpack(numbers))) end

-- -> the first of these entries (JSON, or false) that forbids sending now, or nil. An unreadable row forbids.
local function forbidden(entries, sender, tags, now)
  if not entries then return nil end
  local found = entries_in(entries)
  if not found then return damaged_entry() end
  for _, entry in ipairs(found) do
    if forbids(entry, sender, tags, now) then return entry end
  end
end

-- -> the entries of a number, or nil if its row, or the whole list, is unreadable.
local function decoded(number)
  local row, is_damaged = of_table('HGET', KEY.suppressed, number)
  return not is_damaged and entries_in(row or '[]') or nil
end

-- Add an entry, or merge it into the one of the same source and scope; an expired entry is replaced. An unreadable row
-- forbids all: only an entry that does so, too, replaces it.
-- again  1 for a new occurrence, 0 for a repeated report
local function suppress(number, new, again)
  local entries, place = decoded(number), nil
  if not entries then
    if new.scope ~= 'all' or (new.expires or 0) > 0 or (new.times or 1) < (new.needs or 1) then return end
    entries = {}
  end
  for i, entry in ipairs(entries) do
    if entry.source == new.source and entry.scope == new.scope then place = i end
  end
  local old = place and not is_over(entries[place], new.last) and entries[place]
  if old then
    new.times = math.max((old.times or 1) + again, new.times)
    new.needs, new.first, new.last = old.needs, math.min(old.first or new.first, new.first), math.max(old.last or 0, new.last)
    if new.evidence == '' then new.evidence = old.evidence end
  end
  entries[place or #entries + 1] = new
  of_table('HSET', KEY.suppressed, number, cjson.encode(entries))
end

-- Remove the entries of a source and scope ('': any) from a number, except younger ones. Only the removal of all
-- entries, by a person, removes an unreadable row. -> how many
local function lift(number, source, scope, youngest)
  local entries, left = decoded(number), {}
  if not entries then
    local is_removed = (source == '' or source == DAMAGED_ENTRY) and not youngest
    return is_removed and of_table('HDEL', KEY.suppressed, number) or 0
  end
  for _, entry in ipairs(entries) do
    local meant = (source == '' or entry.source == source) and (scope == '' or entry.scope == scope)
    if not meant or (youngest and (entry.last or 0) > youngest) then left[#left + 1] = entry end
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
