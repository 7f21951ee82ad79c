-- PARTS move, suppression, countries, limits, batches
-- Accept up to 99 messages: all records are written before any of them is put on a lane.
-- KEYS  records, others (as many, or none if none has a client message id: the record that the message has if its id was
--       made in the other form, otherwise its own), batch_keys (of each batch its own, then that of its rows)
-- ARG  now, today (YYYYMMDD), tomorrow, tomorrow_at (ms), is_tight (little memory is left), routes (the version of the
--       accounts and routes by which this account was chosen, '' without any, '*' if it does not follow from routes),
--       unseen (countries to look up), has_same_texts (of two messages), messages, others_of (the positions of the messages that
--       have another id), other_ids (of these), line_parts (id -> how many parts its opt-out line costs),
--       former_prints (id -> the fingerprints that earlier versions gave it, by its number and text as then read),
--       batches, batch_rows (the messages that have one), batch_kept_ms, rows_kept_ms
-- ->    for each 'new:<status>:<due>', with ':first' for the first message to a country, 'same:<status>:<due>', with
--       ':account:<name>' if it is of another account, 'stale' if other accounts and routes are published, 'conflict',
--       'erased', 'damaged' (these four with 'other:' before it if they are of its record in the other form),
--       'no_right', 'abroad:<list>' when its producer may not send to its country,
--       'limited:<wait ms>:<id of the first>:<count>:<lanes>:<limit>',
--       'full' when most of what waits is its producer's and little memory is left, 'over:<limit>:<spent>:<budget>',
--       or the JSON of the entry that suppresses it
local now, accepted_at = ARG.now, written(ARG.now)

local is_stale  -- nil: not read

-- -> whether accounts and routes have changed since the account of these messages was chosen. A known message keeps its
--    account, whatever the routes say now.
local function has_stale_routes()
  if is_stale == nil then
    local published, is_damaged = of_table('HGET', KEY.accounts, AccountsField.version)
    is_stale = ARG.routes ~= '*' and (is_damaged or (published or '') ~= ARG.routes)
  end
  return is_stale
end

local rights_by_producer = {}

-- -> a producer's row of rights as text; or nil, and whether the key is damaged
local function rights_of(producer)
  local known = rights_by_producer[producer]
  if not known then
    known = {of_table('HGET', KEY.rights, producer)}
    rights_by_producer[producer] = known
  end
  return known[1] or nil, known[2]
end

-- Earlier versions stored the rights only beside the secret of the webhook, which the caller may not be able to read.
local function may_bypass(producer)
  local rights, is_damaged = rights_of(producer)
  if not rights and not is_damaged then rights = redis.pcall('HGET', KEY.producers, producer) end
  local row = type(rights) == 'string' and row_of(rights, {})
  return row and row.bypass == true  -- an unreadable row gives no right
end

local allowed_by_producer = {}

-- -> the countries in a row of rights, {} for all; or nil if the row is unreadable.
local function countries_of(rights)
  local row = row_of(rights, {}, {countries = 'table', bypass = 'boolean', numbers = 'string'})
  if not row or string.find(rights, '"countries"%s*:%s*{') then return nil end  -- cjson reads {} as []
  for _, one in ipairs(row.countries or {}) do
    if type(one) ~= 'string' then return nil end
  end
  return row.countries or {}
end

-- -> the countries that a producer may send to, {} if its list or the key is damaged; false for any.
local function allowed(producer)
  local listed = allowed_by_producer[producer]
  if listed == nil then
    local rights, is_damaged = rights_of(producer)
    listed = rights and countries_of(rights)
    if rights and not listed or is_damaged then listed = {}
    elseif not listed or not listed[1] then listed = false end
    allowed_by_producer[producer] = listed
  end
  return listed
end

-- -> the countries that the producer may send to, as text, if this country is not among them.
local function refusing_list(producer, country)
  local listed = producer ~= '' and allowed(producer)
  if not listed then return nil end
  for _, one in ipairs(listed) do
    if one == country then return nil end
  end
  return table.concat(listed, ',')
end

local budgeted = has_budgets()
local unseen = {}
for _, country in ipairs(ARG.unseen) do unseen[country] = true end

-- -> the day whose budgets have room for a message, and when to send it; or nil and the reply
local function room(given, estimate, due)
  local centre, producer = given[Field.centre] or '', given[Field.producer] or ''
  local full = over(centre, producer, estimate, ARG.today)
  if not full then return ARG.today, due end
  local waits = full.waits and ARG.tomorrow_at < tonumber(given[Field.expires])
    and not over(centre, producer, estimate, ARG.tomorrow)
  if waits then return ARG.tomorrow, math.max(due, ARG.tomorrow_at) end
  count(Count.refused .. Code.budget)
  return nil, AcceptResult.over .. ':' .. string.format('%d:%d:', full.limit, full.spent) .. full.name
end

local numbers = {}
for i, message in ipairs(ARG.messages) do numbers[i] = message[NewMessage.to] end
local suppressed = entries_of(numbers)

local function append(values, name, value)
  local length = #values
  values[length + 1], values[length + 2] = name, value
end

local READY = AcceptResult.new .. ':' .. Status.queued .. ':0'
local parts_text = {}  -- Redis converts a number that is an argument of a command each time, and slowly

