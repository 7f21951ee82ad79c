-- PARTS move, suppression, bucket, holds
-- Take queued messages of one lane for one attempt each: as many as the account, the rate and their time allow.
-- Messages of other accounts are not taken.
-- Safe to repeat with the same token: messages that this token already holds are returned again.
-- KEYS  breaker, records
-- ARG   now, lane, token, lease_until, validity_ms (the longest that the gateway takes), lead_ms (how long before its
--       delivery time the gateway's scheduler gets a message at the latest), a_second (parts), burst, reserve, keep_ms (for messages that end here), ramp_ms
--       (from a resume to the full rate), floor (credits that the lane leaves to higher lanes), schema (the newest that
--       this worker knows), gateway (the scope of the breaker), credentials (the scope of this worker's), pass_token
--       ('', or the prober's: it may claim one message although the breaker is open), ids
-- ->    {'held'}, or {wait ms (0: all were served), entries}; an entry is
--       {'claimed', id, attempt, first tried, queued at, accepted, body, its trace if it has one, faults, producer, the
--       gateway's id of the attempt before it was returned} or {'expired', id} or {'cancelled', id}
--       or {'suppressed', id, why} or {'held', id, scope}: its sender or prefix is on hold, and the message waits; an
--       inferred hold stops no message of lane 1, and lets one of the others through as its probe now and then
--       or {'early', id}: it is for the gateway's scheduler, which does not take its validity yet
--       or {'newer', id, schema}: it is left unchanged to a newer worker
local now, lane, token, floor = ARG.now, ARG.lane, ARG.token, ARG.floor
local claimed_at, lease_until = written(now), written(ARG.lease_until)

local RETRY_HELD = lane == '1' and 5000 or 60000  -- most ms until a message whose sender or prefix is on hold is claimed again

local CERTAIN = {}

local held, narrow, lengths = in_force(), false, {}

-- Hold the blocks of numbers in which accept found a run of neighbours: producers may not write holds. Every account
-- does, since the run may go on in another one: a row names those that did, and lasts as long as the hold. As it is an
-- operator's choice, such a hold is one by hand, which lane 1 does not pass. Every claim reads all holds, so there are
-- few of these: further runs raise the alarm only.
local function hold_blocks()
  local NEIGHBOURS, OWN = 'neighbouring numbers', ' ' .. (ARG.account ~= '' and ARG.account or '-')
  local blocks, number = of_table('HGETALL', KEY.blocks_to_hold) or {}, 0
  for _, hold in pairs(#blocks > 0 and held or {}) do
    if hold.cause == NEIGHBOURS then number = number + 1 end
  end
  for i = 1, #blocks, 2 do
    local block, since, done = blocks[i], string.match(blocks[i + 1], '^(%d+)(.*)$')
    since = math.min(tonumber(since) or now, now)
    local scope, ends_at = 'prefix:' .. block, since + Table.held_ms
    if ends_at <= now or not string.find(block, '^[1-9]%d*$') then
      of_table('HDEL', KEY.blocks_to_hold, block)
    elseif not string.find((done or '') .. ' ', OWN .. ' ', 1, true) then
      local is_free = not held[scope] or is_inferred(scope, held[scope])
      if is_free and number < Table.most_held then
        number = number + 1
        held[scope] = {code = BY_HAND, cause = NEIGHBOURS, since = now, ['until'] = ends_at}
        write_hold(scope, held[scope])
        count(Count.held .. 'prefix')
      end
      of_table('HSET', KEY.blocks_to_hold, block, written(since) .. (done or '') .. OWN)
    end
  end
end

hold_blocks()
for scope in pairs(held) do
  local prefix = string.match(scope, '^prefix:(%d+)')
  if prefix then lengths[#prefix] = true end
  narrow = narrow or prefix or string.find(scope, '^sender:')
end

-- -> the message itself.
local function sms_of(known)
  local is_read, sms = pcall(cjson.decode, known.body)
  if not is_read then refuse('body is not readable') end
  return sms
end

-- Return the holds of a message's sender and prefix. An inferred hold of its producer replaces the one of all producers,
-- so that the probes of others do not use up its own.
local function narrow_holds(known)
  local found = {}
  local function add(scope)
    local own, of_all = of_producer(scope, known.producer), held[scope]
    if held[own] and not (of_all and not is_inferred(scope, of_all)) then scope = own end
    if held[scope] then found[#found + 1] = scope end
  end
  local sender = sms_of(known).sender or ''
  add('sender:' .. sender)
  add('sender:' .. sender .. ':' .. (known.country or ''))
  for length in pairs(lengths) do add('prefix:' .. string.sub(known.to, 1, length)) end
  return found
end

-- Return the hold that stops a message, or nil; and the inferred holds that it passes.
local function narrowly(known)
  if not narrow then return nil, {} end
  local passed = narrow_holds(known)
  for _, scope in ipairs(passed) do
    local hold = held[scope]
    if not is_inferred(scope, hold) or lane ~= '1' and probe_at(hold) > now then return scope, {} end
  end
  return nil, passed
end

-- -> when a message that a hold stops is claimed again.
local function again_at(scope)
  local hold, at = held[scope], now + RETRY_HELD
  if is_inferred(scope, hold) then at = math.min(at, probe_at(hold)) end
  return math.max(now + 1, math.min(at, ends(hold)))
end

-- Let a message test the inferred holds that it passes: the next probe is due an interval later.
local function probe(passed)
  for _, scope in ipairs(passed) do
    local hold = held[scope]
    if probe_at(hold) <= now then
      hold.probed_at = now
      write_hold(scope, hold)
      count(Count.hold_probed .. string.match(scope, '^%a+'))
    end
  end
end

local function ended_now(record, id, known, to, entry, ...)
  if not move(record, id, known, to, now, Field.ended, claimed_at, ...) then return end
  keep_for(record, ARG.keep_ms)
  return entry
end

-- End a message to a suppressed recipient, unless it is a permitted legal notice.
local function stopped(record, id, known, entries)
  if not entries then return nil end
  local sms = sms_of(known)
  local entry = forbidden(entries, sms.sender or '', known.tags or '', lane, known.producer, now)
  if not entry then return nil end
  local text, owner = 'by ' .. entry.source, Owner.recipient
  if entry.source == DAMAGED_ENTRY then
    text, owner = 'the suppression entry of this number is damaged: threelane damaged list', Owner.operator
  end
  if sms.legal_notice then
    if write_first(record, Field.bypassed, entry.source) then count_of(Count.bypassed, lane) end
    return nil
  end
  count(Count.dead .. entry.code .. ':' .. owner)
  return ended_now(record, id, known, Status.dead, {Claim.suppressed, id, entry.source},
    Field.code, entry.code, Field.reason, Claim.suppressed, Field.text, text, Field.owner, owner)
end

-- Leave a message to newer workers: it returns to its lane after a second, or after a quarter of its wait so far (at
-- most a minute), so that a fleet of old workers does not claim it in a loop.
local function left_to_newer(record, id, known)
  local since = math.max(tonumber(known.accepted), tonumber(known.due) or 0)
  local again_at = now + math.max(1000, math.min(60000, math.floor((now - since) / 4)))
  move_because(Cause.newer, record, id, known, Status.scheduled, again_at)
  count_of(Count.newer, lane)
  return {Claim.newer, id, known.schema}
end

-- -> when a message is handed over to the gateway's scheduler, which takes no longer validity; 0 for others.
local function handover(known)
  local due = tonumber(known.gateway_due)
  return due and math.min(tonumber(known.expires) - ARG.validity_ms, due - ARG.lead_ms) or 0
end

-- Leave a message to its handover: an earlier version accepted it, or a producer that assumes a longer validity.
local function left_to_handover(record, id, known)
  local at = handover(known)
  write(record, Field.due, written(at))
  if lane == '1' then index(KEY.expected, id, at) end
  move_because(false, record, id, known, Status.scheduled, at)
  return {Claim.early, id}
end

-- Return whether the stand-by of a message may take it: each attempt so far certainly did not reach the gateway.
local function may_move(known)
  return known.stand_by and not known.unsure
end

local function claimed(id, known, attempt, first, queued_at)
  return {Claim.claimed, id, attempt, first, queued_at, known.accepted, known.body, known.trace or '',
    known.faults or '0', known.producer or '', known.former_id or '', may_move(known) and '1' or ''}
end

-- Return whether this is the prober, which may claim one message.
local function passes()
  local known = of_table('HMGET', KEY.breaker, Breaking.prober, Breaking.passes)
  return known and known[1] == ARG.pass_token and known[2]
end

local probes = ARG.pass_token ~= ''
if held.account or held['lane:' .. lane] or held[ARG.credentials] then return moved({Claim.held}) end
if (held[ARG.gateway] or probes) and not (probes and passes()) then return moved({Claim.held}) end

local rate, ramp_left = ARG.a_second, math.huge
local kept = redis.call('HMGET', KEY.rate, Rate.tokens, Rate.at, Rate.ramp)
if kept[3] and ARG.ramp_ms > 0 then  -- sending has resumed after a hold: the rate ramps up
  local whole = (now - tonumber(kept[3])) / ARG.ramp_ms
  if whole >= 1 then redis.call('HDEL', KEY.rate, Rate.ramp) else ramp_left = math.max(100, (1 - whole) * ARG.ramp_ms) end
  rate = rate * math.max(0.05, math.min(1, whole))
end
local tokens, at = refill(kept[1], kept[2], now, rate, ARG.burst)
local balance, taken = of_table('HGET', KEY.balance, Rate.left), 0
local left = balance and #balance <= 15 and string.find(balance, '^%-?%d+$') and tonumber(balance)  -- else it is unknown

-- Read the messages before the first of them is moved; a repeated id counts once.
local wanted, numbers, ids, seen = {}, {}, {}, {}
each(ARG.ids, function(i, id)
  local record = KEY.records[i]
  local known = not seen[id] and read_whole(record)
  seen[id] = true
  if known and known.lane == lane and is_own(known)
    and (known.status == Status.queued or known.status == Status.sending and known.token == token) then
    wanted[#wanted + 1] = {record, known}
    numbers[#numbers + 1] = known.to
    ids[#ids + 1] = id
  end
end)
local suppressed = #ids > 0 and entries_of(numbers)
if suppressed == nil then return moved({Claim.held}) end  -- the whole list is unreadable: nobody knows who must not get any
local scores = #ids > 0 and redis.call('ZMSCORE', KEY.queued[lane], unpack(ids))

local entries, wait, furthest = {}, 0, 0
each(ids, function(i, id)
  local record, known = unpack(wanted[i])
  if known.status == Status.sending then
    entries[#entries + 1] = claimed(id, known, known.attempt, known.first, claimed_at)
  elseif known.schema and tonumber(known.schema) > ARG.schema then
    entries[#entries + 1] = left_to_newer(record, id, known)
  elseif known.cancel then  -- a worker of an earlier version put it back
    entries[#entries + 1] = ended_now(record, id, known, Status.cancelled, {Claim.cancelled, id})
    count_of(Count.cancelled, lane)
  elseif tonumber(known.expires) <= now then
    entries[#entries + 1] = ended_now(record, id, known, Status.expired, {Claim.expired, id})
  elseif pause.of(known.producer, known.batch) then
    pause.put_aside(record, id, known, pause.of(known.producer, known.batch))
  elseif known.gateway_due and handover(known) > now then
    entries[#entries + 1] = left_to_handover(record, id, known)
  else
    local forbidding = stopped(record, id, known, suppressed[i])
    local parts, estimate = tonumber(known.parts), tonumber(known.estimate) or 0
    local scope, passed
    if not forbidding then scope, passed = narrowly(known) end
    if forbidding then
      entries[#entries + 1] = forbidding
    elseif scope then
      move_because(Cause.hold, record, id, known, Status.scheduled, again_at(scope))
      entries[#entries + 1] = {Claim.held, id, scope}
    elseif floor > 0 and left and left - taken - estimate < floor then
      wait = 1000
      count_of(Count.reserved, lane)
      return true
    elseif tokens - parts < ARG.reserve then
      wait = math.min(wait_for(parts + ARG.reserve - tokens, rate), math.ceil(ramp_left))
      return true
    else
      tokens, taken = tokens - parts, taken + estimate
      probe(passed)
      local attempt, first = tostring((tonumber(known.attempt) or 0) + 1), known.first or claimed_at
      local queued_at = scores[i] or claimed_at
      furthest = math.max(furthest, tonumber(queued_at))
      local doubt = may_move(known) and {Field.unsure, token} or CERTAIN  -- until its answer is recorded
      move(record, id, known, Status.sending, lease_until, Field.token, token, Field.attempt, attempt, Field.first, first,
        unpack(doubt))
      entries[#entries + 1] = claimed(id, known, attempt, first, queued_at)
      if probes then
        redis.call('HDEL', KEY.breaker, Breaking.passes)
        return true
      end
    end
  end
end, nil, function(i) return wanted[i][1] end)
if furthest > (tonumber(redis.call('HGET', KEY.claimed, lane)) or 0) then
  redis.call('HSET', KEY.claimed, lane, string.format('%d', furthest))
end
if left and taken > 0 then redis.call('HINCRBY', KEY.balance, Rate.left, string.format('%d', -taken)) end
redis.call('HSET', KEY.rate, Rate.tokens, string.format('%.3f', tokens), Rate.at, at)
return moved({tostring(wait), entries})
