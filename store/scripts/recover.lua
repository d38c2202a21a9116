-- Claims the oldest pending entry behind ARGV 'after' that lay idle. ARGV: prefix, fence, group, stream,
-- consumer, after ('0': any), idle ms. Answers nil, or {id, deliveries, fields or nil when it was deleted}.
local prefix, fence, group, stream, consumer, after, idle = unpack(ARGV)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local start = after == '0' and '-' or '(' .. after
local pending = redis.call('XPENDING', stream, group, 'IDLE', idle, start, '+', 1)
if #pending == 0 then return false end
local id, deliveries = pending[1][1], pending[1][4]
local entry = redis.call('XRANGE', stream, id, id)
-- To claim a deleted entry is to lose it on Redis 7, before anybody wrote down that it was there.
if not entry[1] then return { id, deliveries + 1, false } end
redis.call('XCLAIM', stream, group, consumer, 0, id)
return { id, deliveries + 1, entry[1][2] }
