-- Rewrite rows of a batch that it still has: their outcomes, or their tags; what is beside them stays.
-- KEYS  rows   ARG  changes ('': the part stays)
-- ->    how many rows were rewritten
local TAG_OCTETS, rewritten = 6, 0
for _, change in ipairs(ARG.changes) do
  local value = redis.call('HGET', KEY.rows, change[RowChange.id])
  if value then
    local tag, outcome = change[RowChange.tag], change[RowChange.outcome]
    if tag == '' then tag = string.sub(value, 1, TAG_OCTETS) end
    if outcome == '' then outcome = string.sub(value, TAG_OCTETS + 1) end
    redis.call('HSET', KEY.rows, change[RowChange.id], tag .. outcome)
    rewritten = rewritten + 1
  end
end
return rewritten
