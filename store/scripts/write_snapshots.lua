-- Replaces snapshot hashes whole. ARGV: prefix, fence, msgpack of SnapshotWrite[].
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
for _, s in ipairs(cmsgpack.unpack(ARGV[3])) do
  local key = prefix .. ':position:snapshot:' .. s[1]
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(s[3]))
  redis.call('EXPIRE', key, s[2])
end
return 1
