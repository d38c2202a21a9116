-- Returns what waits. ARGV: group, most entries of each kind, most fields of each entry, most bytes of a name or value,
-- then a stream and its dead letters, for each. Returns Redis's time { s, µs } and for each stream its number of pending
-- entries, the oldest { id, consumer, idle (ms), deliveries, flat fields or false }, its number of dead letters, the
-- newest { id, flat fields }; a text in the place of any that cannot be read.
local group, entries, fields, bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function cut(flat)
  local kept = {}
  for i = 1, math.min(#flat, 2 * fields) do kept[i] = string.sub(flat[i], 1, bytes) end
  return kept
end

local function pending(stream)
  local summary = redis.pcall('XPENDING', stream, group)
  if summary.err then return summary.err, summary.err end
  local found = {}
  for i, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', entries)) do
    local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
    found[i] = { row[1], row[2], row[3], row[4], entry and cut(entry[2]) or false }
  end
  return summary[1], found
end

local function letters(stream)
  local count = redis.pcall('XLEN', stream)
  if type(count) == 'table' then return count.err, count.err end
  local newest, found = redis.pcall('XREVRANGE', stream, '+', '-', 'COUNT', entries), {}
  if newest.err then return newest.err, newest.err end
  for i, entry in ipairs(newest) do found[i] = { entry[1], cut(entry[2]) } end
  return count, found
end

local answer = { redis.call('TIME') }
for i = 5, #ARGV, 2 do
  local pending_count, oldest = pending(ARGV[i])
  local letter_count, newest = letters(ARGV[i + 1])
  answer[#answer + 1] = { pending_count, oldest, letter_count, newest }
end
return answer
