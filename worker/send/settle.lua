-- PARTS move, suppression, evidence, owners
-- Record the results of attempts, and what they show of the account, senders and prefixes. Only the holder of a message's
-- token may; settling ends the token.
-- KEYS  records, texted (marks of who texted a person; as many)
-- ARG   now, assumes (the API reports no charges), is_near (the memory ceiling: what is sent keeps no text), holds,
--       settlements
-- ->    for each settlement 1, 2 when it was cancelled meanwhile and is not tried again, or 0 when the message has another
--       token: it was settled elsewhere; the scopes that are on
--       hold from now; the scopes that no longer are
local answers, read_fields = {}, {Field.token, Field.to, Field.waits, Field.gateway_id, Field.former_id,
  Field.unsure}
local is_watched = #ARG.holds > 0 or how_many() > 0 or of_table('HLEN', KEY.holds) ~= 0
if is_watched then
  read_fields[#read_fields + 1] = Field.country
  read_fields[#read_fields + 1] = Field.producer
end
local FIELDS = fields(unpack(read_fields))
if ARG.assumes then FIELDS = fields(Field.token, Field.to, Field.waits, Field.gateway_id, Field.former_id, Field.unsure, unpack(PAID)) end

-- A bad end came before this response, and was not taken for that of this attempt: it is, and the next poll finds it.
-- -> when to poll, if it is so; else the given time
local function claim_end(record, known, one)
  local is_its_own = known.former_id and one[Settling.to] == Status.sent and one[Settling.gateway_id] == known.former_id
  if not is_its_own then return one[Settling.score] end
  drop(record, Field.former_id, Field.former_status, Field.former_charge)
  known.former_id, known.former_charge = nil, nil
  return ARG.now
end

-- Also for a message that a receipt settled first: its recipient may reply to it all the same.
local function note_texted(i, one)
  local key = KEY.texted[i]
  if of_table('HSET', key, one[Settling.mark], one[Settling.producer]) == 1 and redis.call('HLEN', key) == 1 then
    redis.call('PEXPIRE', key, one[Settling.mark_ms])
  end
end

each(ARG.settlements, function(i, one)
  answers[i] = 0
  if one[Settling.mark] ~= '' then note_texted(i, one) end
  local id, to, values = one[Settling.id], one[Settling.to], one[Settling.values]
  local record, wait = KEY.records[i], one[Settling.wait]
  local known = read(record, FIELDS)
  if wait ~= '' then
    values[#values + 1] = Field.waits
    values[#values + 1] = (known.waits and known.waits .. ' ' or '') .. wait
  end
  if known.token == one[Settling.token]
    and move(record, id, known, to, claim_end(record, known, one), Field.attempt, one[Settling.attempt], unpack(values)) then
    local keep_ms, counts, entry, since = one[Settling.keep_ms], one[Settling.counts], one[Settling.entry], one[Settling.expected]
    local is_cancelled = known.status == Status.cancelled and to ~= Status.cancelled
    answers[i] = is_cancelled and 2 or 1
    if known.unsure == one[Settling.token] and one[Settling.is_unsent] then drop(record, Field.unsure) end
    if keep_ms > 0 and not is_cancelled then keep_for(record, keep_ms) end
    if counts ~= '' and not is_cancelled then count(counts) end
    if entry ~= '' then suppress(known.to, cjson.decode(entry), 1) end
    if since > 0 then index(KEY.expected, id, since) end  -- producers of earlier versions do not
    if to == Status.sent and ARG.is_near then drop(record, Field.body) end
    if to == Status.sent and ARG.assumes then pay(record, known, tonumber(known.estimate) or 0) end
    if to == Status.sent and is_watched then
      accepted(one[Settling.sender], known.country, known.to or '', one[Settling.claimed_at], known.producer)
    end
  else
    count(Count.stale_settle)
    if to == Status.sent and known.gateway_id then note_owner(one[Settling.gateway_id], known.gateway_id, id) end
  end
end, function(one) return one[Settling.id] end)

for _, one in ipairs(ARG.holds) do  -- after all acceptances of the same moment
  if one[Holding.scope] == ACCOUNT or string.find(one[Holding.scope], '^credentials') then
    hold_account(one, KEY.records[one[Holding.place]])
  elseif answers[one[Holding.place]] > 0 then
    local known = read(KEY.records[one[Holding.place]], {Field.to, Field.producer})
    infer(one, known.to, known.producer)
  end
end
write_suspects()
return moved({answers, placed, lifted})
