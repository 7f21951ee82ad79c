-- PARTS record
-- Guard: one damaged record stops no script for the other messages.

local MOST_DAMAGED = 3  -- if so many messages fail and none succeeds, the script is at fault
local damaged = {}

local OF_RECORD = {'WRONGTYPE', 'is not an integer', 'is not a valid float', 'not a float', 'overflow'}

-- -> whether an error comes from the data of a record: one of Lua, or of a value of the wrong type. All others are the
--    server's, and stop the script.
local function is_of_record(failed)
  if type(failed) ~= 'table' then return true end
  for _, text in ipairs(OF_RECORD) do
    if string.find(failed.err or '', text, 1, true) then return true end
  end
  return false
end

-- Call work(i, item) for each item; an item whose record cannot be processed is noted as damaged. work returns true to
-- end early. Unreadable records prove nothing against the script, however many there are.
-- id_of      of an item -> its message id, if the items are not ids
-- record_of  of an index -> its record, if that is not the record of the same index
local function each(items, work, id_of, record_of)
  local successes, failures, first = 0, 0, nil
  for i, item in ipairs(items) do
    local is_done, result = pcall(work, i, item)
    if is_done then
      successes = successes + 1
      if result == true then break end
    else
      local record = record_of and record_of(i) or KEY.records[i]
      local why = why_unreadable(result, record)
      if not why then
        if not is_of_record(result) then error(result, 0) end
        first, failures = first or result, failures + 1
      end
      damaged[#damaged + 1] = {id_of and id_of(item) or item, result, record, why}
    end
  end
  if successes == 0 and failures >= MOST_DAMAGED then error(first, 0) end
end
