-- Index: changes of the sorted sets, collected for all messages and written at the end of a script.

local indexed = {}

-- Add an id to a set with a score, or without a score remove it; the last call for an id counts.
local function index(set, id, score)
  if not set then return end
  if not indexed[set] then indexed[set] = {} end
  indexed[set][id] = score or false
end

local BATCH = 1000  -- ids of one command; Lua passes at most some 8,000 arguments

local function write_indexes()
  for set, ids in pairs(indexed) do
    local removed, added = {}, {}
    for id, score in pairs(ids) do
      if score then
        added[#added + 1] = score
        added[#added + 1] = id
      else
        removed[#removed + 1] = id
      end
    end
    for i = 1, #removed, BATCH do redis.call('ZREM', set, unpack(removed, i, math.min(i + BATCH - 1, #removed))) end
    for i = 1, #added, 2 * BATCH do redis.call('ZADD', set, unpack(added, i, math.min(i + 2 * BATCH - 1, #added))) end
  end
end
