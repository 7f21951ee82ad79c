-- Record: the only access to the record of a message, a hash with a field for each value.

-- -> a number as text; converting once per script costs less than at each call.
local function written(number) return string.format('%d', number) end

-- -> the named fields of a record; an absent field is nil.
local function read(record, names)
  local known, values = {}, redis.call('HMGET', record, unpack(names))
  for i = 1, #names do known[names[i]] = values[i] or nil end
  return known
end

-- -> all fields of a record; costs less than `read` if most of them are needed.
local function read_whole(record)
  local known, found = {}, redis.call('HGETALL', record)
  for i = 1, #found, 2 do known[found[i]] = found[i + 1] end
  return known
end

-- -> the values of the named fields, as a list; an absent field is false.
local function read_list(record, names) return redis.call('HMGET', record, unpack(names)) end

-- -> one of its fields, or nil.
local function read_one(record, name) return redis.call('HGET', record, name) or nil end

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
