-- PARTS record, tally, index, events, money, waiting
-- Move: a message goes from one state to another as the table in store/states.py allows; its index, budgets and counts
-- follow, and, off the plain path, why and since when it waits. The record of a message is read and written once.

local MAY, INDEX = Table.may_follow, Table.indexes
local TO = {
  ['1'] = Count.to .. '1:', ['2'] = Count.to .. '2:', ['3'] = Count.to .. '3:',
}
local ended = {}

-- The names of the fields that a move reads, and the other fields that a script reads.
local function fields(...) return {Field.status, Field.lane, Field.estimate, Field.period, Field.waiting, ...} end

-- The index of a state and a lane, or nil for a final state.
local function index_of(status, lane)
  local of = INDEX[status]
  return of and of(lane)
end

local function may(from, to) return MAY[from][to] end

local function is_final(status) return not next(MAY[status]) end

-- Put a record into a state: its fields, the state's index, and the count.
local function place(record, id, known, to, score, ...)
  write(record, Field.status, to, ...)
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
  if given or BECAUSE[to] then return given or BECAUSE[to] end
  local was_off = from == Status.in_doubt or known.waiting and not string.find(known.waiting, WINDOW, 1, true)
  return to == Status.queued and was_off and Cause.requeued or nil
end

local function follow_wait(record, id, known, from, to)
  local cause = why_it_waits(known, from, to)
  if cause then
    note_wait(record, id, known, cause)
  elseif to ~= Status.sending then
    forget_wait(record, id, known)
  end
end

-- Move a record from the state in `known` to another, if the table allows it, and write the given fields; -> true, or
-- false and nothing changed. The token is deleted with its attempt, the body with the last one.
local function move(record, id, known, to, score, ...)
  local from = known.status
  if not MAY[from] or not MAY[from][to] then return false end
  index(index_of(from, known.lane), id)
  if to == Status.sent or is_final(to) then
    drop(record, Field.body, Field.token)
  elseif from == Status.sending then
    drop(record, Field.token)
  end
  place(record, id, known, to, score, ...)
  commit(record, known, from, to)
  follow_wait(record, id, known, from, to)
  return true
end

-- Move a record to a state in which the message waits for a cause that does not follow from the states.
local function move_because(cause, record, id, known, to, score)
  given = cause
  local is_moved = move(record, id, known, to, score)
  given = nil
  return is_moved
end

local OUTCOME = {Field.status, Field.producer, Field.client, Field.lane, Field.to, Field.parts, Field.accepted, Field.sent,
  Field.ended, Field.code, Field.reason, Field.owner, Field.network, Field.charge}

local function publish_outcomes()
  for _, one in ipairs(ended) do
    local known, entry = read_list(one[1], OUTCOME), {EventField.type, EventType.outcome, EventField.id, one[2]}
    for i, name in ipairs(OUTCOME) do
      entry[#entry + 1] = name
      entry[#entry + 1] = known[i]
    end
    publish(unpack(entry))
  end
end

-- Write indexes, charges and counts, and publish outcomes; the last call of a script. -> its reply
local function moved(answer)
  write_indexes()
  write_burnt()
  tallied()
  publish_outcomes()
  return answer
end
