-- PARTS record, guard, repair, tally, index, events, money, waiting, pause
-- Move: a message goes from one state to another as the table in store/states.py allows; its index, budgets and counts
-- follow, and, off the plain path, why and since when it waits. The record of a message is read and written once.
-- A script has the indexes of one account, ARG.account ('': the default one). It moves no message of another account.

local MAY, INDEX = Table.may_follow, Table.indexes
local TO = {
  ['1'] = Count.to .. '1:', ['2'] = Count.to .. '2:', ['3'] = Count.to .. '3:',
}
local ended = {}

-- The names of the fields that a move reads, and the other fields that a script reads.
local function fields(...) return {Field.status, Field.lane, Field.estimate, Field.period, Field.waiting, Field.cancel,
  Field.producer, Field.paused, Field.account, ...} end

-- -> whether a message is of the account that this script works for; an id without a record is nobody else's.
local function is_own(known) return not known.status or (known.account or '') == ARG.account end

-- -> the reply for a message of another account.
local function elsewhere(known) return Elsewhere.account .. (known.account or '') end

-- The index of a state and a lane, or nil for a final state.
local function index_of(status, lane)
  local of = INDEX[status]
  return of and of(lane)
end

local function may(from, to) return MAY[from][to] end

local function is_final(status) return not next(MAY[status]) end

