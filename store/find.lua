-- PARTS record
-- Find the messages that match.
-- KEYS  records   ARG  wanted (field -> required value; '' is an absent field), former (other spellings of the recipient), tag ('': any),
--       at_gateway (only those that the gateway holds), shown (fields)
-- ->    for each match {position, then the values of shown, '' for an absent field; all '' for what is no hash}
local place, answers, SCHEDULED = {}, {}, STORED[Status.paused]
for i, name in ipairs(ARG.shown) do place[name] = i end
local former = {}
for _, number in ipairs(ARG.former) do former[number] = true end
for i = 1, #KEY.records do
  local found = list_raw(KEY.records[i], ARG.shown)  -- unreadable records are listed as such
  local exists = not found
  found = found or {}
  if found[place[Field.paused]] and found[place[Field.status]] == SCHEDULED then found[place[Field.status]] = Status.paused end
  for j = 1, #ARG.shown do exists = exists or found[j] end
  local matches = exists and (not ARG.at_gateway or found[place[Field.gateway_due]])
    and (ARG.tag == '' or string.find(',' .. (found[place[Field.tags]] or '') .. ',', ',' .. ARG.tag .. ',', 1, true))
  for name, value in pairs(ARG.wanted) do
    local has = found[place[name]]
    matches = matches and ((has or '') == value or name == Field.to and former[has])
  end
  if matches then
    local answer = {tostring(i)}
    for j = 1, #ARG.shown do answer[j + 1] = found[j] or '' end
    answers[#answers + 1] = answer
  end
end
return answers
