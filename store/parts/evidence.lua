-- PARTS record, holds
-- Evidence: what failed, by the scope that a hold of it would have, and when that is enough for the hold.
-- A suspect is JSON: code, failed and tried (messages), numbers (digests of different ones), first and last (ms).

local ACCOUNT = 'account'
local WINDOW = 600000  -- ms from the first failure: what failed before proves nothing any more
local FARTHEST = 2592000000  -- ms, 30 days: a time before that is an error, or was not reported
local MOST_NUMBERS = 50  -- different numbers that a suspect keeps
local MOST_SUSPECTS = 1000
local CONFIRMING = 2  -- producers whose messages show the same before a hold concerns all producers
local MOST_HOLDS = 50  -- inferred holds of one producer; the oldest one makes room

local held, has_suspects, suspects, changed = nil, nil, {}, {}
local placed, lifted = {}, {}
local accepted_now = {}  -- scope -> messages accepted in this call

local function holds_now()
  held = held or in_force()
  return held
end

-- -> the evidence in a row; an unreadable one counts as none.
local function read_suspect(text)
  return row_of(text, {code = 'string', failed = 'number', tried = 'number', numbers = 'table', first = 'number', last = 'number'})
end

-- Suspects in a key of another type are dropped: further failures are evidence again.
local function how_many()
  local number, is_damaged = of_table('HLEN', KEY.suspects)
  if is_damaged then redis.call('DEL', KEY.suspects) end
  return number or 0
end

local function is_stale(scope, suspect) return ARG.now - suspect.first > WINDOW and not holds_now()[scope] end

-- -> the evidence against a scope, or nil.
local function suspect_of(scope)
  local suspect = suspects[scope]
  if suspect == nil then
    if has_suspects == nil then has_suspects = how_many() > 0 end
    if not has_suspects then return nil end
    local entry = redis.call('HGET', KEY.suspects, scope)
    suspect = entry and read_suspect(entry) or false
    suspects[scope] = suspect
  end
  return suspect and not is_stale(scope, suspect) and suspect or nil
end

