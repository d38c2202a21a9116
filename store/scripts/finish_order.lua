-- Writes the next version of an order's record, or the only one of a plan that ends without an order, with the
-- result that tells of it. ARGV: prefix, fence, msgpack of what is unpacked below.
-- With the version from which on the order is known, its hold ends, or passes to another order of the symbol.
-- Returns 1; or 0 where the stored version is not `before` (0: no record). Then nothing is written, but the
-- second refusal of a plan that is over is acknowledged.
-- The result comes first: a full Redis refuses it, and on Redis 6.2, which does not show a script its rights, a
-- result that is repeated does no harm, while one that is missing loses a fill.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local f = cmsgpack.unpack(ARGV[3])
local plan_id, symbol, before, ended, score, fields, record_ttl = unpack(f, 1, 7)
local result, cooldown, audit_fields, stream, group, last, entry_id = unpack(f, 8, 14)
-- The client order id is empty for a plan without an order.
local dead, dead_fields, client_id = unpack(f, 15, 17)
-- The heir's plan id and client order id are empty where no other order of the symbol is undecided.
local releases, heir_plan, heir_client = unpack(f, 18, 20)
local hold = prefix .. ':reconcile:hold:' .. symbol
local sig_key = prefix .. ':reconcile:hold_sig:' .. symbol
local reason_key = prefix .. ':reconcile:hold_reason:' .. symbol
local names = prefix .. ':executor:client:' .. client_id
local record = prefix .. ':executor:order:' .. plan_id
local open = prefix .. ':executor:open'
local audit = prefix .. ':stream:executor.audit'
local results = prefix .. ':stream:apply.result'
local cooldown_key = prefix .. ':cooldown:last_exec_ts:' .. symbol
-- The entry is acknowledged with the last version; an orphan has none.
local acknowledges = ended and stream ~= ''

local expected = { { record, 'hash' }, { open, 'zset' }, { audit, 'stream' }, { results, 'stream' } }
if acknowledges then
  expected[#expected + 1] = { stream, 'stream' }
  expected[#expected + 1] = { last, 'string' }
end
if #dead_fields > 0 then expected[#expected + 1] = { dead, 'stream' } end
for _, pair in ipairs(expected) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local needed = {
  { 'XADD', results, '*', 'f', '' }, { 'HSET', record, 'f', '' }, { 'PEXPIRE', record, 1 },
  { 'ZADD', open, 1, 'f' }, { 'ZREM', open, 'f' }, { 'XADD', audit, '*', 'f', '' },
}
if #dead_fields > 0 then needed[#needed + 1] = { 'XADD', dead, '*', 'f', '' } end
if cooldown ~= '' then needed[#needed + 1] = { 'SET', cooldown_key, '' } end
if client_id ~= '' then needed[#needed + 1] = { 'SET', names, '' } end
if releases then
  for _, key in ipairs({ hold, sig_key, reason_key }) do needed[#needed + 1] = { 'DEL', key } end
  for _, key in ipairs({ sig_key, reason_key }) do needed[#needed + 1] = { 'SET', key, '' } end
end
if acknowledges then
  needed[#needed + 1] = { 'SET', last, '' }
  needed[#needed + 1] = { 'XACK', stream, group, '0-1' }
end
local refusal = refused(needed)
if refusal then return refusal end

local function release()
  if redis.call('TYPE', sig_key).ok ~= 'string' or redis.call('GET', sig_key) ~= 'exec:' .. client_id then return end
  if heir_client ~= '' then
    redis.call('SET', sig_key, 'exec:' .. heir_client, 'XX', 'KEEPTTL')
    redis.call('SET', reason_key, 'execution_unknown:' .. heir_plan, 'XX', 'KEEPTTL')
  else
    redis.call('DEL', sig_key)
    redis.call('DEL', reason_key)
    redis.call('DEL', hold)
  end
end

if before == 0 then
  if redis.call('EXISTS', record) == 1 then
    if acknowledges and redis.call('HGET', record, 'state') == 'final' then acknowledge(stream, group, last, entry_id) end
    return 0
  end
elseif redis.call('HGET', record, 'version') ~= string.format('%.0f', before) then
  return 0
end

if #result > 0 then redis.call('XADD', results, 'MAXLEN', '~', 100000, '*', unpack(result)) end
redis.call('HSET', record, unpack(fields))
redis.call('PEXPIRE', record, record_ttl)
-- As long as the record lives, events of its order find it.
if client_id ~= '' then redis.call('SET', names, plan_id, 'PX', record_ttl) end
if ended then
  redis.call('ZREM', open, plan_id)
else
  redis.call('ZADD', open, score, plan_id)
end
if cooldown ~= '' then redis.call('SET', cooldown_key, cooldown, 'PX', 3600000) end
if #audit_fields > 0 then redis.call('XADD', audit, 'MAXLEN', '~', 100000, '*', unpack(audit_fields)) end
if #dead_fields > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(dead_fields)) end
if releases then release() end
if acknowledges then acknowledge(stream, group, last, entry_id) end
return 1
