-- PARTS move, evidence, owners
-- Apply status reports of the network to records. Safe to repeat and to reorder; creates no records.
-- The first final status wins; of the others, the furthest one and its charge. A final status that contradicts the
-- first adds a charge only if no other report has one.
-- A message that the gateway accepted, and then refused for the account (no credit, a limit), returns to its lane under
-- the hold of that cause: once, while it is valid, and if no other attempt at it may have been accepted. From then on,
-- what carries the gateway's id of that attempt, or none, changes only what that attempt cost.
-- A message that was sent again from doubt may have two copies: what carries another id than that of the attempt which
-- counts changes only what the other copy cost, unless it says that the other copy is delivered.
-- A report of a message of another account changes nothing: two accounts may give the same id. One that left this account,
-- unsent as it seemed, is counted: then this gateway had it all the same.
-- KEYS  records
-- ARG   now, default (the name of the default account), keep_ms, poll_ms (until its status is polled), holds (`place`: of
--       its report), reports
-- ->    for each 'moved', 'returned', 'noted' (no move), 'repeated', 'late' (it ended before), 'earlier' (of the attempt
--       before), 'never_sent', 'left' (its stand-by took it over), 'other_account' or 'unknown'; after a space, its trace
--       if it has one; and the scopes that are on hold now
local MOST_REPORTS, FINAL, answers = 2000, 4, {}
local FIELDS = fields(Field.attempt, Field.network, Field.sent, Field.gateway_id, Field.rank, Field.charge_rank,
  Field.reports, Field.gateway_due, Field.trace, Field.former_id, Field.former_status, Field.resent, Field.diverted, unpack(PAID))
local OF_RETURN = {Field.expires, Field.redriven, Field.body, Field.to}
local FORMER = (ARG.account ~= '' and ARG.account or ARG.default) .. ' '
local TO_LANE = {[Status.sending] = true, [Status.in_doubt] = true, [Status.sent] = true, [Status.scheduled] = true}
local WAITS = {[Status.queued] = true, [Status.paused] = true}
local now, came_at, holds = ARG.now, written(ARG.now), {}
for _, one in ipairs(ARG.holds) do holds[one[Holding.place]] = one end

-- Record the charge of a message, and learn its country's price.
local function charged(record, known, charge)
  pay(record, known, charge)
  if charge > 0 and known.country then
    redis.call('HSET', KEY.prices, known.country, math.floor(charge / known.parts))
  end
end

-- The API reports no charges: assume the estimate, or nothing.
local function assume(record, known, assumed)
  local own = last_charge(known)
  if assumed == Assumed.nothing then
    if own then pay(record, known, 0) end
  elseif not own then
    pay(record, known, tonumber(known.estimate) or 0)
  end
end

-- -> the gateway's id of the attempt that a report ended, if its message may return; else nil.
local function returning(record, known, report)
  if report[Reported.code] == '' or known.former_id then return nil end
  if not TO_LANE[known.status] and not WAITS[known.status] then return nil end
  local more = read(record, OF_RETURN)
  local is_only = tonumber(known.attempt) == 1 and not more.redriven
  local its_id, known_id = report[Reported.gateway_id], known.gateway_id or ''
  local is_known = known_id ~= '' and its_id == known_id
  if is_only and (its_id == '' or known_id == '') then
    its_id = its_id .. known_id
    is_known = its_id ~= ''
  end
  local is_sendable = more.body and more.to and tonumber(more.expires) > now and not known.resent
  return is_known and is_sendable and its_id or nil
end

-- Put a message back into its lane, unless it waits there for its next attempt, or its batch is paused.
local function put_back(record, id, known, report, its_id)
  if report[Reported.assumed] == Assumed.estimate and not known.charge then
    assume(record, known, report[Reported.assumed])
  end
  write(record, Field.returned, came_at, Field.former_id, its_id, Field.former_status, report[Reported.network],
    Field.code, report[Reported.code], Field.reason, report[Reported.reason], Field.owner, Owner.operator)
  if known.charge then write(record, Field.former_charge, written(known.charge)) end
  drop(record, Field.gateway_id, Field.sent, Field.network, Field.rank, Field.charge_rank, Field.asks, Field.probes,
    Field.doubted, Field.retry)
  count_of(Count.returned, known.lane .. ':' .. report[Reported.code])
  if WAITS[known.status] then
    if known.period then budget(record, known.status) end
  else
    move_because(Cause.requeued, record, id, known, Status.queued, now)
  end
  if is_final(known.status) then return end  -- it was cancelled
  keep(record)
  if known.lane == '1' and not read_one(record, Field.late) then index(KEY.expected, id, since_of(record)) end
end

-- Apply a report of the attempt before the last: only its charge counts.
local function of_former(record, known, report)
  local charge = report[Reported.charge]
  if not charge or report[Reported.gateway_id] ~= known.former_id then return end
  if not known.former_charge or not known.former_status or report[Reported.network] == known.former_status then
    pay_former(record, known, charge)
  end
end