-- Count one failure of a scope. -> its evidence
local function failed(scope, code, to, at)
  local suspect = suspect_of(scope)
  if not suspect or suspect.code ~= code then
    suspect = {code = code, failed = 0, tried = accepted_now[scope] or 0, numbers = {}, first = at, last = at}
  end
  suspect.failed, suspect.tried = suspect.failed + 1, suspect.tried + 1
  suspect.first, suspect.last = math.min(suspect.first, at), math.max(suspect.last, at)
  local digest, is_new = string.sub(redis.sha1hex(to or ''), 1, 8), #suspect.numbers < MOST_NUMBERS
  for _, one in ipairs(suspect.numbers) do is_new = is_new and one ~= digest end
  if is_new then suspect.numbers[#suspect.numbers + 1] = digest end
  suspects[scope], changed[scope] = suspect, true
  return suspect
end

local function shown(suspect)
  return {messages = suspect.failed, tried = suspect.tried, numbers = #suspect.numbers, since = suspect.first}
end

-- Return whether evidence is enough: so many different numbers, and most of what was tried since the first failure.
local function suffices(suspect, needs) return #suspect.numbers >= needs and 2 * suspect.failed > suspect.tried end

-- Remove the oldest inferred hold of a producer if it has too many: each claim reads all holds.
local function make_room(producer)
  local suffix, held_of, oldest = of_producer('', producer), 0, nil
  for scope, hold in pairs(holds_now()) do
    if string.sub(scope, -#suffix) == suffix then
      held_of = held_of + 1
      if not oldest or hold.since < holds_now()[oldest].since then oldest = scope end
    end
  end
  if held_of < MOST_HOLDS then return end
  of_table('HDEL', KEY.holds, oldest)
  holds_now()[oldest] = nil
end

local function place(scope, hold, suspect, was)
  hold.evidence = shown(suspect)
  write_hold(scope, hold)
  holds_now()[scope] = hold
  if not was then
    count(Count.held .. string.match(scope, '^%a+'))
    placed[#placed + 1] = scope
  end
end

local function place_or_renew(scope, hold, lasts, suspect, was)
  hold['until'] = lasts > 0 and ARG.now + lasts or 0
  if was then
    hold.since, hold.probed_at = was.since, was.probed_at
    if ends(was) > ends(hold) then hold['until'] = was['until'] end
  end
  place(scope, hold, suspect, was)
end

-- -> the evidence of all producers for which a scope is on hold now, together; and how many they are.
local function confirmed(scope)
  local all, producers = {failed = 0, tried = 0, numbers = {}, first = ARG.now}, 0
  for held_scope in pairs(holds_now()) do
    local suspect = string.sub(held_scope, 1, #scope + 1) == scope .. '@' and suspect_of(held_scope)
    if suspect then
      producers = producers + 1
      all.failed, all.tried, all.first = all.failed + suspect.failed, all.tried + suspect.tried, math.min(all.first, suspect.first)
      for _, one in ipairs(suspect.numbers) do all.numbers[#all.numbers + 1] = one end
    end
  end
  return all, producers
end

-- Count a failure against a sender or a prefix, for its producer; hold it for the messages of this producer once the
-- evidence is enough, and for all once several producers' messages show it.
local function infer(one, to, producer)
  local scope, lasts = one[Holding.scope], one[Holding.lasts_ms]
  local own = of_producer(scope, producer)
  local function hold() return cjson.decode(one[Holding.hold]) end
  local suspect, was = failed(own, hold().code, to, ARG.now), holds_now()[own]
  if was or suffices(suspect, one[Holding.needs]) then
    if not was then make_room(producer) end
    place_or_renew(own, hold(), lasts, suspect, was)
  end
  local of_all = holds_now()[scope]
  if of_all and of_all.code == BY_HAND then return end
  local all, producers = confirmed(scope)
  if producers >= CONFIRMING then
    place_or_renew(scope, hold(), lasts, all, of_all)
  elseif of_all and not holds_now()[own] then  -- this message was its probe
    place_or_renew(scope, hold(), lasts, suspect, of_all)
  end
end

-- Hold the account, or the credentials of workers, from the time at which its cause happened, unless that is over, or
-- the account was resumed since.
local function hold_account(one, witness)
  local scope, hold = one[Holding.scope], cjson.decode(one[Holding.hold])
  local is_read, known = pcall(read, witness, {Field.to, Field.sent, Field.gateway_due})
  if not is_read then known = {} end  -- its settlement has set it aside
  local at, lasts = one[Holding.at], one[Holding.lasts_ms]
  if at < ARG.now - FARTHEST then at = math.max(tonumber(known.sent) or ARG.now, tonumber(known.gateway_due) or 0) end
  at = math.min(at, ARG.now)
  if one[Holding.stale_ms] > 0 and at < ARG.now - one[Holding.stale_ms] then return end
  if at < (tonumber(redis.call('HGET', KEY.rate, Rate.resumed)) or 0) then return end
  hold.since = at
  if lasts > 0 then hold['until'] = at + lasts end
  if ends(hold) <= ARG.now then return end
  local seen, was = failed(scope, hold.code, known.to, at), holds_now()[scope]
  if not was or was.code ~= BY_HAND and ends(hold) > ends(was) then
    place(scope, hold, seen, was)
  elseif was.code == hold.code then
    place(scope, was, seen, was)
  end
end

-- Lift a hold that an accepted message refutes. -> whether it did
local function heals(scope, claimed_at)
  local hold = holds_now()[scope]
  if not hold or not is_inferred(scope, hold) or claimed_at < hold.since then return false end
  of_table('HDEL', KEY.holds, scope)
  holds_now()[scope] = nil
  suspects[scope], changed[scope] = false, true
  count(Count.healed .. string.match(scope, '^%a+'))
  lifted[#lifted + 1] = scope
  return true
end

-- Count an accepted message for its sender and its prefix. One that was claimed after a hold began lifts it: that of its
-- producer, and that of all producers.
local function accepted(sender, country, to, claimed_at, producer)
  local scopes = {}
  for digits = 6, 8 do scopes[#scopes + 1] = 'prefix:' .. string.sub(to, 1, digits) end  -- a calling code and 5 digits
  if sender ~= '' then
    scopes[#scopes + 1] = 'sender:' .. sender
    scopes[#scopes + 1] = 'sender:' .. sender .. ':' .. (country or '')
  end
  for _, of_all in ipairs(scopes) do
    local scope = of_producer(of_all, producer)
    local suspect = suspect_of(scope)
    heals(of_all, claimed_at)
    if heals(scope, claimed_at) then  -- what was learned before proves nothing any more
    elseif suspect then
      suspect.tried = suspect.tried + 1
      changed[scope] = true
    else
      accepted_now[scope] = (accepted_now[scope] or 0) + 1
    end
  end
end

local function forget_stale()
  local entries = redis.call('HGETALL', KEY.suspects)
  for i = 1, #entries, 2 do
    local suspect = read_suspect(entries[i + 1])
    if not suspect or is_stale(entries[i], suspect) then redis.call('HDEL', KEY.suspects, entries[i]) end
  end
end

-- Write the changed suspects; they expire together, after the window or the second probe of their holds.
local function write_suspects()
  if next(changed) and how_many() >= MOST_SUSPECTS then forget_stale() end
  for scope in pairs(changed) do
    local suspect, hold = suspects[scope], holds_now()[scope]
    if not suspect then
      redis.call('HDEL', KEY.suspects, scope)
    else
      if redis.call('HLEN', KEY.suspects) < MOST_SUSPECTS or redis.call('HEXISTS', KEY.suspects, scope) == 1 then
        redis.call('HSET', KEY.suspects, scope, cjson.encode(suspect))
      end
      local lives = math.max(WINDOW, hold and 2 * (hold.probe_ms or 0) or 0)
      if suspect.last == ARG.now or redis.call('PTTL', KEY.suspects) < 0 then
        redis.call('PEXPIRE', KEY.suspects, math.max(lives, redis.call('PTTL', KEY.suspects)))
      end
    end
  end
end
