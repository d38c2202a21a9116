-- Moves the mark price of existing snapshots. ARGV: prefix, fence, msgpack of MarkWrite[].
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
for _, m in ipairs(cmsgpack.unpack(ARGV[3])) do
  local key = prefix .. ':position:snapshot:' .. m[1]
  if redis.pcall('HEXISTS', key, 'position_amt') == 1 then
    redis.call('HSET', key, 'mark_price', m[2], 'mark_ts_epoch_ms', m[4])
    if m[3] == '' then
      redis.call('HDEL', key, 'unrealized_pnl')
    else
      redis.call('HSET', key, 'unrealized_pnl', m[3])
    end
  end
end
return 1
