-- PARTS move
-- Move ids from an index of all lanes, as earlier versions write it, to the index of their lane, with their score.
-- KEYS  former, records   ARG  now, status (of that index), ids
-- ->    how many were moved; the others had left that state
local adopted, FIELDS, scores = 0, fields(), redis.call('ZMSCORE', KEY.former, unpack(ARG.ids))
each(ARG.ids, function(i, id)
  local known = read(KEY.records[i], FIELDS)
  if not is_own(known) then return leave_stray(KEY.former, id, known) end
  index(KEY.former, id)
  if scores[i] and known.status == ARG.status then
    index(index_of(known.status, known.lane), id, scores[i])
    adopted = adopted + 1
  end
end)
return moved(adopted)
