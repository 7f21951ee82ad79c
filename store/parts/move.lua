-- PARTS record, tally, index, events, money
-- Move: a message goes from one state to another as the table in store/states.py allows; its index, budgets and counts
-- follow. The record of a message is read and written once.

local MAY, INDEX = Table.may_follow, Table.indexes
local TO = {
  ['1'] = Count.to .. '1:', ['2'] = Count.to .. '2:', ['3'] = Count.to .. '3:',
}
local ended = {}

-- The names of the fields that a move reads, and the other fields that a script reads.
local function fields(...) return {Field.status, Field.lane, Field.estimate, Field.period, ...} end

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
  return true
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
