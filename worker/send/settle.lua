-- PARTS move, suppression, holds
-- Record the results of attempts. Only the holder of a message's token may; settling ends the token.
-- KEYS  records   ARG  now, assumes (the API reports no charges), holds, settlements
-- ->    for each settlement 1, or 0 when the message has another token: it was settled elsewhere
local answers, FIELDS = {}, fields(Field.token, Field.to, Field.waits)
if ARG.assumes then FIELDS = fields(Field.token, Field.to, Field.waits, unpack(PAID)) end

for _, one in ipairs(ARG.holds) do put_on_hold(one[Holding.scope], one[Holding.hold]) end
for i, one in ipairs(ARG.settlements) do
  local id, to, values = one[Settling.id], one[Settling.to], one[Settling.values]
  local record, wait = KEY.records[i], one[Settling.wait]
  local known = read(record, FIELDS)
  if wait ~= '' then
    values[#values + 1] = Field.waits
    values[#values + 1] = (known.waits and known.waits .. ' ' or '') .. wait
  end
  answers[i] = 0
  if known.token == one[Settling.token]
    and move(record, id, known, to, one[Settling.score], Field.attempt, one[Settling.attempt], unpack(values)) then
    local keep_ms, counts, entry, late_at = one[Settling.keep_ms], one[Settling.counts], one[Settling.entry], one[Settling.late_at]
    answers[i] = 1
    if keep_ms > 0 then keep_for(record, keep_ms) end
    if counts ~= '' then count(counts) end
    if entry ~= '' then suppress(known.to, cjson.decode(entry), 1) end
    if late_at > 0 then index(KEY.late, id, late_at) end
    if to == Status.sent and ARG.assumes then pay(record, known, tonumber(known.estimate) or 0) end
  else
    count(Count.stale_settle)
  end
end
return moved(answers)
