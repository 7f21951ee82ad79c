-- Bucket: a token bucket that several processes share.

local BEHIND_MS = 10000  -- by which clocks may differ: a time that is further ahead was a mistake

-- -> what a bucket holds now, and the time to write with it. Whoever's clock is behind another's does not fill it twice
--    for the next one.
local function refill(left, at, now, a_second, most)
  left, at = tonumber(left) or most, tonumber(at) or now
  left = math.min(most, left + math.max(0, now - at) * a_second / 1000)
  if at < now or at > now + BEHIND_MS then at = now end
  return left, at
end

-- -> ms until a bucket has what it lacks.
local function wait_for(lacks, a_second) return math.ceil(lacks * 1000 / a_second) end
