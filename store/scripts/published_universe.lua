-- Reads the universe as it was published last, all of one moment. ARGV: the beginning of its keys.
-- Returns {active, last_ok, flat meta, closing, volumes}; a missing text is nil.
local base = ARGV[1]
return { redis.call('GET', base .. ':active'), redis.call('GET', base .. ':last_ok'),
  redis.call('HGETALL', base .. ':meta'), redis.call('GET', base .. ':closing'),
  redis.call('GET', base .. ':volumes') }
