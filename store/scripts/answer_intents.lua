-- Writes answers to intents of one stream, each whole or not at all, up to the first that is not written.
-- ARGV: prefix, fence, msgpack of names that are unpacked below, msgpack of answers (`store/bridge_values.py`).
-- Returns Redis's clock (ms) and a verdict for each answer up to the first that was not written.
-- Each is compared with what is found here, not with what was read: its marks, and the texts that it rests on, which are
-- read once a batch and followed through the batch's own writes.
-- The mark comes first: what fails behind it makes no second plan. The plan comes last: no reader sees one that has no
-- record.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
-- `acts` is false in the shadow: no plan is published then.
local base, intents, group, last, dead, audit, plans, acts = unpack(cmsgpack.unpack(ARGV[3]))
local answers = cmsgpack.unpack(ARGV[4])

for _, key in ipairs({ intents, dead, audit, acts and plans or audit }) do
  if not is_free_for('stream', key) then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. redis.call('TYPE', key).ok .. ', not a stream')
  end
end

-- The commands that this batch may run, each with one of its keys.
local needed = { { 'GET', last }, { 'SET', last, '' }, { 'XACK', intents, group, '0-1' }, { 'XADD', audit, '*', 'f', '' } }
local seen, close, published, dies, rests
for _, a in ipairs(answers) do
  seen = base .. ':seen:' .. a[3]
  if a[10] ~= '' then close = base .. ':last_close:' .. a[2] end
  if a[6] then rests = base .. ':last_close:' .. a[2] end
  published, dies = published or (acts and #a[8] > 0), dies or #a[12] > 0
end
local function add(wanted, ...)
  if wanted then needed[#needed + 1] = { ... } end
end
add(seen, 'EXISTS', seen)
add(seen, 'SET', seen, '')
add(rests, 'GET', prefix .. ':system:mode')
add(rests, 'GET', rests)
add(close, 'SET', close, '')
add(dies, 'XADD', dead, '*', 'f', '')
add(published, 'XADD', plans, '*', 'f', '')
local refusal = refused(needed)
if refusal then return refusal end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mode, last_closes = nil, {}

local function holds(symbol, basis)
  if mode == nil then mode = text_of(prefix .. ':system:mode') end
  if last_closes[symbol] == nil then last_closes[symbol] = text_of(base .. ':last_close:' .. symbol) end
  return joined({ mode, last_closes[symbol] }, 1, 2) == basis
end

local function is_seen(mark) return redis.call('EXISTS', base .. ':seen:' .. mark) == 1 end

local function answer(a)
  local entry_id, symbol, mark, plan_mark, mark_ttl, basis, deadline = unpack(a, 1, 7)
  local plan, record, closed, close_ttl, dead_fields = unpack(a, 8, 12)
  if is_seen(mark) then
    redis.call('XACK', intents, group, entry_id)
    return 'seen'
  end
  if #plan > 0 and plan_mark ~= '' and is_seen(plan_mark) then return 'duplicate' end
  if basis and not holds(symbol, basis) then return 'changed' end
  if deadline > 0 and now > deadline then return 'late' end
  redis.call('SET', base .. ':seen:' .. mark, #plan > 0 and 'plan' or 'refused', 'PX', mark_ttl)
  if #plan > 0 and plan_mark ~= '' then redis.call('SET', base .. ':seen:' .. plan_mark, 'plan', 'PX', mark_ttl) end
  if closed ~= '' then
    redis.call('SET', base .. ':last_close:' .. symbol, closed, 'PX', close_ttl)
    last_closes[symbol] = closed
  end
  if #record > 0 then redis.call('XADD', audit, 'MAXLEN', '~', 50000, '*', unpack(record)) end
  if #dead_fields > 0 then redis.call('XADD', dead, 'MAXLEN', '~', 10000, '*', unpack(dead_fields)) end
  redis.call('XACK', intents, group, entry_id)
  if #plan > 0 and acts then redis.call('XADD', plans, 'MAXLEN', '~', 100000, '*', unpack(plan)) end
  return 'committed'
end

local reply, acknowledged = { now }, {}
for i, a in ipairs(answers) do
  reply[i + 1] = answer(a)
  if reply[i + 1] ~= 'committed' and reply[i + 1] ~= 'seen' then break end
  acknowledged[i] = a[1]
end
note_acknowledged(intents, group, last, acknowledged)
return reply