-- Put a record into a state: its fields, the state's index, and the count.
local function place(record, id, known, to, score, ...)
  write(record, Field.status, STORED[to] or to, ...)
  index(index_of(to, known.lane), id, score)
  if to == Status.dead or is_final(to) then ended[#ended + 1] = {record, id} end
  count_of(TO[known.lane], to)
  known.status = to
end

local BECAUSE = {[Status.scheduled] = Cause.retry, [Status.in_doubt] = Cause.in_doubt}
local WINDOW = ':' .. Cause.window .. ':'

local given  -- the cause that a script gives for a move

-- -> why a message waits in its new state, by the script or by the states; nil on the plain path, to which a message
--    returns when its sending window opens.
local function why_it_waits(known, from, to)
  if to == Status.paused then return nil end
  if given ~= nil or BECAUSE[to] then return given or given == nil and BECAUSE[to] or nil end
  local was_off = from == Status.in_doubt or known.waiting and not string.find(known.waiting, WINDOW, 1, true)
  return to == Status.queued and was_off and Cause.requeued or nil
end

local function follow_wait(record, id, known, from, to)
  local cause = why_it_waits(known, from, to)
  given = nil
  if cause then
    note_wait(record, id, known, cause)
  elseif to ~= Status.sending then
    forget_wait(record, id, known)
  end
end

-- The gateway may have a message whose cancellation was requested: it is stopped now, not when the next request is due.
local function stop_soon(id, known, from, to)
  if known.cancel and (to == Status.sent or to == Status.in_doubt or from == Status.in_doubt and to == Status.cancelled) then
    redis.call('ZADD', KEY.stopping, 'XX', ARG.now, id)
  end
end

local ATTEMPTED = {[Status.sending] = true, [Status.in_doubt] = true, [Status.sent] = true}
local TRIED_AGAIN = {[Status.scheduled] = true, [Status.queued] = true, [Status.dead] = true}  -- or redriven

-- End a message that was cancelled during its last attempt, or after it, and was not sent. -> its new state
local function end_cancelled(record, known)
  local keep_ms = string.match(known.cancel, '^%d+ (%d+)$')
  given = nil
  write(record, Field.ended, ARG.now)
  keep_for(record, keep_ms or 30 * DAY * 1000)
  count_of(Count.cancelled, known.lane)
  return Status.cancelled
end

-- Move a record from the state in `known` to another, if the table allows it, and write the given fields; -> true, or
-- false and nothing changed, as if it had been settled elsewhere: it may be of another account. The token is deleted with
-- its attempt, the body with its message's end. A message that was cancelled meanwhile is cancelled instead of tried again,
-- and one of a paused batch is paused: known.status is its new state.
local function move(record, id, known, to, score, ...)
  local from = known.status
  if not MAY[from] or not MAY[from][to] or not is_own(known) then
    given = nil
    return false
  end
  index(index_of(from, known.lane), id)
  if known.cancel and ATTEMPTED[from] and TRIED_AGAIN[to] then to = end_cancelled(record, known) end
  to, score = pause.instead(record, id, known, to, score)
  if to ~= Status.paused then pause.forget(record, id, known) end
  if is_final(to) or from == Status.dead and to == Status.sent then
    drop(record, Field.body, Field.token)
  elseif from == Status.sending then
    drop(record, Field.token)
  end
  place(record, id, known, to, score, ...)
  commit(record, known, from, to)
  stop_soon(id, known, from, to)
  follow_wait(record, id, known, from, to)
  return true
end

-- Move a record to a state in which the message waits for a cause that does not follow from the states; false: for none.
local function move_because(cause, record, id, known, to, score)
  given = cause
  return move(record, id, known, to, score)
end

-- Put a message of a paused batch aside.
-- digest  of its batch
-- due     when it is due, if it waits for a time
function pause.put_aside(record, id, known, digest, due)
  pause.note(record, id, known, digest, due or since_of(record))
  return move(record, id, known, Status.paused, known.expires)
end

local OUTCOME = {Field.status, Field.producer, Field.client, Field.lane, Field.to, Field.parts, Field.accepted, Field.sent,
  Field.ended, Field.code, Field.reason, Field.owner, Field.network, Field.charge}
local OF_FAILURE = {[Field.code] = true, [Field.reason] = true, [Field.owner] = true}  -- of an earlier attempt, if delivered

-- -> the fields of an outcome; what of them cannot be read is taken out first.
local function outcome_of(record)
  local is_read, known = pcall(read_list, record, OUTCOME)
  if is_read then return known end
  repair(record)
  return read_list(record, OUTCOME)
end

local function publish_outcomes()
  for _, one in ipairs(ended) do
    local known, entry = outcome_of(one[1]), {EventField.type, EventType.outcome, EventField.id, one[2]}
    local is_delivered = known[1] == Status.delivered
    for i, name in ipairs(OUTCOME) do
      if not (is_delivered and OF_FAILURE[name]) then
        entry[#entry + 1] = name
        entry[#entry + 1] = known[i]
      end
    end
    publish(unpack(entry))
  end
end

local reported = {}  -- id, place and cause of what was set aside

local STRAY_MS = 60000

-- An index of this account has the id of another account's message, which no version writes: it stays, since its own
-- index may lack it, is reported, and read again after a while.
local function leave_stray(set, id, known)
  index(set, id, ARG.now + STRAY_MS)
  reported[#reported + 1] = {id, '', "an index of the account '" .. ARG.account .. "' has it, and its record names '"
    .. (known.account or '') .. "'"}
end

local set_aside_and_report
do
  local INTERNAL_ERROR, DAMAGED, OPERATOR = 'internal_error', 'damaged_record', 'operator'
  local KEPT_MS, FILES = 30 * DAY * 1000, Table.files
  local MAY_BE_SENT = {[Status.sending] = true, [Status.in_doubt] = true, [Status.sent] = true}
  local MOST_DAMAGED_IDS = 1000  -- ids that the index of unreadable records keeps

  -- -> the file and line of an error, or the kind of the server's error; without data.
  local function place_in_source(failed)
    if type(failed) == 'table' then return string.match(failed.err or '', '^[%u]+') or 'redis' end
    local line, found = tonumber(string.match(failed, 'user_script:(%d+)') or 1), nil
    for _, file in ipairs(FILES) do
      if file[1] <= line then found = file end
    end
    return found[2] .. ':' .. string.format('%d', line - found[1] + 1)
  end

  local function drop_from_indexes(id)
    for lane = 1, 3 do
      for _, of in pairs(INDEX) do index(of(lane), id) end
    end
    index(KEY.expected, id)
    index(KEY.late, id)
    index(KEY.stopping, id)
  end

  -- -> state and lane of the index that has an id; nil if none has.
  local function index_holding(id)
    for lane = 1, 3 do
      for status, of in pairs(INDEX) do
        if redis.call('ZSCORE', of(lane), id) then return status, tostring(lane) end
      end
    end
  end

  local function list_as_ended(record, id)
    for _, one in ipairs(ended) do
      if one[1] == record then return end
    end
    ended[#ended + 1] = {record, id}
  end

  local function list_as_unreadable(id)
    redis.call('ZADD', KEY.damaged, ARG.now, id)
    redis.call('ZREMRANGEBYSCORE', KEY.damaged, '-inf', ARG.now - KEPT_MS)
    local surplus = redis.call('ZCARD', KEY.damaged) - MOST_DAMAGED_IDS
    if surplus > 0 then redis.call('ZREM', KEY.damaged, unpack(redis.call('ZRANGE', KEY.damaged, 0, surplus - 1))) end
  end

  -- End a message whose record cannot be processed, and make the record readable again: a dead letter if it surely was not
  -- sent, otherwise its end is unknown. A message that has ended stays in its state. An id without a record leaves the
  -- indexes.
  -- where   the place in the source of an error of the script, for a record that can be read
  -- why     for a record that cannot
  -- taken   the name of a field that the worker that claimed it found unreadable; it sent nothing
  local function set_aside(record, id, where, why, taken)
    local held, lane = index_holding(id)
    local account = list_raw(record, {Field.account}) or {}
    local is_others = (account[1] or '') ~= ARG.account  -- its index is not among these: without a state it may be sent
    local known, faults = repair(record, held or is_others and Status.in_doubt or nil, lane, taken)
    why = faults ~= '' and faults or why
    local from = known and known.status
    if from and not why and (from == Status.dead or is_final(from)) then return end
    drop_from_indexes(id)
    if not from then return end
    forget_wait(record, id, known)
    pause.forget(record, id, known)
    if why then list_as_unreadable(id) end
    if is_final(from) then return end
    local code, text = INTERNAL_ERROR, 'damaged record: ' .. (why or where)
    if why then
      local is_of_lane = held ~= Status.dead and held ~= Status.paused
      local place = not is_of_lane and held or held and held .. ' of lane ' .. lane
      code, text = DAMAGED, text .. (place and '; it was in the index ' .. place or '')
    end
    local to = not taken and MAY_BE_SENT[from] and Status.unknown or Status.dead
    drop(record, Field.token)
    write(record, Field.status, to, Field.code, code, Field.reason, code, Field.owner, OPERATOR, Field.text, text,
      Field.ended, ARG.now)
    keep_for(record, KEPT_MS)
    if to == Status.dead then index(KEY.dead, id, ARG.now) end
    if from == Status.dead then return end
    count((to == Status.dead and Count.dead or Count.unknown) .. code .. ':' .. OPERATOR)
    count_of(TO[known.lane], to)
    pcall(commit, record, known, from, to)
    list_as_ended(record, id)
  end

  function set_aside_and_report(record, id, failed, why, taken)
    local where = why and '' or place_in_source(failed)
    set_aside(record, id, where, why, taken)
    reported[#reported + 1] = {id, where, why or ''}
  end
end

-- -> the named fields of a record, which is set aside first if it cannot be read.
local function read_or_set_aside(record, id, names)
  local is_read, known = pcall(read, record, names)
  if is_read then return known end
  local why = why_unreadable(known, record)
  if not why then error(known, 0) end
  set_aside_and_report(record, id, known, why)
  return read(record, names)
end

-- Write indexes, charges and counts, and publish outcomes; the last call of a script. -> its reply, and what was damaged
local function moved(answer)
  for _, one in ipairs(damaged) do set_aside_and_report(one[3], one[1], one[2], one[4]) end
  write_indexes()
  write_burnt()
  write_shares()
  tallied()
  publish_outcomes()
  return {answer, reported}
end
