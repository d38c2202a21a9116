-- Holds the symbol of an order of which the outcome is unknown, and keeps its record and the reservation of its
-- permit. ARGV: prefix, fence, symbol, plan id, client order id, reason, ttl ms, the record's ttl ms.
-- Returns 1; or 0 where another holds the symbol: that hold is left alone. Without a reason nothing is held.
-- The hold comes last, when it has its owner and reason.
local prefix, fence, symbol, plan_id, client_id, reason, ttl, record_ttl = unpack(ARGV)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local hold = prefix .. ':reconcile:hold:' .. symbol
local sig_key = prefix .. ':reconcile:hold_sig:' .. symbol
local reason_key = prefix .. ':reconcile:hold_reason:' .. symbol
local open = prefix .. ':p33:open:' .. symbol
local record = prefix .. ':executor:order:' .. plan_id
local refusal = refused({
  { 'SET', sig_key, '' }, { 'SET', reason_key, '' }, { 'HSET', open, 'f', '' }, { 'PTTL', open },
  { 'PEXPIRE', open, 1 }, { 'PEXPIRE', record, 1 }, { 'SET', hold, '' },
})
if refusal then return refusal end

local sig = 'exec:' .. client_id
local ours = reason ~= '' and redis.call('EXISTS', hold) == 0
if reason ~= '' and not ours and redis.call('TYPE', sig_key).ok == 'string' then ours = redis.call('GET', sig_key) == sig end
-- An unreadable reservation is left to P3.3, which decides nothing on the symbol then.
local value = redis.call('TYPE', open).ok == 'hash' and redis.call('HGET', open, 'p:' .. plan_id) or ''
local reserved, ends = string.match(value, '^(%u+|%l+|%u*|%d[%d.]*)|(%d+)$')
local time = redis.call('TIME')
local expires = time[1] * 1000 + math.floor(time[2] / 1000) + ttl

if ours then
  redis.call('SET', sig_key, sig, 'PX', ttl)
  redis.call('SET', reason_key, reason, 'PX', ttl)
end
if reserved and #ends <= 15 and tonumber(ends) < expires then
  local text = string.format('%.0f', expires)
  redis.call('HSET', open, 'v', 'x' .. client_id .. '|' .. text, 'p:' .. plan_id, reserved .. '|' .. text)
  redis.call('PEXPIRE', open, math.max(redis.call('PTTL', open), ttl + 60000))
end
redis.call('PEXPIRE', record, record_ttl)
if ours then redis.call('SET', hold, '1', 'PX', ttl) end
return ours and 1 or 0
