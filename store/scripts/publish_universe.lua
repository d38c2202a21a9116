-- Publishes the universe, or marks it as stale, whole or not at all.
-- ARGV: prefix, fence, beginning of the universe's keys, stream of events, the last_ok that this rests on
-- ('': none), msgpack of UniverseWrite, stream of the audit. Returns 1, or 0 where last_ok is another one by now.
local prefix, fence, base, events, rests_on = unpack(ARGV, 1, 5)
local audit = ARGV[7]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local active, last_ok, closing, volumes, meta =
  base .. ':active', base .. ':last_ok', base .. ':closing', base .. ':volumes', base .. ':meta'
local kinds = { [active] = 'string', [last_ok] = 'string', [closing] = 'string', [volumes] = 'string',
  [meta] = 'hash', [events] = 'stream', [audit] = 'stream' }
for key, wanted in pairs(kinds) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. wanted)
  end
end
if (redis.call('GET', last_ok) or '') ~= rests_on then return 0 end
local refusal = refused({ { 'XADD', events, '*', 'f', '' }, { 'XADD', audit, '*', 'f', '' }, { 'SET', volumes, '', 'PX', 1 },
  { 'SET', last_ok, '' }, { 'SET', closing, '' }, { 'HSET', meta, 'f', '' }, { 'SET', active, '', 'PX', 1 },
  { 'PEXPIRE', active, 1 } })
if refusal then return refusal end
local write = cmsgpack.unpack(ARGV[6])
local active_text, active_ttl, last_ok_text, closing_text = unpack(write, 1, 4)
local volumes_text, volumes_ttl, meta_fields, changes, audit_fields = unpack(write, 5, 9)
-- Of a server that is full the first write is refused, whichever it is: all of them take memory.
if #audit_fields > 0 then redis.call('XADD', audit, 'MAXLEN', '~', 200, '*', unpack(audit_fields)) end
for _, change in ipairs(changes) do redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(change)) end
if volumes_text ~= '' then redis.call('SET', volumes, volumes_text, 'PX', volumes_ttl) end
if closing_text ~= '' then redis.call('SET', closing, closing_text) end
if last_ok_text ~= '' then redis.call('SET', last_ok, last_ok_text) end
if #meta_fields > 0 then redis.call('HSET', meta, unpack(meta_fields)) end
if active_text ~= '' then
  redis.call('SET', active, active_text, 'PX', active_ttl)
elseif active_ttl > 0 then
  redis.call('PEXPIRE', active, active_ttl)
end
return 1