-- Refuse or accept a new message; -> the reply.
local function take(i, record, message, entries)
  if has_stale_routes() then return AcceptResult.stale end
  local lane, parts, due = message[NewMessage.lane], message[NewMessage.parts], message[NewMessage.due]
  local estimate, values = message[NewMessage.estimate], message[NewMessage.values]
  local legal, needs_right = message[NewMessage.legal_notice], message[NewMessage.needs_right]
  local print, period, ledger = message[NewMessage.print], nil, nil
  local producer, centre = message[NewMessage.producer], message[NewMessage.centre]
  if ARG.is_tight and has_most(producer) then
    count(Count.refused .. Code.full)
    return AcceptResult.full
  end
  local country = message[NewMessage.country]
  local list = refusing_list(producer, country)
  if list then
    count(Count.refused .. Code.destination)
    return AcceptResult.abroad .. ':' .. list
  end
  local given, entry
  if needs_right or entries or budgeted or not suppressed or pause.is_any() then
    given = {}
    for i = 1, #values, 2 do given[values[i]] = values[i + 1] end
    if needs_right and not may_bypass(given[Field.producer] or '') then
      count(Count.refused .. Code.invalid)
      return AcceptResult.no_right
    end
    entry = not suppressed and damaged_entry()
      or forbidden(entries, message[NewMessage.sender], given[Field.tags] or '', lane, producer, now)
    if entry and not legal then
      count(Count.refused .. entry.code)
      return cjson.encode(entry)
    end
  end
  local send_at, refusal = limited(i, message)
  if not send_at then
    count(Count.refused .. Code.limit)
    return refusal
  end
  due = math.max(due, send_at)
  if budgeted then
    period, due = room(given, estimate, due)
    if not period then return due end
    append(values, Field.period, period)
  end
  if entry then
    append(values, Field.bypassed, entry.source)
    count_of(Count.bypassed, lane)
  end
  count_limits(i, message)
  if centre ~= '' then
    ledger = ledger_of(centre, producer, lane)
    if ledger ~= centre then append(values, Field.ledger, ledger) end
  end
  if print ~= '' then append(values, Field.print, print) end
  if due > 0 then append(values, Field.due, written(due)) end
  local status, score = due > 0 and Status.scheduled or Status.queued, due > 0 and due or accepted_at
  local paused = given and pause.of(producer, given[Field.batch])
  parts_text[parts] = parts_text[parts] or written(parts)
  local taken = {[Field.lane] = lane, [Field.estimate] = estimate, [Field.period] = period, [Field.producer] = producer}
  if paused then
    pause.note(record, message[NewMessage.id], taken, paused, score)
    status, score = Status.paused, given[Field.expires]
  end
  place(record, message[NewMessage.id], taken, status, score,
    Field.lane, lane, Field.to, message[NewMessage.to], Field.country, country, Field.parts, parts_text[parts], Field.accepted, accepted_at, unpack(values))
  if lane == '1' then index(KEY.expected, message[NewMessage.id], due > 0 and due or accepted_at) end
  commit(record, taken, nil, status)
  count_of(Count.accepted, lane)
  count_of(Count.parts, lane, parts)
  local line_parts = ARG.line_parts[message[NewMessage.id]]
  if line_parts then
    count_of(Count.opt_out_lines, lane)
    count_of(Count.opt_out_parts, lane, line_parts)
  end
  local reply = status == Status.queued and READY or AcceptResult.new .. ':' .. status .. ':' .. written(due)
  if not unseen[country] then return reply end
  unseen[country] = nil
  return is_first(country, producer) and reply .. ':first' or reply
end

-- -> whether a message with a known id has the content that was accepted.
local function is_same(message, print)
  if print == message[NewMessage.print] then return true end
  local former = ARG.former_prints[message[NewMessage.id]]
  return former and print ~= '' and string.find(former, print, 1, true)
end

-- One command finds out whether any of the messages is known; those of one call may have the same id, too.
local keys, taken, ABSENT = {}, {}, {}
for i = 1, #ARG.messages do keys[i] = KEY.records[i] end
local is_any_known = redis.call('EXISTS', unpack(keys)) > 0

-- The records in the other form, by the position of their message; only messages with a client message id have one.
local others = {}
if #ARG.others_of > 0 then
  local names = {}
  for i, at in ipairs(ARG.others_of) do names[i] = KEY.others[at] end
  if redis.call('EXISTS', unpack(names)) > 0 then
    for i, at in ipairs(ARG.others_of) do others[at] = {names[i], ARG.other_ids[i]} end
  end
end

local answers, FIELDS = {}, {Field.status, Field.print, Field.due, Field.gateway_due, Field.erased, Field.damaged, Field.paused,
  Field.account}
for i, message in ipairs(ARG.messages) do
  local record = keys[i]
  local may_be_known = is_any_known or taken[record]
  local known = may_be_known and read_or_set_aside(record, message[NewMessage.id], FIELDS) or ABSENT
  taken[record] = true
  local of_other, other = '', others[i]
  if not known.status and other then
    known = read_or_set_aside(other[1], other[2], FIELDS)
    of_other = known.status and AcceptResult.other .. ':' or ''
  end
  if known.status then
    local same = not known.erased and is_same(message, known.print or '')
    local due = math.max(tonumber(known.due) or 0, tonumber(known.gateway_due) or 0)
    local account = known.account or ''
    answers[i] = same and of_other .. AcceptResult.same .. ':' .. known.status .. ':' .. written(due)
        .. (account ~= ARG.account and ':' .. Elsewhere.account .. account or '')
      or of_other .. (known.erased and AcceptResult.erased or known.damaged and AcceptResult.damaged or AcceptResult.conflict)
    count(same and Count.repeated .. message[NewMessage.lane] or Count.refused .. Code.conflict)
  else
    answers[i] = take(i, record, message, suppressed and suppressed[i])
  end
end
write_limits()
list_in_batches(answers)
return moved(answers)
