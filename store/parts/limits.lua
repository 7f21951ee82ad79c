-- PARTS tally, rows
-- Limits: how many messages are accepted for a person, a prefix, a country and of a producer; see store/limits.py.
-- `limited` changes nothing, and `count_limits` counts an accepted message: a refused one uses up nothing.
-- A damaged row of a limit counts as absent, and damaged counts begin again: no damage stops a message.
-- ARG  now, messages, has_same_texts (two of the messages have the same text)

-- A function, since a script may have 200 local variables outside of functions.
local function limits_of_call()
  local texts, accepted_texts, texts_length, windows = nil, {}, 0, {}
  local PERIODS, SECOND = Table.periods, 1000
  local PERSON, TEXT, NEIGHBOURS = 'recipient', 'same-text', 'neighbours'
  local now_seconds = math.floor(ARG.now / SECOND)

  -- The limits in force: those of operators, and the defaults that they did not replace.
  local rules, shared, lengths = Table.limits, {prefix = {}, country = {}, producer = {}}, {}
  do
    local KINDS = Table.limit_kinds

    -- -> a stored limit; or nil for a row that cannot be set, as limits.read_row.
    local function limit_of(kind, text)
      local allowed = KINDS[kind]
      local rule = allowed and row_of(text, {count = 'number'}, {over = 'string', lanes = 'string', off = 'boolean'})
      if not rule or rule.count < 0 or rule.count % 1 ~= 0 then return nil end
      local is_possible = rule.count >= allowed.least and rule.count <= allowed.most
        and allowed.over[rule.over or 'refuse']
        and ((rule.lanes or 'all') == 'all' or kind == PERSON and rule.lanes == '1')
      return (rule.off or is_possible) and rule
    end

    local stored = of_table('HGETALL', KEY.limits) or {}
    for i = 1, #stored, 2 do
      local name = stored[i]
      local kind, of, period = string.match(name, '^(%a+):(.+):(%a+)$')
      local rule = limit_of(kind or string.match(name, '^[%a-]+'), stored[i + 1])
      if rule then
        rules[name] = rule
        if shared[kind] and PERIODS[period] and not rule.off then
          local same = shared[kind][of] or {}
          shared[kind][of] = same
          same[#same + 1] = {name = name, kind = kind, count = rule.count, over = rule.over, ms = PERIODS[period] * SECOND}
          if kind == 'prefix' then lengths[#of] = true end
        end
      end
    end
  end

  -- -> the limit for messages of a producer, or nil.
  local function rule_for(name, producer)
    local rule = producer ~= '' and rules[name .. '@' .. producer] or rules[name]
    return rule and not rule.off and rule or nil
  end

  -- Two hashes take turns: each has what was counted during `length` ms, and its turn in the field ''. So counts are
  -- deleted as a whole, in the background. Another length begins with empty hashes. -> their functions read and write
  local function open(first, second, length)
    local keys, turns = {first, second}, {}
    for i, key in ipairs(keys) do
      local mark = of_table('HGET', key, '') or ''
      local of, turn = string.match(mark, '^(%d+):(%d+)$')
      turns[i] = tonumber(of) == length and tonumber(turn) or -1
    end
    local turn = math.max(math.floor(ARG.now / length), turns[1], turns[2])
    local this = turn % 2 + 1
    local before = 3 - this
    local pair = {length = length}

    -- -> the values of fields in this turn, and in the one before; a list without values if there is none
    function pair.read(fields)
      local new = turns[this] == turn and of_table('HMGET', keys[this], unpack(fields)) or {}
      local old = turns[before] == turn - 1 and of_table('HMGET', keys[before], unpack(fields)) or {}
      return new, old
    end

    function pair.write(values)
      local is_first = turns[this] ~= turn
      if is_first then
        redis.call('UNLINK', keys[this])
        turns[this] = turn
        values[#values + 1] = ''
        values[#values + 1] = string.format('%d:%d', length, turn)
      end
      of_table('HSET', keys[this], unpack(values))
      if is_first then redis.call('PEXPIRE', keys[this], 3 * length) end
    end
    return pair
  end

  -- The longest time, and the highest count, of the limits whose name begins so.
  local function extent(prefix, ms_of)
    local longest, highest, defers, lanes = 0, 0, false, {}
    for name, rule in pairs(rules) do
      local ms = string.sub(name, 1, #prefix) == prefix and not rule.off and ms_of(name, rule)
      if ms then
        longest, highest = math.max(longest, ms), math.max(highest, rule.count)
        defers = defers or rule.over == 'defer'
        lanes[rule.lanes == '1' and '1' or '*'] = true
      end
    end
    return longest, highest, defers, lanes
  end

  -- The same text: <person>:<checksum> -> <id>:<when>, read for all messages of the call at once.
  local longest_text = extent(TEXT, function(_, rule) return rule.count * SECOND end)
  local fields, seen, seen_before, seen_here
  if longest_text > 0 then
    fields = {}
    for i = 1, #ARG.messages do fields[i] = ARG.messages[i][NewMessage.same_text] end
    texts = open(KEY.same_text_a, KEY.same_text_b, longest_text)
    seen_here = ARG.has_same_texts and {}
    seen, seen_before = texts.read(fields)
  end

  -- -> the id of the message with the same text, if it was accepted within `ms`, and for how long that counts; or nil
  local function first_of(value, ms)
    local id, at = string.match(value, '^(%w+):(%d+)$')
    local left = id and tonumber(at) + ms - ARG.now or 0
    if left > 0 and left <= 2 * ms then return id, left end
  end

  -- Persons: the times of their latest messages, in seconds, oldest first; '1' counts those of lane 1, '*' all.
  local longest_person, most_times, defers, counted_lanes = extent(PERSON .. ':', function(name)
    return (PERIODS[string.match(name, '^%a+:(%a+)')] or 0) * SECOND
  end)
  local persons, fields_of, times_of, packed_of, changed_times = nil, {['1'] = {}, ['*'] = {}}, {}, {}, {}
  local kinds = {}  -- of the times of persons
  for kind in pairs(counted_lanes) do kinds[#kinds + 1] = kind end
  local first_times, first_length = {}, 0  -- fields and times of recipients with no message before

  -- One command reads the times of the recipients of a call, when the first of them is checked.
  local function read_persons()
    local asked, asked_length = {}, 0
    for i = 1, #ARG.messages do
      local message = ARG.messages[i]
      if counted_lanes['*'] or message[NewMessage.lane] == '1' then
        for j = 1, #kinds do
          local kind = kinds[j]
          local field = kind .. message[NewMessage.to]  -- the present spelling: the person's identity
          fields_of[kind][i] = field
          asked_length = asked_length + 1
          asked[asked_length] = field
        end
      end
    end
    persons = open(KEY.recipients_a, KEY.recipients_b, longest_person * (defers and 2 or 1))
    local new, old = persons.read(asked)
    for i = 1, asked_length do packed_of[asked[i]] = new[i] or old[i] or nil end
  end

  local function times(field)
    local found = times_of[field]
    if found then return found end
    local packed, length = packed_of[field], 0
    found = {}
    if packed then
      local oldest, furthest = now_seconds - longest_person / SECOND, now_seconds + 2 * longest_person / SECOND
      for place = 1, #packed - 3, 4 do
        local at = struct.unpack('>I4', packed, place)
        if at >= oldest and at <= furthest then
          length = length + 1
          found[length] = at
        end
      end
    end
    times_of[field] = found
    return found
  end

  local packed_now = struct.pack('>I4', now_seconds)

  local function write_persons()
    local values, length = first_times, first_length
    for field in pairs(changed_times) do
      local found, parts = times_of[field], {}
      for place = math.max(1, #found - 2 * most_times + 1), #found do
        parts[#parts + 1] = struct.pack('>I4', found[place])
      end
      values[length + 1], values[length + 2] = field, table.concat(parts)
      length = length + 2
    end
    if length > 0 then persons.write(values) end
  end

  -- -> when a person may get another message, ms; 0: now
  local function person_at(rule, seconds, field)
    if not packed_of[field] then return 0 end
    local found = times(field)
    local first = found[#found - rule.count + 1]
    return first and first >= now_seconds - seconds and (first + seconds + 1) * SECOND or 0
  end

  -- Windows of prefixes, countries and producers: name -> <window>:<count>:<count of the next window>.
  local function window_of(rule)
    local found = windows[rule.name]
    if not found then
      local this = math.floor(ARG.now / rule.ms)
      local at, count, next_count = string.match(of_table('HGET', KEY.limit_counts, rule.name) or '', '^(%d+):(%d+):(%d+)$')
      at, count, next_count = tonumber(at), tonumber(count), tonumber(next_count)
      if at == this - 1 then
        count, next_count = next_count, 0
      elseif not at or at < this or at > this + 1 then
        count, next_count = 0, 0
      else
        this = at
      end
      found = {at = this, count = count, next = next_count}
      windows[rule.name] = found
    end
    return found
  end

  -- What applies to the messages of a producer: looked up once per call, since most calls have one producer.
  local plans, has_shared = {}, next(shared.prefix) or next(shared.country) or next(shared.producer)
  local function plan_for(producer)
    local text, persons_of, watched = texts and rule_for(TEXT, producer), {}, rule_for(NEIGHBOURS, producer)
    local applies_below = next(lengths) or next(shared.country) or shared.producer[producer]
    for period, seconds in pairs(PERIODS) do
      local name = PERSON .. ':' .. period
      local rule = rule_for(name, producer)
      if rule then
        persons_of[#persons_of + 1] = {name = name, rule = rule, seconds = seconds}
        applies_below = applies_below or rule.lanes ~= '1'
      end
    end
    local plan = {text_ms = text and text.count * SECOND, text = text, persons = persons_of, watched = watched,
      applies_below = applies_below, applies = applies_below or #persons_of > 0}
    plans[producer] = plan
    return plan
  end

  -- Of the message that `limited` checked last: the windows that count it, until when its recipient's limit and other
  -- limits defer it, and the kind of the limit that does.
  local plan, hits, person_due, send_at, deferred_by
  local is_counted, is_person_counted = false, false

  -- -> the reply for a refused message
  local function over(kind, name, count, wait_ms, id, lanes)
    count_of(Count.limited, kind .. ':refused')
    return nil, string.format('%s:%d:%s:%d:%s:%s', AcceptResult.limited, math.max(wait_ms, 1), id or '', count,
      lanes or '', name)
  end

  local function value_of(message, name)
    local values = message[NewMessage.values]
    for place = 1, #values, 2 do
      if values[place] == name then return values[place + 1] end
    end
  end

  -- -> true, or nil and the reply of a refusal by a limit that recipients share.
  local function check(of, message)
    for _, rule in ipairs(of or {}) do
      local window = window_of(rule)
      local ends, is_next = (window.at + 1) * rule.ms, false
      if window.count >= rule.count then
        is_next = rule.over == 'defer' and window.next < rule.count and ends < tonumber(value_of(message, Field.expires))
        if not is_next then
          local more = rule.over == 'defer' and window.next >= rule.count and rule.ms or 0
          return over(rule.kind, rule.name, rule.count, ends + more - ARG.now)
        end
        send_at = math.max(send_at, ends)
        deferred_by = rule.kind
      end
      hits[#hits + 1] = {rule, window, is_next}
    end
    return true
  end

  local function limited_by_shared(message)
    hits = {}
    for length in pairs(lengths) do
      local is_below, reply = check(shared.prefix[string.sub(message[NewMessage.to], 1, length)], message)
      if not is_below then return nil, reply end
    end
    local is_below, reply = check(shared.country[message[NewMessage.country]], message)
    if is_below then is_below, reply = check(shared.producer[message[NewMessage.producer]], message) end
    if not is_below then return nil, reply end
    return send_at
  end

  local function limited_by_counts(i, message)
    is_counted, is_person_counted, hits, person_due, deferred_by = true, false, nil, 0, nil
    local is_code = message[NewMessage.lane] == '1'
    for at = 1, #plan.persons do
      local one = plan.persons[at]
      local rule = one.rule
      if is_code or rule.lanes ~= '1' then
        if not persons then read_persons() end
        is_person_counted = true
        local free_at = person_at(rule, one.seconds, fields_of[rule.lanes == '1' and '1' or '*'][i])
        if free_at > ARG.now then
          local may_wait = rule.over == 'defer' and free_at < tonumber(value_of(message, Field.expires))
            and free_at - ARG.now <= (one.seconds + 1) * SECOND
          if not may_wait then return over(PERSON, one.name, rule.count, free_at - ARG.now, nil, rule.lanes) end
          person_due, deferred_by = math.max(person_due, free_at), PERSON
        end
      end
    end
    send_at = person_due
    if has_shared then return limited_by_shared(message) end
    return send_at
  end

  -- -> when a message may be sent (0: now); or nil and the reply of its refusal.
  local function limited(i, message)
    plan = plans[message[NewMessage.producer]] or plan_for(message[NewMessage.producer])
    is_counted = false
    if plan.text_ms and not message[NewMessage.repeats] then
      local value = seen_here and seen_here[fields[i]] or seen[i] or seen_before[i]
      local id, left
      if value then id, left = first_of(value, plan.text_ms) end
      if id then return over('same_text', TEXT, plan.text.count, left, id) end
    end
    if plan.applies_below or plan.applies and message[NewMessage.lane] == '1' then
      return limited_by_counts(i, message)
    end
    return 0
  end

  local near, runs_here, suffixes, former_suffixes, added_suffixes = nil, {}, {}, {}, {}
  -- Of each message: the block of its number, the number in it, its place, and the block beside it if numbers near it lie
  -- there, with the place where that begins.
  local heads, owns, places, besides, shifts = {}, {}, {}, {}, {}

  local function find_block(i, number)
    local MOST_NEAR = 99
    local head, own = string.sub(number, 1, -4), string.sub(number, -3)
    local place = tonumber(own)
    heads[i], owns[i], places[i] = head, own, place
    if place >= MOST_NEAR and place < 1000 - MOST_NEAR then return end
    local shift = place < MOST_NEAR and -1 or 1
    besides[i], shifts[i] = written(tonumber(head) + shift), 1000 * shift
  end

  -- One command reads the blocks of a call, when the first of them is counted.
  local function read_near()
    local RUN_LENGTH_MS = 300000
    local fields, length = {}, 0
    local function ask(block)
      if block and not suffixes[block] then
        suffixes[block], length = '', length + 1
        fields[length] = block
      end
    end
    for i = 1, #ARG.messages do
      local message = ARG.messages[i]
      if message[NewMessage.lane] == '1' and #message[NewMessage.to] > 3 then
        find_block(i, message[NewMessage.to])
        ask(heads[i])
        ask(besides[i])
      end
    end
    near = open(KEY.neighbours_a, KEY.neighbours_b, RUN_LENGTH_MS)
    local new, old = near.read(fields)
    for i = 1, length do suffixes[fields[i]], former_suffixes[fields[i]] = new[i] or '', old[i] or '' end
  end

  local distinct, found  -- the numbers near the one that is counted, and how many with it

  -- Note the numbers near a place in a block, given their last three digits. -> whether the number at it is among them
  local function look(stored, place)
    for at = 1, #stored - 2, 3 do
      local hundreds, tens, ones = string.byte(stored, at, at + 2)
      local distance = 100 * hundreds + 10 * tens + ones - 5328 - place  -- 5328 is '000'
      if distance == 0 then return true end
      if distance >= -99 and distance <= 99 then
        distinct = distinct or {}
        if not distinct[distance] then distinct[distance], found = true, found + 1 end
      end
    end
    return false
  end

  -- Count the numbers of lane 1 that lie near this one: a block has a thousand numbers, and the last three digits of those
  -- that were sent to.
  local function note_neighbours(i, producer, rule)
    if not near then read_near() end
    local head, own, place, beside = heads[i], owns[i], places[i], besides[i]
    if not head then return end
    local own_here, own_former = suffixes[head], former_suffixes[head]
    local beside_here, beside_former = suffixes[beside or ''] or '', former_suffixes[beside or ''] or ''
    if own_here == '' and own_former == '' and beside_here == '' and beside_former == '' then
      suffixes[head], added_suffixes[head] = own, true
      return
    end
    distinct, found = nil, 1
    if look(own_here, place) or look(own_former, place) then return end
    if beside then
      look(beside_here, place - shifts[i])
      look(beside_former, place - shifts[i])
    end
    local MOST_DIGITS = 300
    local kept = own_here .. own
    suffixes[head] = #kept > MOST_DIGITS and string.sub(kept, -MOST_DIGITS) or kept
    added_suffixes[head] = true
    if found >= rule.count then
      local run = runs_here[head]
      runs_here[head] = {numbers = math.max(found, run and run.numbers or 0), producer = producer, over = rule.over}
    end
  end

  local function write_near()
    local values, length = {}, 0
    for block in pairs(added_suffixes) do
      values[length + 1], values[length + 2] = block, suffixes[block]
      length = length + 2
    end
    if length > 0 then near.write(values) end
  end

  -- Note that runs of neighbouring numbers go on, or began: that is counted, and can hold their blocks. A block that an
  -- operator resumes is not held again before the hold would have ended.
  local function note_runs()
    if not next(runs_here) then return end
    local RUN_MS, HELD_MS, REMEMBERED_MS, MOST_RUNS = 3600000, Table.held_ms, 24 * 3600000, 200
    local OPTIONAL = {numbers = 'number', held = 'number'}

    local function row(block)
      return row_of(of_table('HGET', KEY.runs, block) or '', {since = 'number', last = 'number'}, OPTIONAL)
    end

    -- Remove the runs that are over, and those that hold nothing; all, if that makes no room.
    local function make_room()
      if (of_table('HLEN', KEY.runs) or 0) < MOST_RUNS then return end
      for _, block in ipairs(of_table('HKEYS', KEY.runs) or {}) do
        local run = row(block)
        if not run or ARG.now - (run.held or 0) >= HELD_MS then redis.call('HDEL', KEY.runs, block) end
      end
      if redis.call('HLEN', KEY.runs) >= MOST_RUNS then redis.call('DEL', KEY.runs) end
    end

    for block, run in pairs(runs_here) do
      local before = row(block)
      local is_new = not before or ARG.now - before.last > RUN_MS
      local held = not is_new and before.held or 0
      if is_new then
        count_of(Count.neighbour_runs, run.over)
        make_room()
      end
      if run.over == 'hold' and ARG.now - held >= HELD_MS and (of_table('HLEN', KEY.blocks_to_hold) or 0) < Table.most_held then
        held = ARG.now
        of_table('HSET', KEY.blocks_to_hold, block, written(ARG.now))
      end
      of_table('HSET', KEY.runs, block, cjson.encode({since = is_new and ARG.now or before.since, last = ARG.now,
        numbers = math.max(run.numbers, not is_new and before.numbers or 0), producer = run.producer, held = held}))
    end
    redis.call('PEXPIRE', KEY.runs, REMEMBERED_MS)
  end

  -- For a recipient a message counts now, whatever other limits defer it; later only if his own limit defers it.
  local function count_hits(i, message)
    for j = 1, is_person_counted and #kinds or 0 do
      local kind = kinds[j]
      if kind == '*' or message[NewMessage.lane] == '1' then
        local field = fields_of[kind][i]
        if packed_of[field] then
          local found = times(field)
          local length = #found
          found[length + 1] = person_due > 0 and math.ceil(person_due / SECOND) or now_seconds
          if length > 0 and found[length] > found[length + 1] then table.sort(found) end
          changed_times[field] = true
        else
          packed_of[field] = packed_now
          first_times[first_length + 1], first_times[first_length + 2] = field, packed_now
          first_length = first_length + 2
        end
      end
    end
    for j = 1, hits and #hits or 0 do
      local window, is_next = hits[j][2], hits[j][3]
      if is_next then window.next = window.next + 1 else window.count = window.count + 1 end
      window.is_changed = true
    end
    if deferred_by then count_of(Count.limited, deferred_by .. ':deferred') end
  end

  -- Count a message that is accepted, and that `limited` checked last.
  local suffix = ':' .. written(ARG.now)
  local function count_limits(i, message)
    if plan.text_ms then
      local value = message[NewMessage.id] .. suffix
      accepted_texts[texts_length + 1], accepted_texts[texts_length + 2] = fields[i], value
      texts_length = texts_length + 2
      if seen_here then seen_here[fields[i]] = value end
    end
    if is_counted then count_hits(i, message) end
    if message[NewMessage.lane] == '1' and plan.watched then
      note_neighbours(i, message[NewMessage.producer], plan.watched)
    end
  end

  -- Write the counts that a call collects.
  local function write_limits()
    if texts_length > 0 then texts.write(accepted_texts) end
    write_persons()
    write_near()
    note_runs()
    for name, window in pairs(windows) do
      if window.is_changed then
        of_table('HSET', KEY.limit_counts, name, string.format('%d:%d:%d', window.at, window.count, window.next))
      end
    end
  end
  return limited, count_limits, write_limits
end

local limited, count_limits, write_limits = limits_of_call()
