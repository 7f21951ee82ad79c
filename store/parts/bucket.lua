-- Bucket: a token bucket that several processes share.

local BEHIND_MS = 10000  -- most difference between clocks; a time further ahead is an error

-- -> the tokens of a bucket now, and the time to write with them. A clock that is behind does not refill it twice.
local function refill(left, at, now, a_second, most)
  left, at = tonumber(left) or most, tonumber(at) or now
  left = math.min(most, left + math.max(0, now - at) * a_second / 1000)
  if at < now or at > now + BEHIND_MS then at = now end
  return left, at
end

-- -> ms until a bucket has this many more tokens.
local function wait_for(lacks, a_second) return math.ceil(lacks * 1000 / a_second) end
