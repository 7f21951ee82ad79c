-- Index: which ids stand in which sorted set; written for all messages of a script by its last act.

local indexed = {}

-- An id is to stand in a set with a score, or (without one) to leave it; the last word on it counts.
local function index(set, id, score)
  if not set then return end
  if not indexed[set] then indexed[set] = {} end
  indexed[set][id] = score or false
end

local AT_ONCE = 1000  -- ids of one command; Lua hands over no more than some 8,000 arguments

local function write_indexes()
  for set, ids in pairs(indexed) do
    local gone, there = {}, {}
    for id, score in pairs(ids) do
      if score then
        there[#there + 1] = score
        there[#there + 1] = id
      else
        gone[#gone + 1] = id
      end
    end
    for i = 1, #gone, AT_ONCE do redis.call('ZREM', set, unpack(gone, i, math.min(i + AT_ONCE - 1, #gone))) end
    for i = 1, #there, 2 * AT_ONCE do redis.call('ZADD', set, unpack(there, i, math.min(i + 2 * AT_ONCE - 1, #there))) end
  end
end
