-- Writes the record of an order that was found without one, with its event and hold, if any. ARGV: prefix, fence,
-- msgpack of what is unpacked below; without a reason nothing is held. Returns 1; 0 where there is a record; or 2
-- where another holds the symbol. The hold comes last, when it has its owner and reason.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local plan_id, client_id, symbol, fields, ttl, event, reason, hold_ttl = unpack(cmsgpack.unpack(ARGV[3]))
local record = prefix .. ':executor:order:' .. plan_id
local names = prefix .. ':executor:client:' .. client_id
local events = prefix .. ':stream:reconcile.events'
local hold = prefix .. ':reconcile:hold:' .. symbol
local sig_key = prefix .. ':reconcile:hold_sig:' .. symbol
local reason_key = prefix .. ':reconcile:hold_reason:' .. symbol
for _, pair in ipairs({ { events, 'stream' }, { names, 'string' } }) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local refusal = refused({
  { 'HSET', record, 'f', '' }, { 'PEXPIRE', record, 1 }, { 'SET', names, '' },
  { 'XADD', events, '*', 'f', '' }, { 'SET', sig_key, '' }, { 'SET', reason_key, '' }, { 'SET', hold, '' },
})
if refusal then return refusal end
local known = redis.call('GET', names) or plan_id
for _, id in ipairs({ plan_id, known }) do
  if redis.call('EXISTS', prefix .. ':executor:order:' .. id) == 1 then return 0 end
end
local sig = 'exec:' .. client_id
if reason ~= '' and redis.call('EXISTS', hold) == 1 then
  if redis.call('TYPE', sig_key).ok ~= 'string' or redis.call('GET', sig_key) ~= sig then return 2 end
end
redis.call('HSET', record, unpack(fields))
redis.call('PEXPIRE', record, ttl)
redis.call('SET', names, plan_id, 'PX', ttl)
if #event > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(event)) end
if reason ~= '' then
  redis.call('SET', sig_key, sig, 'PX', hold_ttl)
  redis.call('SET', reason_key, reason, 'PX', hold_ttl)
  redis.call('SET', hold, '1', 'PX', hold_ttl)
end
return 1