-- -> whether a report of a message that was sent again from doubt is of the copy that does not count. While neither
--    gateway id is known, a bad end may be of either copy, and is not taken for that of the attempt under way.
local function is_of_other_copy(known, report)
  if not known.resent then return false end
  local its_id, is_final_report = report[Reported.gateway_id], report[Reported.rank] == FINAL
  if known.gateway_id and known.gateway_id ~= '' then return its_id ~= known.gateway_id end
  if its_id ~= '' and its_id == known.former_id then return true end
  if known.former_id or report[Reported.to] == Status.delivered then return false end
  return known.status == Status.sending or known.status == Status.in_doubt and is_final_report
end

-- Apply a report of the copy that does not count: its charge, and its id and end, by which further ones are known.
local function of_other_copy(record, known, report)
  local its_id, is_final_report = report[Reported.gateway_id], report[Reported.rank] == FINAL
  local is_new = not known.former_id and its_id ~= ''
  if is_new and (is_final_report or known.gateway_id and known.gateway_id ~= '') then
    known.former_id = its_id
    write(record, Field.former_id, its_id)
  end
  if its_id == '' or its_id ~= known.former_id then return end
  if is_final_report and not known.former_status then
    known.former_status = report[Reported.network]
    write(record, Field.former_status, known.former_status)
  end
  of_former(record, known, report)
  if report[Reported.assumed] == Assumed.estimate and not known.former_charge then
    pay_former(record, known, tonumber(known.estimate) or 0)
  end
end

local function apply(i, report, record, known)
  local id, network, to = report[Reported.id], report[Reported.network], report[Reported.to]
  local charge, rank, assumed = report[Reported.charge], report[Reported.rank], report[Reported.assumed]
  local values = {}
  local function set(name, value)
    values[#values + 1] = name
    values[#values + 1] = value
  end
  local from, before = known.status, tonumber(known.rank) or 0
  local charged_at, reports = tonumber(known.charge_rank), known.reports or ''
  if #reports < MOST_REPORTS then
    set(Field.reports, reports .. came_at .. ' ' .. report[Reported.text] .. '\n')
  end
  local is_other = is_of_other_copy(known, report)
  local is_former = known.former_id and not known.resent
    and (report[Reported.gateway_id] == '' or report[Reported.gateway_id] == known.former_id)
  if is_other then of_other_copy(record, known, report) end
  if is_former or is_other and to ~= Status.delivered then
    if #values > 0 then write(record, unpack(values)) end
    if is_former then of_former(record, known, report) end
    return ReceiptResult.earlier
  end
  if not is_other then
    note_owner(known.gateway_id, report[Reported.gateway_id], id)
    local weight = rank == FINAL and before == FINAL and network ~= known.network and -1 or rank
    if charge and weight >= (charged_at or weight) then
      set(Field.charge_rank, weight)
      charged(record, known, charge)
    end
  end
  local its_id = returning(record, known, report)
  local changes = to ~= '' and from ~= to and may(from, to)
  if holds[i] and (its_id or changes) then hold_account(holds[i], record) end
  if its_id then
    if #values > 0 then write(record, unpack(values)) end
    put_back(record, id, known, report, its_id)
    return ReceiptResult.returned
  end
  if to ~= '' and (rank > before or rank == before and rank < FINAL) then
    set(Field.network, network)
    set(Field.rank, rank)
  end
  local answer
  if to == '' then
    answer = ReceiptResult.noted
  elseif from == to then
    answer = known.network == network and ReceiptResult.repeated or ReceiptResult.noted
  elseif not changes then
    answer = ReceiptResult.late
  else
    local expected = math.max(now, tonumber(known.gateway_due) or 0)  -- later than now if the gateway schedules the message
    local its_own = is_other and '' or report[Reported.gateway_id]
    set(Field.gateway_id, its_own ~= '' and its_own or known.gateway_id or '')
    set(Field.sent, known.sent or came_at)
    if to ~= Status.sent then set(Field.ended, came_at) end
    move(record, id, known, to, to == Status.sent and expected + ARG.poll_ms or came_at, unpack(values))
    values = {}
    if to == Status.sent then
      drop(record, Field.ended)
      if known.lane == '1' then index(KEY.expected, id, since_of(record)) end
    end
    keep_for(record, ARG.keep_ms + expected - now)
    answer = ReceiptResult.moved
  end
  if #values > 0 then write(record, unpack(values)) end
  if assumed ~= '' and not charge and not charged_at and not is_other
    and (answer == ReceiptResult.moved or from == Status.unknown and before < rank) then
    assume(record, known, assumed)
  end
  return answer
end

each(ARG.reports, function(i, report)
  answers[i] = ReceiptResult.unknown
  local record = KEY.records[i]
  local known = read(record, FIELDS)
  if not known.status then return end
  if not is_own(known) then
    if known.diverted and string.find(known.diverted, FORMER, 1, true) == 1 and report[Reported.to] ~= '' then
      count_of(Count.reported_by_both, known.lane)
      answers[i] = ReceiptResult.left
    else
      answers[i] = ReceiptResult.other_account
    end
    return
  end
  answers[i] = known.attempt and apply(i, report, record, known) or ReceiptResult.never_sent
  if known.trace then answers[i] = answers[i] .. ' ' .. known.trace end
end, function(report) return report[Reported.id] end)
write_suspects()
return moved({answers, placed})
