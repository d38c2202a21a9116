-- Sets or lifts a hold by the word of an operator. ARGV: prefix, symbol, then hold, reason and owner as they were
-- seen ('=' with each, or '' for none), the new reason and owner ('' lifts the hold), msgpack of the event's flat
-- names and values. Returns 1, or 0 where the hold is another.
local prefix, symbol = ARGV[1], ARGV[2]
local reason, sig = ARGV[6], ARGV[7]
local hold = prefix .. ':reconcile:hold:' .. symbol
local reason_key = prefix .. ':reconcile:hold_reason:' .. symbol
local sig_key = prefix .. ':reconcile:hold_sig:' .. symbol
local events = prefix .. ':stream:reconcile.events'
local kind = redis.call('TYPE', events).ok
if kind ~= 'stream' and kind ~= 'none' then
  return redis.error_reply('WRONGTYPE ' .. events .. ' is a ' .. kind .. ', not a stream')
end
local needed = { { 'XADD', events, '*', 'f', '' } }
for _, key in ipairs({ hold, reason_key, sig_key }) do
  needed[#needed + 1] = { 'SET', key, '' }
  needed[#needed + 1] = { 'DEL', key }
end
local refusal = refused(needed)
if refusal then return refusal end
for i, key in ipairs({ hold, reason_key, sig_key }) do
  local found = text_of(key)
  -- What is left of a hold that has ended says nothing.
  if (found and '=' .. found or '') ~= ARGV[i + 2] then return 0 end
  if i == 1 and not found then break end
end
redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(cmsgpack.unpack(ARGV[8])))
if sig == '' then
  redis.call('DEL', sig_key)
  redis.call('DEL', reason_key)
  redis.call('DEL', hold)
else
  redis.call('SET', sig_key, sig)
  redis.call('SET', reason_key, reason)
  redis.call('SET', hold, '1')
end
return 1
