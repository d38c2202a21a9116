-- Claims the oldest pending entries behind ARGV 'after' that lay idle. ARGV: prefix, fence, group, stream,
-- consumer, after ('0': any), idle ms, count, 'alone' or 'together'. Returns {id, deliveries, fields or nil
-- when it was deleted} for each. With 'alone', one that was delivered more than once before comes alone.
local prefix, fence, group, stream, consumer, after, idle, count, suspects = unpack(ARGV)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local start = after == '0' and '-' or '(' .. after
local recovered = {}
for i, pending in ipairs(redis.call('XPENDING', stream, group, 'IDLE', idle, start, '+', count)) do
  local id, deliveries = pending[1], pending[4]
  local suspect = suspects == 'alone' and deliveries > 1
  if suspect and i > 1 then break end
  local entry = redis.call('XRANGE', stream, id, id)[1]
  -- On Redis 7 a claim removes a deleted entry from the pending list before it was recorded.
  if entry then redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID', 'RETRYCOUNT', deliveries + 1) end
  recovered[i] = { id, deliveries + 1, entry and entry[2] or false }
  if suspect then break end
end
return recovered
