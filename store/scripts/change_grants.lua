-- Settles or expires grants of the Governor. ARGV: prefix, fence, msgpack of names that are unpacked below, version
-- before, version after, msgpack of changes (`store/governor_values.py`).
-- Returns 1 for each change that was written, and 0 for one whose permit is consumed: its result is acknowledged alone,
-- and nothing behind it is written, since sums there rest on it; or false, with nothing written, where the version or
-- a reservation is another.
local prefix, fence = ARGV[1], ARGV[2]
if redis.call('GET', prefix .. ':p33:lease') ~= fence then
  return redis.error_reply('FENCED the lease is not ' .. fence)
end
-- `acts` is false in the shadow, which has no permits.
local base, results, group, last, events, audit, acts = unpack(cmsgpack.unpack(ARGV[3]))
local before, after, changes = ARGV[4], ARGV[5], cmsgpack.unpack(ARGV[6])
local reserved, version = base .. ':reserved', base .. ':version'

local kinds = { [events] = 'stream', [audit] = 'stream' }
local symbol, date = '', ''
for _, c in ipairs(changes) do
  if c[1] ~= '' then
    kinds[results] = 'stream'
  end
  if c[3] ~= '' then
    symbol, date = c[3], c[7]
  end
end
for key, wanted in pairs(kinds) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. wanted)
  end
end

if #changes > 0 then
  local window, list, day = base .. ':window:' .. symbol, base .. ':exec:' .. symbol, symbol .. ':' .. date
  local needed = {
    { 'SET', version, '' }, { 'HSET', reserved, 'f', '' }, { 'HDEL', reserved, 'f' }, { 'ZREM', window, 'f' },
    { 'ZREVRANGEBYSCORE', window, 0, 0 }, { 'DEL', list }, { 'RPUSH', list, '' }, { 'PEXPIRE', list, 1 },
    { 'SET', base .. ':daily:' .. day, '' }, { 'SET', base .. ':daily_reduced:' .. day, '' },
    { 'SET', base .. ':last_exec:' .. symbol, '' }, { 'DEL', base .. ':last_exec:' .. symbol },
    { 'XADD', events, '*', 'f', '' }, { 'XADD', audit, '*', 'f', '' }, { 'SET', last, '' },
    { 'XACK', results, group, '0-1' },
  }
  if acts then needed[#needed + 1] = { 'DEL', prefix .. ':permit:' .. changes[1][2] } end
  local refusal = refused(needed)
  if refusal then return refusal end
end

if (text_of(version) or '') ~= before or not is_free_for('hash', reserved) then return false end
local stored = {}
for _, c in ipairs(changes) do
  local plan_id = c[2]
  if (stored[plan_id] or redis.call('HGET', reserved, plan_id) or '') ~= c[4] then return false end
  stored[plan_id] = c[5]
end

local function settle(plan_id, symbol, reservation, becomes, uncounts, date, opened, reduced, executed)
  if becomes ~= '' then
    redis.call('HSET', reserved, plan_id, becomes)
  elseif reservation ~= '' then
    redis.call('HDEL', reserved, plan_id)
  end
  if symbol == '' then return end
  local window = base .. ':window:' .. symbol
  if uncounts and is_free_for('zset', window) then
    redis.call('ZREM', window, plan_id)
    list_executions(base, symbol)
  end
  local day = symbol .. ':' .. date
  if opened then redis.call('SET', base .. ':daily:' .. day, opened, 'PX', 172800000) end
  if reduced then redis.call('SET', base .. ':daily_reduced:' .. day, reduced, 'PX', 172800000) end
  if executed == '' then
    redis.call('DEL', base .. ':last_exec:' .. symbol)
  elseif executed then
    redis.call('SET', base .. ':last_exec:' .. symbol, executed, 'PX', 3600000)
  end
end

if after ~= before then redis.call('SET', version, after) end
local written = {}
for i, c in ipairs(changes) do
  written[i] = 1
  if acts and c[5] == '' then
    -- A permit behind a grant that ends would count nowhere.
    local deleted = redis.call('DEL', prefix .. ':permit:' .. c[2])
    if c[13] then written[i] = deleted end
  end
  if written[i] == 1 then
    settle(unpack(c, 2, 10))
    for _, event in ipairs(c[12]) do redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', unpack(event)) end
    if #c[11] > 0 then redis.call('XADD', audit, 'MAXLEN', '~', 100000, '*', unpack(c[11])) end
  end
  if c[1] ~= '' then acknowledge(results, group, last, c[1]) end
  if written[i] == 0 then break end
end
return written
