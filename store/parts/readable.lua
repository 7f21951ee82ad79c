-- Readable: whether a record can be read, decided here for every script, by the tables of record.py.
-- record.lua raises what `refuse` builds; guard.lua catches it, and move.lua sets the message aside.

local STATES = Table.may_follow

-- -> whether bytes are UTF-8; text of ASCII alone costs one search.
local function is_text(value)
  if not string.find(value, '[\128-\255]') then return true end
  local left = value
  for _, sequence in ipairs({'[\240][\144-\191][\128-\191][\128-\191]', '[\241-\243][\128-\191][\128-\191][\128-\191]',
    '[\244][\128-\143][\128-\191][\128-\191]', '[\224][\160-\191][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
    '[\237][\128-\159][\128-\191]', '[\194-\223][\128-\191]'}) do
    left = string.gsub(left, sequence, ' ')
  end
  return not string.find(left, '[\128-\255]')
end

local FITS = {
  status = function(value) return STATES[value] ~= nil end,
  lane = function(value) return value == '1' or value == '2' or value == '3' end,
  number = function(value) return #value <= 15 and string.find(value, '^%-?%d+$') ~= nil end,
  digits = function(value) return #value <= 20 and string.find(value, '^%d+$') ~= nil end,
  waits = function(value)
    for one in string.gmatch(value, '[^ ]+') do
      if not string.find(one, '^%d+%.?%d*$') then return false end
    end
    return true
  end,
  waiting = function(value) return string.find(value, '^%d:[%a_]+:%d+$') ~= nil end,
  paused = function(value) return #value > 41 and string.find(value, '^%x+:%d:%d+$') ~= nil end,
  reports = function(value) return value == '' or string.find(value, '^%d+ ') ~= nil and is_text(value) end,
  cancel = function(value) return string.find(value, '^%d+ %d+$') ~= nil end,
  body = function(value) return string.sub(value, 1, 1) == '{' end,
  text = is_text,
}
local SHAPES, NEEDED, BEFORE_SENT, STORED = Table.shapes, Table.needed, Table.before_sent, Table.stored

local function fits(name, value)
  local shape = SHAPES[name]
  return not shape or shape(value)
end

-- Raise that a record is unreadable; `guard` isolates its message.
local function refuse(why) error('UNREADABLE ' .. why, 0) end

local function is_missing(name, status)
  return NEEDED[name] == 'always' or NEEDED[name] == 'until_sent' and BEFORE_SENT[status]
end

-- Give a record that was read the state that it is in, if another one is stored for it.
local function with_state(known)
  if known.paused and known.status == STORED[Status.paused] then known.status = Status.paused end
  return known
end

-- Raise unless the fields `names` of a record, as far as it has them, can be read. -> them
local function readable(known, names)
  local status, reads_status, found = known[Field.status], false, false
  for i = 1, #names do
    local name = names[i]
    local value = known[name]
    if value then
      found = true
      if not fits(name, value) then refuse(name .. ' is not readable') end
    end
    if name == Field.status then reads_status = true end
  end
  if status then
    for i = 1, #names do
      if not known[names[i]] and is_missing(names[i], status) then refuse(names[i] .. ' is missing') end
    end
  elseif reads_status and found then
    refuse('status is missing')
  end
  return with_state(known)
end

-- The same for all fields of a record.
local function all_readable(known)
  local status = known[Field.status]
  for name, value in pairs(known) do
    if not fits(name, value) then refuse(name .. ' is not readable') end
  end
  if not status and next(known) then refuse('status is missing') end
  for name in pairs(NEEDED) do
    if status and not known[name] and is_missing(name, status) then refuse(name .. ' is missing') end
  end
  return with_state(known)
end
