-- Reads what lists of decisions show of a slice of an audit stream, and not the records, some 3 KB each.
-- ARGV: stream, newest and oldest id (`+`, `-`, or behind a bracket), the most entries. Returns for each, newest first:
-- id, plan id, symbol, answer, reason, the id of the entry that it answers, source of the plan. What it lacks is empty.
local longest = 256
local function cut(text) return string.sub(text or '', 1, longest) end
-- Returns the source in the plan of a record, or in its fields; no text of another service can look like a key in it.
local function source_of(record)
  for _, member in ipairs({ '"plan":{', '"fields":{' }) do
    local _, begin = string.find(record, member, 1, true)
    local source = begin and string.match(record, '^[^{}]-"source":"([^"]*)"', begin + 1)
    if source then return source end
  end
end

local rows = {}
for i, entry in ipairs(redis.call('XREVRANGE', ARGV[1], ARGV[2], ARGV[3], 'COUNT', ARGV[4])) do
  local flat, has = entry[2], {}
  for j = 1, #flat, 2 do has[flat[j]] = flat[j + 1] end
  rows[i] = { entry[1], cut(has.plan_id), cut(has.symbol), cut(has.allow or has.granted or has.outcome),
    cut(has.reason or has.step), cut(has.entry_id), cut(source_of(has.record or '') or has.stream) }
end
return rows
