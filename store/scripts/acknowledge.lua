-- Acknowledges entries; where dead-letter fields are given, appends them to the dead-letter stream first.
-- ARGV: prefix, fence, group, stream, dead stream, msgpack of ids, msgpack of flat dead-letter fields.
local prefix, fence, group, stream, dead = unpack(ARGV, 1, 5)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
for _, key in ipairs({ stream, dead }) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a stream')
  end
end
local refusal = refused({ { 'XADD', dead, '*', 'f', '' }, { 'XACK', stream, group, '0-1' } })
if refusal then return refusal end
local fields = cmsgpack.unpack(ARGV[7])
if #fields > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(fields)) end
for _, id in ipairs(cmsgpack.unpack(ARGV[6])) do redis.call('XACK', stream, group, id) end
return 1
