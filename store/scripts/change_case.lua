-- Writes one step of a case: its state, its hold, its event. ARGV: prefix, fence, beginning of the engine's own keys,
-- stream of its events, msgpack of what is unpacked below. Returns 1; or 0, with nothing written, where the hold is
-- another than `before` (nil: none), or may not be replaced. An empty owner lifts the hold.
-- The hold is set last, when it has its owner and reason.
local prefix, fence, base, events = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local symbol, fields, event, holds, before, sig, reason, ttl = unpack(cmsgpack.unpack(ARGV[5]), 1, 8)
local state = base .. ':state:' .. symbol
local hold_key = base .. ':hold:' .. symbol
local reason_key = base .. ':hold_reason:' .. symbol
local sig_key = base .. ':hold_sig:' .. symbol

local expected, needed = {}, {}
if #fields > 0 then
  expected[1] = { state, 'hash' }
  needed = { { 'HSET', state, 'f', '' }, { 'PEXPIRE', state, 1 } }
end
if #event > 0 then
  expected[#expected + 1] = { events, 'stream' }
  needed[#needed + 1] = { 'XADD', events, '*', 'f', '' }
end
for _, pair in ipairs(expected) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
if holds then
  for _, key in ipairs({ hold_key, reason_key, sig_key }) do
    needed[#needed + 1] = sig == '' and { 'DEL', key } or { 'SET', key, '' }
  end
end
local refusal = refused(needed)
if refusal then return refusal end

if holds then
  local hold = standing_hold(prefix, base, symbol)
  if (hold and hold.sig) ~= before then return 0 end
  -- Of the holds of others only that of an order that has ended may be replaced.
  if hold and not is_ours(hold) and (sig == '' or not has_ended(prefix, hold)) then return 0 end
end

if #fields > 0 then
  redis.call('HSET', state, unpack(fields))
  redis.call('PEXPIRE', state, 86400000)
end
if holds and sig ~= '' then
  redis.call('SET', sig_key, sig, 'PX', ttl)
  redis.call('SET', reason_key, reason, 'PX', ttl)
end
if #event > 0 then redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(event)) end
if holds and sig ~= '' then
  redis.call('SET', hold_key, '1', 'PX', ttl)
elseif holds then
  redis.call('DEL', sig_key)
  redis.call('DEL', reason_key)
  redis.call('DEL', hold_key)
end
return 1
