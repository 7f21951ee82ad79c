-- PARTS record, tally, shares, rows
-- Money: reserved and charged credits, in the budgets of day and month, in the sum of estimates, and per minute.

local burnt = 0

local COMMITTED = {
  [Status.scheduled] = true, [Status.queued] = true, [Status.paused] = true, [Status.sending] = true, [Status.in_doubt] = true,
}
local GIVEN_BACK = {
  [Status.dead] = true, [Status.cancelled] = true, [Status.expired] = true, [Status.emulated] = true,
}

-- -> the amount of a message in its budgets: the estimate, until the charge is known. Another charge may follow a charge
--    of 0 of a sent message.
local function share(status, estimate, charge)
  if GIVEN_BACK[status] then return charge or 0 end
  if charge and not COMMITTED[status] and (charge > 0 or status ~= Status.sent) then return charge end
  return math.max(estimate, charge or 0)
end

-- -> the key of what is spent in a period, or nil for one that is over: no limit is compared with it any more.
local place_of
local function spent_in(period)
  if not place_of then
    place_of = {}
    for i, name in ipairs(ARG.periods) do place_of[name] = i end
  end
  local i = place_of[period]
  return i and KEY.spent[i]
end

local function month(day) return string.sub(day, 1, 6) end
local function centre_scope(name) return 'centre:' .. name end
local function producer_scope(name) return 'producer:' .. name end

local DAY = 86400
local BUDGETED = {Field.period, Field.counted, Field.ledger, Field.centre, Field.producer, Field.estimate, Field.charge,
  Field.charge_rank, Field.former_charge}

-- -> the charge of the last attempt: all of it, unless the message was returned; nil while it is unknown.
local function last_charge(known, is_reported)
  if not known.charge then return nil end
  local own = tonumber(known.charge) - (tonumber(known.former_charge) or 0)
  local is_known = is_reported or own ~= 0 or known.charge_rank or not known.former_charge
  return is_known and own or nil
end

-- Update the amount of a message in the budgets of its cost centre and producer; without a budget it has no period.
local function budget(record, status, is_reported)
  local known = read(record, BUDGETED)
  local amount = (tonumber(known.former_charge) or 0)
    + share(status, tonumber(known.estimate) or 0, last_charge(known, is_reported))
  local more = amount - (tonumber(known.counted) or 0)
  if more == 0 then return end
  write(record, Field.counted, amount)
  for _, period in ipairs({known.period, month(known.period)}) do
    local spent = spent_in(period)
    if spent then
      local centre = known.ledger or known.centre
      if centre then redis.call('HINCRBY', spent, centre_scope(centre), more) end
      if known.producer then redis.call('HINCRBY', spent, producer_scope(known.producer), more) end
      redis.call('EXPIRE', spent, #period == 8 and 40 * DAY or 400 * DAY)
    end
  end
end

-- Return whether there are budgets; a key that is no hash may have limited anything.
local function has_budgets()
  local number, is_damaged = of_table('HLEN', KEY.budgets)
  return is_damaged or number > 0
end

local UNREADABLE = {limit = -1}  -- stands for an unreadable budget: what it limits is refused

-- -> the budget that is stored under a name, or nil if there is none.
local function limit_of(name)
  local set, is_damaged = of_table('HGET', KEY.budgets, name)
  if not set then return is_damaged and UNREADABLE or nil end
  local is_read, found = pcall(cjson.decode, set)
  local is_limit = is_read and type(found) == 'table' and type(found.limit) == 'number'
  return is_limit and found.limit >= 0 and found.limit < 2 ^ 53 and found or UNREADABLE
end

-- -> the budget of a cost centre or a producer that an amount exceeds on a day, or nil; one that refuses goes before one
--    that holds.
local function over(centre, producer, amount, day)
  local full
  for _, scope in ipairs({centre_scope(centre), producer_scope(producer)}) do
    for _, kind in ipairs({'day', 'month'}) do
      local name, period = scope .. ':' .. kind, kind == 'day' and day or month(day)
      local limit = limit_of(name)
      if limit then
        local spent = tonumber(redis.call('HGET', spent_in(period), scope)) or 0
        if (limit.limit < 0 or spent + amount > limit.limit) and (not full or limit.over ~= 'hold') then
          full = {name = name, limit = limit.limit, spent = spent, waits = limit.over == 'hold'}
          if not full.waits then return full end
        end
      end
    end
  end
  return full
end

local PAID = {Field.charge, Field.ledger, Field.centre, Field.producer, Field.country, Field.parts, Field.former_charge}

-- Store what a message costs, and count the difference to what was known. `known` must have the fields of PAID.
-- is_first  no charge of this attempt was known
local function cost(record, known, amount, is_first, is_of_last)
  local more, had_charge = amount - (tonumber(known.charge) or 0), known.charge
  write(record, Field.charge, string.format('%d', amount))
  known.charge = amount
  if known.period then budget(record, known.status, is_of_last) end
  if is_first then
    count_of(Count.charged_parts, known.lane, tonumber(known.parts))
    if not had_charge then count_of(Count.charged_messages_to, known.country or '') end
    count_of(Count.charged_parts_to, known.country or '', tonumber(known.parts))
  end
  if more == 0 then return end
  count(Count.charged .. known.lane .. ':' .. (known.ledger or known.centre or ''), more)
  count(Count.charged_by .. 'producer:' .. (known.producer or ''), more)
  count(Count.charged_by .. 'country:' .. (known.country or ''), more)
  burnt = burnt + more
end

-- Store the charge of a message's last attempt.
local function pay(record, known, amount)
  cost(record, known, amount + (tonumber(known.former_charge) or 0), last_charge(known) == nil, true)
end

-- Store the charge of the attempt that ended before the message was returned.
local function pay_former(record, known, amount)
  local own, is_first = last_charge(known), not known.former_charge
  known.former_charge = amount
  write(record, Field.former_charge, string.format('%d', amount))
  cost(record, known, amount + (own or 0), is_first, own ~= nil)
end

-- Update the sum of the estimates of messages that are not sent yet, and their number.
local function commit(record, known, from, to)
  if COMMITTED[from] ~= COMMITTED[to] then
    note_share(known.producer, COMMITTED[to] and 1 or -1)
    local estimate = tonumber(known.estimate) or 0
    if estimate ~= 0 then count_of(Count.committed, known.lane, COMMITTED[to] and estimate or -estimate) end
  end
  if known.period then budget(record, to) end
end

local function write_burnt()
  if burnt ~= 0 then redis.call('HINCRBY', KEY.burn, math.floor(ARG.now / 60000), burnt) end
end
