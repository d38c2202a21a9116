-- Books fills that no result has reported, whole or not at all. ARGV: prefix, fence, beginning of the engine's own keys,
-- stream of its events, 1 or 0 in the shadow (where no ledger and no order memory is written), msgpack of what is
-- unpacked below. Returns 1; or 0, with nothing written, where the ledger, the memory of an order or the hold's owner has
-- changed.
-- The memory comes before the ledger: on Redis 6.2, which does not show a script its rights, a fill that is left out is
-- found again, while one without a memory is booked a second time by its result. The hold ends, or has its next owner,
-- last.
local prefix, fence, base, events, acts = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local r = cmsgpack.unpack(ARGV[6])
local symbol, before, version, ledger_fields, ledger_ttl = unpack(r, 1, 5)
local booked, fields, entries, sig, next_sig, reason, ttl = unpack(r, 6, 12)
local ledger = prefix .. ':position:ledger:' .. symbol
local orders = prefix .. ':p33:orders:' .. symbol
local order_times = prefix .. ':p33:order_times:' .. symbol
local state = base .. ':state:' .. symbol
local hold_key = base .. ':hold:' .. symbol
local reason_key = base .. ':hold_reason:' .. symbol
local sig_key = base .. ':hold_sig:' .. symbol
for _, pair in ipairs({ { ledger, 'hash' }, { orders, 'hash' }, { order_times, 'zset' }, { state, 'hash' },
  { events, 'stream' } }) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local needed = { { 'HSET', state, 'f', '' }, { 'PEXPIRE', state, 1 }, { 'XADD', events, '*', 'f', '' } }
for _, key in ipairs({ hold_key, reason_key, sig_key }) do
  needed[#needed + 1] = next_sig == '' and { 'DEL', key } or { 'SET', key, '' }
end
if acts then
  needed[#needed + 1] = { 'HSET', ledger, 'f', '' }
  needed[#needed + 1] = { 'PEXPIRE', ledger, 1 }
  add_memory_rights(needed, orders, order_times)
end
local refusal = refused(needed)
if refusal then return refusal end

local hold = standing_hold(prefix, base, symbol)
if not is_ours(hold) or hold.sig ~= sig then return 0 end
local stored = redis.call('HMGET', ledger, 'last_known_amt', 'last_order_id', 'last_order_time_epoch', 'long_amt',
  'short_amt', 'version')
for i = 1, 5 do
  if text(stored[i]) ~= before[i] then return 0 end
end
if text(stored[6]) ~= version then return 0 end
for _, order in ipairs(booked) do
  if text(redis.call('HGET', orders, order[1])) ~= order[2] then return 0 end
end

if acts and #booked > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  remember_orders(orders, order_times, booked, now)
  forget_orders(orders, order_times, now)
end
if acts and #ledger_fields > 0 then
  redis.call('HSET', ledger, unpack(ledger_fields))
  redis.call('PEXPIRE', ledger, ledger_ttl)
end
if #fields > 0 then
  redis.call('HSET', state, unpack(fields))
  redis.call('PEXPIRE', state, 86400000)
end
for _, entry in ipairs(entries) do
  redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(entry))
end
if next_sig ~= '' then
  redis.call('SET', sig_key, next_sig, 'PX', ttl)
  redis.call('SET', reason_key, reason, 'PX', ttl)
  redis.call('SET', hold_key, '1', 'PX', ttl)
else
  redis.call('DEL', sig_key)
  redis.call('DEL', reason_key)
  redis.call('DEL', hold_key)
end
return 1
