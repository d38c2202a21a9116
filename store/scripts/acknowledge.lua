-- Acknowledges entries, putting one into a dead-letter stream first if told to.
-- ARGV: prefix, fence, group, stream, dead stream, msgpack of ids, msgpack of flat dead-letter fields.
local prefix, fence, group, stream, dead = unpack(ARGV, 1, 5)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local fields = cmsgpack.unpack(ARGV[7])
if #fields > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(fields)) end
return redis.call('XACK', stream, group, unpack(cmsgpack.unpack(ARGV[6])))
