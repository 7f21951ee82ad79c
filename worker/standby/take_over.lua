-- PARTS move
-- Take over messages that wait in an account which cannot send them, for the account that stands by: each once, and only
-- what the gateway of its account certainly does not have. They are queued at once, with the age that they have.
-- The script runs in the space of the account that has them; the indexes of the other account are keys of their own. A
-- message leaves the indexes of the one and enters those of the other in the same step.
-- KEYS  queued_there, waiting_there, tally_there, records
-- ARG   now, lane, former (the name of their account), name (of the stand-by), new_account (the same, as records have it),
--       of_account (the schema of a message that names an account), why, offers
-- ->    for each 1, or 0 when it stays where it is
local MAY_BE_THERE = {Field.unsure, Field.resent, Field.returned, Field.former_id, Field.gateway_id, Field.sent,
  Field.network, Field.reports, Field.charge, Field.lapses, Field.doubted, Field.retry, Field.probes, Field.damaged}
local ATTEMPTED = {Field.attempt, Field.first, Field.redriven}
local FIELDS = fields(Field.stand_by, Field.schema, Field.batch, unpack(MAY_BE_THERE))
for _, name in ipairs(ATTEMPTED) do FIELDS[#FIELDS + 1] = name end
local RETRY = ':' .. Cause.retry .. ':'

local answers, there = {}, {}
local function count_there(name, n) there[name] = (there[name] or 0) + n end

local function has_any(known, names)
  for _, name in ipairs(names) do
    if known[name] then return true end
  end
  return false
end

-- -> whether the gateway of its account certainly does not have a message. The attempts of earlier versions, which leave
--    messages of this schema alone, noted no doubt.
local function is_unsent(known)
  if has_any(known, MAY_BE_THERE) then return false end
  return (tonumber(known.schema) or 1) >= ARG.of_account or not has_any(known, ATTEMPTED)
end

-- -> whether it waits for a worker, or for the retry of an attempt; and not for a time, for its window, or for a person.
local function waits(known)
  if known.cancel or pause.of(known.producer, known.batch) then return false end
  return known.status == Status.queued
    or known.status == Status.scheduled and known.waiting and string.find(known.waiting, RETRY, 1, true)
end

-- The other account has prices of its own: budgets, and the sum of the estimates of each account, follow.
local function estimate_again(record, known, estimate)
  local before = tonumber(known.estimate) or 0
  if before ~= 0 then count_of(Count.committed, known.lane, -before) end
  if estimate ~= 0 then count_there(Count.committed .. known.lane, estimate) end
  if estimate == before then return end
  if estimate ~= 0 then write(record, Field.estimate, written(estimate)) else drop(record, Field.estimate) end
  if known.period then budget(record, known.status) end
end

each(ARG.offers, function(i, one)
  answers[i] = 0
  local id, record = one[Offer.id], KEY.records[i]
  local known = read(record, FIELDS)
  if known.lane ~= ARG.lane or known.stand_by ~= ARG.name or not is_own(known) or not waits(known)
    or not is_unsent(known) then return end
  local note = string.format('%s:%s:%013d', known.lane, Cause.requeued, since_of(record))
  index(index_of(known.status, known.lane), id)
  forget_wait(record, id, known)
  estimate_again(record, known, one[Offer.estimate])
  if known.status ~= Status.queued then count_there(Count.to .. known.lane .. ':' .. Status.queued, 1) end
  index(KEY.waiting_there, note .. ':' .. id, 0)
  index(KEY.queued_there, id, ARG.now)
  local attempts = known.attempt or '0'
  write(record, Field.status, Status.queued, Field.waiting, note, Field.schema, ARG.of_account,
    Field.diverted, string.format('%s %s %d %s', ARG.former, attempts, ARG.now, ARG.why))
  if ARG.new_account ~= '' then write(record, Field.account, ARG.new_account) else drop(record, Field.account) end
  drop(record, Field.stand_by)
  count_of(Count.diverted .. known.lane .. ':', ARG.why)
  count_there(Count.taken_over .. known.lane .. ':' .. ARG.why, 1)
  answers[i] = 1
end, function(one) return one[Offer.id] end)
for name, n in pairs(there) do redis.call('HINCRBY', KEY.tally_there, name, n) end
return moved(answers)
