-- Looks for a text in a slice of a stream. ARGV: stream, the first and the last id to look at, the most entries to look
-- at, the text, `back` for newest first. Returns the number of entries looked at, the id of the last of them, and those
-- of which a value has the text (20 at most: the rest is looked at again), as XRANGE does.
local stream, first, last, count, text = unpack(ARGV)
local entries = ARGV[6] == 'back' and redis.call('XREVRANGE', stream, first, last, 'COUNT', count)
  or ARGV[6] ~= 'back' and redis.call('XRANGE', stream, first, last, 'COUNT', count)
local found, looked, at = {}, 0, ''
for _, entry in ipairs(entries) do
  local flat = entry[2]
  for j = 2, #flat, 2 do
    if string.find(flat[j], text, 1, true) then
      found[#found + 1] = entry
      break
    end
  end
  looked, at = looked + 1, entry[1]
  if #found == 20 then break end
end
return { looked, at, found }
