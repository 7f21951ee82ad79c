-- PARTS record
-- Find the messages that match.
-- KEYS  records   ARG  wanted (field -> required value), tag ('': any), at_gateway (only those that the gateway holds)
-- ->    for each match {position, then the values of SHOWN, '' for an absent field}
local SHOWN = {Field.status, Field.lane, Field.to, Field.due, Field.batch, Field.tags, Field.producer, Field.client,
  Field.accepted, Field.code, Field.reason, Field.owner, Field.parts, Field.estimate, Field.expires, Field.gateway_due}
local place, answers = {}, {}
for i, name in ipairs(SHOWN) do place[name] = i end
for i = 1, #KEY.records do
  local found = read_list(KEY.records[i], SHOWN)
  local matches = found[1] and (not ARG.at_gateway or found[place[Field.gateway_due]])
    and (ARG.tag == '' or string.find(',' .. (found[place[Field.tags]] or '') .. ',', ',' .. ARG.tag .. ',', 1, true))
  for name, value in pairs(ARG.wanted) do matches = matches and found[place[name]] == value end
  if matches then
    local answer = {tostring(i)}
    for j = 1, #SHOWN do answer[j + 1] = found[j] or '' end
    answers[#answers + 1] = answer
  end
end
return answers
