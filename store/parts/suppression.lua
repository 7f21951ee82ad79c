-- PARTS rows, spellings
-- Suppression: the list of numbers that must not be sent to, MSISDN -> JSON list of entries; see suppression.py.
-- A person's entries are under the present spelling of the number. Those under a former one forbid as well: they are of
-- earlier versions, or copies for them.

local DAMAGED_ENTRY = 'unreadable'  -- the source of what stands for an unreadable row: nothing is sent to its number
local CONFIRMATION = '@stop-confirmation'  -- the producer of confirmations, a name that no producer can have
local damaged_entry, entries_in, row_with
do
  local ENTRY = {source = 'string', code = 'string'}
  local OF_ENTRY = {scope = 'string', evidence = 'string', first = 'number', last = 'number', expires = 'number',
    times = 'number', needs = 'number'}
  local DEFAULTS = {scope = 'all', evidence = '', expires = 0, times = 1, needs = 1}  -- those of suppression.py

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
      entry.scope = entry.scope or DEFAULTS['scope']
    end
    return found
  end

  -- -> the row for these entries; default values are left out, for memory.
  function row_with(entries)
    local short = {}
    for place, entry in ipairs(entries) do
      short[place] = {}
      for name, value in pairs(entry) do
        if value ~= DEFAULTS[name] then short[place][name] = value end
      end
    end
    return cjson.encode(short)
  end
end

local function is_over(entry, now) return (entry.expires or 0) > 0 and entry.expires <= now end

-- -> whether two scopes are the same: earlier versions stored them as they were written.
local function is_same(one, other)
  local function normal(scope) return (string.gsub(string.lower(scope or 'all'), '%s*:%s*', ':')) end
  return normal(one) == normal(other)
end

