-- PARTS record
-- Repair: makes a record readable again: what cannot be read moves into one field, with escapes, for an operator.

local MOST_OF_A_VALUE, MOST_OF_ALL = 2000, 8000  -- bytes that are kept

local function escaped(value)
  return (string.gsub(string.gsub(string.sub(value, 1, MOST_OF_A_VALUE), '\\', '\\\\'), '[^\32-\126]',
    function(one) return string.format('\\x%02x', string.byte(one)) end))
end

-- Take out what of a record cannot be read, and restore what is needed from the body, or from the index that had it.
-- taken  the name of a field that is unreadable by a check outside this script
-- -> its fields, and what was wrong ('' if nothing was); nil if there is no record
local function repair(record, status, lane, taken)
  local kind = kind_of(record)
  if kind == 'none' then return nil, '' end
  local known, kept, faults = {}, {}, {}
  local function fault(text, value)
    faults[#faults + 1] = text
    if value then kept[#kept + 1] = text .. '=' .. escaped(value) end
  end
  if kind == 'hash' then
    known = read_raw(record)
  else
    fault('the key is no hash: ' .. kind, string.sub(content_of(record, kind), 1, MOST_OF_A_VALUE))
    delete(record)
  end
  local names, gone = {}, {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  local sms = {}
  local is_read, body = pcall(cjson.decode, known.body or '{}')
  if is_read and type(body) == 'table' and taken ~= Field.body then sms = body end
  for _, name in ipairs(names) do
    local is_body = name == Field.body and sms ~= body
    if is_body or name == taken or not fits(name, known[name]) then
      fault(name, known[name])
      drop(record, name)
      known[name], gone[name] = nil, true
    end
  end
  local before = known.status or status
  for name in pairs(NEEDED) do
    if kind == 'hash' and not known[name] and not gone[name] and is_missing(name, before) then fault('no ' .. name) end
  end
  if #faults == 0 then return known, '' end
  local function restore(name, ...)
    for i = 1, select('#', ...) do
      local value = select(i, ...)
      value = type(value) == 'number' and string.format('%d', value) or value
      if not known[name] and type(value) == 'string' and fits(name, value) then
        known[name] = value
        write(record, name, value)
      end
    end
  end
  if known.first or known.sent or known.gateway_id then restore(Field.status, status or Status.in_doubt) end
  restore(Field.status, status or Status.dead)
  restore(Field.lane, sms.lane, lane, '3')
  restore(Field.expires, sms.expires_at, ARG.now)
  restore(Field.accepted, ARG.now)
  restore(Field.parts, sms.parts, 1)
  if not known.erased then restore(Field.to, sms.to) end
  write(record, Field.damaged, string.sub((known.damaged and known.damaged .. '\n' or '') .. table.concat(kept, '\n'), 1, MOST_OF_ALL))
  return known, table.concat(faults, ', ')
end
