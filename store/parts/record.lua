-- Record: the one place that knows how the record of a message is kept: a hash with a field for each of its values.

-- -> a number as it is written down: done once for a script, it costs less than each time that it is handed over.
local function written(number) return string.format('%d', number) end

-- -> the named fields of a record; what it has not is nil.
local function read(record, names)
  local known, values = {}, redis.call('HMGET', record, unpack(names))
  for i = 1, #names do known[names[i]] = values[i] or nil end
  return known
end

-- -> the same of all its fields: it costs less where most of them are wanted.
local function read_whole(record)
  local known, found = {}, redis.call('HGETALL', record)
  for i = 1, #found, 2 do known[found[i]] = found[i + 1] end
  return known
end

-- -> the same as a list, without their names; what it has not is false.
local function read_list(record, names) return redis.call('HMGET', record, unpack(names)) end

-- -> one of its fields, or nil.
local function read_one(record, name) return redis.call('HGET', record, name) or nil end

-- Write fields: name, value ...
local function write(record, ...) redis.call('HSET', record, ...) end

-- -> whether the field had no value before.
local function write_first(record, name, value) return redis.call('HSETNX', record, name, value) == 1 end

local function add_one(record, name) redis.call('HINCRBY', record, name, 1) end

local function drop(record, ...) redis.call('HDEL', record, ...) end

-- Forget the record after a time in ms.
local function keep_for(record, ms) redis.call('PEXPIRE', record, ms) end

local function keep(record) redis.call('PERSIST', record) end
