-- PARTS rows
-- Batches: a batch lists the ids of the messages that were ever accepted into it; batches.py has the layout.

local list_in_batches
do
  local NEW, SAME = AcceptResult.new .. ':', AcceptResult.same .. ':'

  -- -> whether a batch lacks a message: a new one, or one that an earlier version accepted.
  local function is_missing(answer, rows, id)
    if string.sub(answer, 1, #NEW) == NEW then return true end
    return string.sub(answer, 1, #SAME) == SAME and of_table('HGET', rows, id) == false
  end

  -- List the accepted messages of a call in their batches: one write for all rows of a batch. A key of another type, or
  -- a count that is no number, costs the list, and no message.
  function list_in_batches(answers)
    local missing = {}
    for _, row in ipairs(ARG.batch_rows) do
      local at = row[BatchRow.batch]
      if is_missing(answers[row[BatchRow.message]], KEY.batch_keys[2 * at], row[BatchRow.id]) then
        missing[at] = missing[at] or {}
        local listed = missing[at]
        listed[#listed + 1] = row[BatchRow.id]
        listed[#listed + 1] = row[BatchRow.tag]
      end
    end
    for at, batch in ipairs(ARG.batches) do
      local own, rows = KEY.batch_keys[2 * at - 1], KEY.batch_keys[2 * at]
      local added = missing[at] and of_table('HSET', rows, unpack(missing[at]))
      if added then
        if redis.pcall('HINCRBY', own, BatchField.accepted, added) == added then
          of_table('HSET', own, BatchField.producer, batch[NewBatch.producer], BatchField.name, batch[NewBatch.name], BatchField.started, written(ARG.now))
        end
        of_table('HSET', own, BatchField.last, written(ARG.now))
        redis.call('PEXPIRE', own, math.max(ARG.batch_kept_ms, ARG.rows_kept_ms))
        redis.call('PEXPIRE', rows, ARG.rows_kept_ms)
        redis.pcall('ZADD', KEY.batches, ARG.now, batch[NewBatch.digest])
      end
    end
  end
end
