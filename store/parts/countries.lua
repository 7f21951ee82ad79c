-- PARTS rows
-- Countries: the first message to each country that messages are sent to; see store/countries.py.

local LEARNING, LEARNING_MS = '*', 604800000  -- 7 days from the first message of all

-- Note an accepted message to a country. -> whether it is the first one there, and neither learned nor allowed
local function is_first(country, producer)
  local known, is_damaged = of_table('HEXISTS', KEY.countries, country)
  if is_damaged or known == 1 then return false end
  local ends = tonumber(redis.call('HGET', KEY.countries, LEARNING) or '')
  if not ends then
    ends = ARG.now + LEARNING_MS
    redis.call('HSETNX', KEY.countries, LEARNING, string.format('%d', ends))
  end
  local is_learned = ARG.now < ends or of_table('HEXISTS', KEY.prices, country) == 1  -- it was charged for before
  redis.call('HSETNX', KEY.countries, country,
    cjson.encode({first = ARG.now, producer = producer, state = is_learned and 'learned' or 'new'}))
  return not is_learned
end
