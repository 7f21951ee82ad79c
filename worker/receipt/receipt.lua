-- PARTS move, owners
-- Apply status reports of the network to records. Safe to repeat and to reorder; creates no records.
-- The first final status wins; of the others, the furthest one and its charge. A final status that contradicts the
-- first adds a charge only if no other report has one.
-- KEYS  records   ARG  now, keep_ms, poll_ms (until its status is polled), reports
-- ->    for each 'moved', 'noted' (no move), 'repeated', 'late' (it ended before), 'never_sent' or 'unknown'; after a
--       space, its trace if it has one
local MOST_REPORTS, FINAL, answers = 2000, 4, {}
local FIELDS = fields(Field.attempt, Field.network, Field.sent, Field.gateway_id, Field.rank, Field.charge_rank,
  Field.reports, Field.gateway_due, Field.trace, unpack(PAID))
local now, came_at = ARG.now, written(ARG.now)

-- Record the charge of a message, and learn its country's price.
local function charged(record, known, charge)
  pay(record, known, charge)
  if charge > 0 and known.country then
    redis.call('HSET', KEY.prices, known.country, math.floor(charge / known.parts))
  end
end

-- The API reports no charges: assume the estimate, or nothing.
local function assume(record, known, assumed)
  if assumed == Assumed.nothing then
    if known.charge then pay(record, known, 0) end
  elseif not known.charge then
    pay(record, known, tonumber(known.estimate) or 0)
  end
end

each(ARG.reports, function(i, report)
  answers[i] = ReceiptResult.unknown
  local record, id, network, to = KEY.records[i], report[Reported.id], report[Reported.network], report[Reported.to]
  local charge, rank, assumed = report[Reported.charge], report[Reported.rank], report[Reported.assumed]
  local known, values = read(record, FIELDS), {}
  local function set(name, value)
    values[#values + 1] = name
    values[#values + 1] = value
  end
  local from, before = known.status, tonumber(known.rank) or 0
  local charged_at, reports = tonumber(known.charge_rank), known.reports or ''
  if not from then
    answers[i] = ReceiptResult.unknown
  elseif not known.attempt then
    answers[i] = ReceiptResult.never_sent
  else
    note_owner(known.gateway_id, report[Reported.gateway_id], id)
    if #reports < MOST_REPORTS then
      set(Field.reports, reports .. came_at .. ' ' .. report[Reported.text] .. '\n')
    end
    local weight = rank == FINAL and before == FINAL and network ~= known.network and -1 or rank
    if charge and weight >= (charged_at or weight) then
      set(Field.charge_rank, weight)
      charged(record, known, charge)
    end
    if to ~= '' and (rank > before or rank == before and rank < FINAL) then
      set(Field.network, network)
      set(Field.rank, rank)
    end
    if to == '' then
      answers[i] = ReceiptResult.noted
    elseif from == to then
      answers[i] = known.network == network and ReceiptResult.repeated or ReceiptResult.noted
    elseif not may(from, to) then
      answers[i] = ReceiptResult.late
    else
      local expected = math.max(now, tonumber(known.gateway_due) or 0)  -- later than now if the gateway schedules the message
      set(Field.gateway_id, report[Reported.gateway_id] ~= '' and report[Reported.gateway_id] or known.gateway_id or '')
      set(Field.sent, known.sent or came_at)
      if to ~= Status.sent then set(Field.ended, came_at) end
      move(record, id, known, to, to == Status.sent and expected + ARG.poll_ms or came_at, unpack(values))
      values = {}
      if to == Status.sent then
        drop(record, Field.ended)
        if known.lane == '1' then index(KEY.expected, id, since_of(record)) end
      end
      keep_for(record, ARG.keep_ms + expected - now)
      answers[i] = ReceiptResult.moved
    end
    if #values > 0 then write(record, unpack(values)) end
    if assumed ~= '' and not charge and not charged_at
      and (answers[i] == ReceiptResult.moved or from == Status.unknown and before < rank) then
      assume(record, known, assumed)
    end
  end
  if known.trace then answers[i] = answers[i] .. ' ' .. known.trace end
end, function(report) return report[Reported.id] end)
return moved(answers)
