-- PARTS readable
-- Record: the only access to the record of a message, a hash with a field for each value; reading checks each value.

-- -> a number as text; converting once per script costs less than at each call.
local function written(number) return string.format('%d', number) end

-- -> the named fields of a record; an absent field is nil.
local function read(record, names)
  local known, values = {}, redis.call('HMGET', record, unpack(names))
  for i = 1, #names do known[names[i]] = values[i] or nil end
  return readable(known, names)
end

-- -> all fields of a record as they are stored, unchecked.
local function read_raw(record)
  local known, found = {}, redis.call('HGETALL', record)
  for i = 1, #found, 2 do known[found[i]] = found[i + 1] end
  return known
end

-- -> the values of the named fields as they are stored, unchecked; nil for what is no record.
local function list_raw(record, names)
  local is_hash, values = pcall(redis.call, 'HMGET', record, unpack(names))
  return is_hash and values or nil
end

-- -> all fields of a record; costs less than `read` if most of them are needed.
local function read_whole(record) return all_readable(read_raw(record)) end

-- -> the values of the named fields, as a list; an absent field is false.
local function read_list(record, names)
  local known, values = read(record, names), {}
  for i = 1, #names do values[i] = known[names[i]] or false end
  return values
end

-- -> one of its fields, or nil.
local function read_one(record, name) return read(record, {name})[name] end

-- Write fields: name, value ...
local function write(record, ...) redis.call('HSET', record, ...) end

-- Write a field unless it has a value. -> whether it was written
local function write_first(record, name, value) return redis.call('HSETNX', record, name, value) == 1 end

-- Add one to a field. -> its new value
local function add_one(record, name) return redis.call('HINCRBY', record, name, 1) end

local function drop(record, ...) redis.call('HDEL', record, ...) end

-- Let the record expire after a time in ms.
local function keep_for(record, ms) redis.call('PEXPIRE', record, ms) end

local function keep(record) redis.call('PERSIST', record) end

-- -> the type of the key of a record: hash, none, or another one, which is no record; TYPE is in no older ACL.
local function kind_of(record)
  local is_hash, length = pcall(redis.call, 'HLEN', record)
  if is_hash then return length > 0 and 'hash' or 'none' end
  for kind, read_one in pairs({string = {'GET', record}, zset = {'ZRANGE', record, 0, 0}}) do
    if pcall(redis.call, unpack(read_one)) then return kind end
  end
  return 'of another type'
end

-- -> why a record is unreadable, by the error of a script; nil if that is another error.
local function why_unreadable(failed, record)
  local text = type(failed) == 'table' and failed.err or tostring(failed)
  local why = string.match(text, '^UNREADABLE (.+)$')
  if why or not string.find(text, 'WRONGTYPE', 1, true) then return why end
  local kind = kind_of(record)
  return kind ~= 'hash' and kind ~= 'none' and 'the key is no hash: ' .. kind or nil
end

-- -> the start of what a key of another type holds.
local function content_of(record, kind)
  if kind == 'string' then return redis.call('GET', record) end
  if kind == 'zset' then return table.concat(redis.call('ZRANGE', record, 0, 9), ' ') end
  return ''
end

local function delete(record) redis.call('DEL', record) end
