-- PARTS record, rows
-- Shares: what a producer takes of what all share: the messages that wait, and the distinct cost centres that are counted.

local MOST_CENTRES, MOST_OF_PRODUCER = 1000, 200  -- cost centres with counts of their own
local MOST_KEPT = 1000  -- producers without waiting messages
local OTHER = '(other)'  -- counts the credits of all further ones; no cost centre can have this name
local ALL, UNNAMED = '*', '-'  -- in the hash of what waits; no producer can have these names

local function named(producer) return producer and producer ~= '' and producer or UNNAMED end

local waiting_more = {}

-- Count a message that waits to be sent, or (-1) that no longer does.
local function note_share(producer, more)
  local name = named(producer)
  waiting_more[name] = (waiting_more[name] or 0) + more
  waiting_more[ALL] = (waiting_more[ALL] or 0) + more
end

-- A producer without waiting messages stays, among at most MOST_KEPT, to show that there are several. A worker of an
-- earlier version counts nothing: a count below 0 is 0.
local function write_shares()
  for name, more in pairs(waiting_more) do
    local left = more ~= 0 and redis.pcall('HINCRBY', KEY.stored, name, more)
    if type(left) == 'table' then  -- a damaged count begins again: it decides only when memory is short
      redis.call('HSET', KEY.stored, name, math.max(more, 0))
    elseif left and left <= 0 then
      if redis.call('HLEN', KEY.stored) > MOST_KEPT then
        redis.call('HDEL', KEY.stored, name)
      else
        redis.call('HSET', KEY.stored, name, 0)
      end
    end
  end
end

local function waits_for(name) return (tonumber(redis.call('HGET', KEY.stored, name)) or 0) + (waiting_more[name] or 0) end

-- -> whether more than half of all messages that wait are this producer's, and there are others.
local function has_most(producer)
  return redis.call('HLEN', KEY.stored) > 2 and 2 * waits_for(named(producer)) > waits_for(ALL)
end

local ledgers = {}

-- -> the name under which the credits of a cost centre are counted: its own, or OTHER for one too many.
local function ledger_of(centre, producer, lane)
  if ledgers[centre] then return ledgers[centre] end
  local owner, found = 'producer:' .. named(producer), centre
  if redis.call('HEXISTS', KEY.centres, 'centre:' .. centre) == 0 then
    local mine = tonumber(redis.call('HGET', KEY.centres, owner)) or 0
    local is_counted = redis.call('HEXISTS', KEY.tally, Count.charged .. lane .. ':' .. centre) == 1
      or of_table('HEXISTS', KEY.budgets, 'centre:' .. centre .. ':day') == 1
      or of_table('HEXISTS', KEY.budgets, 'centre:' .. centre .. ':month') == 1
    if is_counted then
      found = centre
    elseif mine >= MOST_OF_PRODUCER or redis.call('HLEN', KEY.centres) >= MOST_CENTRES then
      found = OTHER
    else
      redis.call('HSET', KEY.centres, 'centre:' .. centre, ARG.now)
      redis.call('HINCRBY', KEY.centres, owner, 1)
    end
  end
  ledgers[centre] = found
  return found
end
