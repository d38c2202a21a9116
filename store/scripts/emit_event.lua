-- Appends a reconcile event. ARGV: prefix, fence, msgpack of flat names and values.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local events = prefix .. ':stream:reconcile.events'
return redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(cmsgpack.unpack(ARGV[3])))
