-- Rows: rows of stored tables, which are JSON. What an unreadable row means, each table decides; see rows.py.

local is_plain, row_of
do
  local MOST_NUMBER = 9007199254740992  -- 2^53: greater ones are not exact, and infinity cannot be written again

  -- -> whether a value can be compared and written again: it has no number beyond the exact ones.
  function is_plain(value)
    local kind = type(value)
    if kind == 'number' then return value > -MOST_NUMBER and value < MOST_NUMBER end
    if kind == 'table' then
      for _, one in pairs(value) do
        if not is_plain(one) then return false end
      end
    end
    return true
  end

  -- -> a row as a table, or nil if it is unreadable.
  -- needed, optional  name of a field -> its type
  function row_of(text, needed, optional)
    local is_read, row = pcall(cjson.decode, text)
    if not is_read or type(row) ~= 'table' or not is_plain(row) then return nil end
    for name, kind in pairs(needed) do
      if type(row[name]) ~= kind then return nil end
    end
    for name, kind in pairs(optional or {}) do
      if row[name] ~= nil and type(row[name]) ~= kind then return nil end
    end
    return row
  end
end

-- Run a command on the key of a table. -> its reply; or nil and true if the key has another type
local function of_table(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then return nil, true end
  error(reply, 0)
end