-- -> the entries of the person whom each of these numbers reaches: JSON, false, or a list of JSON if several spellings
-- have some; nil if the key of the list is no hash.
local function entries_of(numbers)
  local found = of_table('HMGET', KEY.suppressed, unpack(numbers))
  if not found then return nil end
  local others, places = {}, {}
  for i, number in ipairs(numbers) do
    if spelling.may_differ(number) then
      for _, other in ipairs(spelling.all(number)) do
        if other ~= number then others[#others + 1], places[#places + 1] = other, i end
      end
    end
  end
  for j, row in ipairs(#others > 0 and redis.call('HMGET', KEY.suppressed, unpack(others)) or {}) do
    local i = places[j]
    if row and type(found[i]) == 'table' then
      table.insert(found[i], row)
    elseif row then
      found[i] = found[i] and {found[i], row} or row
    end
  end
  return found
end

local forbidden
do
  -- -> whether an entry forbids sending a message of this sender, tags and lane now. A scope of an unknown kind, of a newer
  -- version, forbids all. Names are compared without case.
  local function forbids(entry, sender, tags, lane, now)
    if (entry.times or 1) < (entry.needs or 1) or is_over(entry, now) then return false end
    local kind, name = string.match(string.lower(entry.scope or 'all'), '^%s*(%a+)%s*:?%s*(.-)%s*$')
    sender = string.lower(sender)
    if kind == 'sender' then return name == sender end
    if kind == 'number' then return sender == '' or spelling.present(name) == spelling.present(sender) end
    if kind == 'tag' then return string.find(',' .. string.lower(tags) .. ',', ',' .. name .. ',', 1, true) ~= nil end
    if kind == 'lanes' then return string.find(',' .. name .. ',', ',' .. lane .. ',', 1, true) ~= nil end
    return true
  end

  -- -> the first of these entries (as entries_of returns them) that forbids sending now, or nil. An unreadable row forbids.
  -- What a STOP set does not stop the confirmation of a STOP.
  function forbidden(entries, sender, tags, lane, producer, now)
    if not entries then return nil end
    if type(entries) == 'table' then
      local first
      for _, row in ipairs(entries) do first = first or forbidden(row, sender, tags, lane, producer, now) end
      return first
    end
    local found = entries_in(entries)
    if not found then return damaged_entry() end
    for _, entry in ipairs(found) do
      local is_confirmed = producer == CONFIRMATION and entry.source == 'STOP'
      if not is_confirmed and forbids(entry, sender, tags, lane, now) then return entry end
    end
  end
end

-- -> the entries of a number, or nil if its row, or the whole list, is unreadable.
local function decoded(number)
  local row, is_damaged = of_table('HGET', KEY.suppressed, number)
  return not is_damaged and entries_in(row or '[]') or nil
end

local suppress
do
  -- Add an entry, or merge it into the one of the same source and scope; an expired entry is replaced. An unreadable row
  -- forbids all: only an entry that does so, too, replaces it.
  -- again  1 for a new occurrence, 0 for a repeated report
  local function suppress_row(number, new, again)
    local entries, place = decoded(number), nil
    if not entries then
      if new.scope ~= 'all' or (new.expires or 0) > 0 or (new.times or 1) < (new.needs or 1) then return end
      entries = {}
    end
    for i, entry in ipairs(entries) do
      if entry.source == new.source and is_same(entry.scope, new.scope) then place = i end
    end
    local old = place and not is_over(entries[place], new.last) and entries[place]
    if old then
      new.times = math.max((old.times or 1) + again, new.times)
      new.needs, new.first, new.last = old.needs, math.min(old.first or new.first, new.first), math.max(old.last or 0, new.last)
      if new.evidence == '' then new.evidence = old.evidence end
    end
    entries[place or #entries + 1] = new
    of_table('HSET', KEY.suppressed, number, row_with(entries))
  end

  local COPY_MS = 7 * 24 * 3600 * 1000  -- how long a copy is kept for workers of earlier versions

  -- Copy an entry to a former spelling, the only one that a worker of an earlier version looks for. An entry that is there
  -- already stays, unless it is a copy.
  local function copy_to_former(number, entry)
    for _, old in ipairs(decoded(number) or {}) do
      if old.source == entry.source and is_same(old.scope, entry.scope) and (old.expires or 0) == 0 then return end
    end
    local copy, ends = {}, entry.last + COPY_MS
    for name, value in pairs(entry) do copy[name] = value end
    copy.expires = (entry.expires or 0) > 0 and math.min(entry.expires, ends) or ends
    suppress_row(number, copy, 0)
  end

  -- Add an entry for the person whom a number reaches, as suppress_row does for a row.
  function suppress(number, new, again)
    local person, former = spelling.present(number), spelling.former(number)
    suppress_row(person, new, again)
    if again == 0 then return end  -- a list is imported when all workers are of this version
    for _, spelled in ipairs(former) do copy_to_former(spelled, new) end
  end
end

-- -> whether a number has an entry of a source and scope that is not over.
local function has_entry(number, source, scope, now)
  for _, entry in ipairs(decoded(spelling.present(number)) or {}) do
    if entry.source == source and is_same(entry.scope, scope) and not is_over(entry, now) then return true end
  end
  return false
end

local lift
do
  -- Remove the entries of a source and scope ('': any) from a row; if before is a time, only those of earlier times. Only
  -- the removal of all entries, by a person, removes an unreadable row. removed gets their sources and scopes
  local function lift_row(number, removed, source, scope, before)
    local entries, left = decoded(number), {}
    if not entries then
      local is_removed = (source == '' or source == DAMAGED_ENTRY) and not before
      if is_removed and of_table('HDEL', KEY.suppressed, number) == 1 then removed[DAMAGED_ENTRY] = true end
      return
    end
    for _, entry in ipairs(entries) do
      local meant = (source == '' or entry.source == source) and (scope == '' or is_same(entry.scope, scope))
      if not meant or (before and (entry.last or 0) >= before) then
        left[#left + 1] = entry
      else
        removed[entry.source .. '\n' .. entry.scope] = true
      end
    end
    if #left == 0 then
      redis.call('HDEL', KEY.suppressed, number)
    elseif #left < #entries then
      redis.call('HSET', KEY.suppressed, number, row_with(left))
    end
  end

  -- Remove entries of the person whom a number reaches, as lift_row does. -> how many; a copy counts as its entry
  function lift(number, source, scope, before)
    local removed, lifted = {}, 0
    for _, spelled in ipairs(spelling.all(number)) do lift_row(spelled, removed, source, scope, before) end
    for _ in pairs(removed) do lifted = lifted + 1 end
    return lifted
  end
end

-- Remove a number from the list, unless its entries changed since they were read. -> 1 or 0
local function forget(number, entries)
  if redis.call('HGET', KEY.suppressed, number) ~= entries then return 0 end
  return redis.call('HDEL', KEY.suppressed, number)
end
