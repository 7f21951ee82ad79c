-- Owners: gateway ids that turned out to be of another message than the one whose acceptance had them; see poll.py.

local REMEMBERED_MS = 8 * 24 * 3600000

-- A report names another gateway id for a message than its acceptance did: a response was read for the wrong request.
local function note_owner(known_id, gateway_id, id)
  if not known_id or known_id == '' or gateway_id == '' or known_id == gateway_id then return end
  redis.call('HSET', KEY.owners, gateway_id, id)
  redis.call('PEXPIRE', KEY.owners, REMEMBERED_MS)
end
