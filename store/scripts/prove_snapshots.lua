-- Sets the times of existing snapshots. ARGV: prefix, fence, ttl s, ts_epoch, ts_epoch_ms, ts_iso,
-- verified_by, then for each snapshot its symbol and the ts_epoch_ms that it must have. Returns the symbols
-- that have no such snapshot: Redis may have lost the latest write, which the proof is about.
local prefix, fence, ttl, sec, ms, iso, by = unpack(ARGV, 1, 7)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local missing = {}
for i = 8, #ARGV, 2 do
  local key = prefix .. ':position:snapshot:' .. ARGV[i]
  local found = redis.pcall('HMGET', key, 'position_amt', 'ts_epoch_ms')
  if not found.err and found[1] and found[2] == ARGV[i + 1] then
    redis.call('HSET', key, 'ts_epoch', sec, 'ts_epoch_ms', ms, 'ts_iso', iso, 'verified_by', by)
    redis.call('EXPIRE', key, ttl)
  else
    missing[#missing + 1] = ARGV[i]
  end
end
return missing
