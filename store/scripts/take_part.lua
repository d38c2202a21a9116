-- Records a consumer as one of ours. ARGV: prefix, fence, consumer.
local prefix, fence, consumer = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
return redis.call('HSET', prefix .. ':p33:players', consumer, fence)
