-- Appends to a stream of the executor, and acknowledges an entry where one is given. ARGV: prefix, fence,
-- stream, its length, msgpack of flat names and values; or also the entry's stream, group and id: then nothing is
-- appended for an entry that is acknowledged already.
local prefix, fence, stream, length, fields, source, group, entry_id = unpack(ARGV)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
for _, key in ipairs({ stream, source }) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a stream')
  end
end
local needed = { { 'XADD', stream, '*', 'f', '' } }
if source then needed[2] = { 'XACK', source, group, '0-1' } end
local refusal = refused(needed)
if refusal then return refusal end
if source then
  local pending = redis.pcall('XPENDING', source, group, entry_id, entry_id, 1)
  if not pending.err and #pending == 0 then return 0 end
end
redis.call('XADD', stream, 'MAXLEN', '~', length, '*', unpack(cmsgpack.unpack(fields)))
if source then redis.call('XACK', source, group, entry_id) end
return 1
