-- Deletes the hold of an order. ARGV: prefix, fence, symbol, client order id. Returns 1 if there was one.
local prefix, fence, symbol, client_id = unpack(ARGV)
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local hold = prefix .. ':reconcile:hold:' .. symbol
local sig_key = prefix .. ':reconcile:hold_sig:' .. symbol
local reason_key = prefix .. ':reconcile:hold_reason:' .. symbol
local refusal = refused({ { 'DEL', hold }, { 'DEL', sig_key }, { 'DEL', reason_key } })
if refusal then return refusal end
if redis.call('TYPE', sig_key).ok ~= 'string' or redis.call('GET', sig_key) ~= 'exec:' .. client_id then
  return 0
end
redis.call('DEL', sig_key)
redis.call('DEL', reason_key)
return redis.call('DEL', hold)
