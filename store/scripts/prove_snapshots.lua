-- Sets the times of existing snapshots, and mark prices with them. ARGV: prefix, fence, ttl s, ts_epoch, ts_epoch_ms,
-- ts_iso, verified_by, then for each snapshot its symbol, the ts_epoch_ms that it must have, its mark price ('' to leave
-- that as it is), its profit ('' for none) and the time of both. Returns the symbols that have no such snapshot: Redis
-- may have lost the latest write, which the proof is about. A snapshot's life is renewed once in a minute of its times.
local prefix, fence, ttl, sec, ms, iso, by = unpack(ARGV, 1, 7)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local missing, minute = {}, math.floor(tonumber(ms) / 60000)
for i = 8, #ARGV, 5 do
  local key, mark, profit = prefix .. ':position:snapshot:' .. ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local found = redis.pcall('HMGET', key, 'position_amt', 'ts_epoch_ms')
  if not found.err and found[1] and found[2] == ARGV[i + 1] then
    if mark == '' then
      redis.call('HSET', key, 'ts_epoch', sec, 'ts_epoch_ms', ms, 'ts_iso', iso, 'verified_by', by)
    elseif profit == '' then
      redis.call('HSET', key, 'ts_epoch', sec, 'ts_epoch_ms', ms, 'ts_iso', iso, 'verified_by', by,
        'mark_price', mark, 'mark_ts_epoch_ms', ARGV[i + 4])
      redis.call('HDEL', key, 'unrealized_pnl')
    else
      redis.call('HSET', key, 'ts_epoch', sec, 'ts_epoch_ms', ms, 'ts_iso', iso, 'verified_by', by,
        'mark_price', mark, 'mark_ts_epoch_ms', ARGV[i + 4], 'unrealized_pnl', profit)
    end
    if math.floor(tonumber(ARGV[i + 1]) / 60000) ~= minute then redis.call('EXPIRE', key, ttl) end
  else
    missing[#missing + 1] = ARGV[i]
  end
end
return missing
