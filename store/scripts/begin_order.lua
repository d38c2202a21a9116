-- Consumes the permits of a plan and writes the record of its order, or nothing at all. ARGV: prefix, fence,
-- msgpack of what is unpacked below, then key and verified text of each permit, then the switches as assumed:
-- for each its key and '=' with its value, or '' where it is missing.
-- Returns { 'begun' }, or the reason why nothing was written, with an age (ms) or the consumer, and behind an
-- age of a permit its place among them, from 0.
-- `permit_gate` consumes a plan's permits by the same mark: of its consumers and this script one succeeds.
-- The permits are deleted last: while one is there, its plan has no order.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
local b = cmsgpack.unpack(ARGV[3])
local plan_id, symbol, client_id, score, fields, record_ttl, consumer, mark_ttl = unpack(b, 1, 8)
local published, plan_max_age, deadline, permit_max_age, tolerance, ignores_hold = unpack(b, 9, 14)
-- Creation (epoch ms) of each permit, -1 for one without; whether the key `lockdown` exists.
local created, lockdown, audit_fields = unpack(b, 15, 17)
-- The plan's stream with the executor's group and its last id.
local stream, group, last = unpack(b, 18, 20)
local permits = #created
local record = prefix .. ':executor:order:' .. plan_id
local names = prefix .. ':executor:client:' .. client_id
local open = prefix .. ':executor:open'
local audit = prefix .. ':stream:executor.audit'
local mark_key = prefix .. ':permit_gate:consumed:' .. plan_id
local hold = prefix .. ':reconcile:hold:' .. symbol
local sig_key = prefix .. ':reconcile:hold_sig:' .. symbol
local reason_key = prefix .. ':reconcile:hold_reason:' .. symbol
local reservations = prefix .. ':p33:open:' .. symbol
local results = prefix .. ':stream:apply.result'

-- Of all that the end of an order needs, too: without it an order would be out that could not be published.
local expected = {
  { open, 'zset' }, { audit, 'stream' }, { results, 'stream' }, { stream, 'stream' }, { last, 'string' },
}
for _, pair in ipairs(expected) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local needed = {
  { 'HSET', record, 'f', '' }, { 'PEXPIRE', record, 1 }, { 'SET', names, '' }, { 'ZADD', open, 1, 'f' },
  { 'SET', mark_key, '' }, { 'XADD', audit, '*', 'f', '' },
  { 'XADD', results, '*', 'f', '' }, { 'ZREM', open, 'f' }, { 'SET', last, '' },
  { 'SET', prefix .. ':cooldown:last_exec_ts:' .. symbol, '' }, { 'XACK', stream, group, '0-1' },
  { 'HSET', reservations, 'f', '' }, { 'PEXPIRE', reservations, 1 },
}
for _, key in ipairs({ hold, sig_key, reason_key }) do
  needed[#needed + 1] = { 'SET', key, '' }
  needed[#needed + 1] = { 'DEL', key }
end
for i = 1, permits do needed[#needed + 1] = { 'DEL', ARGV[2 * i + 2] } end
local refusal = refused(needed)
if refusal then return refusal end

-- A STRING's value: false when missing, '!' for another type.
local function value_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return false end
  return kind == 'string' and redis.call('GET', key) or '!'
end

local mark = value_of(mark_key)
if mark then return { 'exists', mark } end
-- An order of this plan that was found without a record has one under its client order id.
if redis.call('EXISTS', record, names) > 0 then return { 'exists', '' } end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now - published > plan_max_age then return { 'expired', string.format('%.0f', now - published) } end
if now > deadline then return { 'late', string.format('%.0f', now - deadline) } end

for i = 1, permits do
  if value_of(ARGV[2 * i + 2]) ~= ARGV[2 * i + 3] then return { 'changed', '' } end
  if created[i] >= 0 then
    local age = now - created[i]
    if age > permit_max_age then return { 'too_old', string.format('%.0f', age), i - 1 } end
    if -age > tolerance then return { 'from_the_future', string.format('%.0f', -age), i - 1 } end
  end
end
if not ignores_hold and redis.call('EXISTS', hold) == 1 then return { 'hold', '' } end
for i = 4 + 2 * permits, #ARGV, 2 do
  local value = value_of(ARGV[i])
  if (value and '=' .. value or '') ~= ARGV[i + 1] then return { 'switched', '' } end
end
if (redis.call('EXISTS', prefix .. ':lockdown') == 1) ~= lockdown then return { 'switched', '' } end

redis.call('HSET', record, unpack(fields))
redis.call('PEXPIRE', record, record_ttl)
redis.call('SET', names, plan_id, 'PX', record_ttl)
redis.call('ZADD', open, score, plan_id)
if #audit_fields > 0 then redis.call('XADD', audit, 'MAXLEN', '~', 100000, '*', unpack(audit_fields)) end
redis.call('SET', mark_key, consumer, 'PX', mark_ttl)
for i = 1, permits do redis.call('DEL', ARGV[2 * i + 2]) end
return { 'begun', '' }
