-- Publishes a dead letter again, once. ARGV: prefix, stream, the original entry's id, latest time by Redis's
-- clock (ms; '' for none), plan id whose mark must be missing ('' for none), symbol, msgpack of { order id, memory as it was seen }
-- each, msgpack of flat names and values, the text of the mark. Returns the new entry's id; false where the state is
-- another by now.
local prefix, stream, entry_id, latest, plan_id, symbol = unpack(ARGV, 1, 6)
local orders, fields = cmsgpack.unpack(ARGV[7]), cmsgpack.unpack(ARGV[8])
local key = prefix .. ':stream:' .. stream
local republished = prefix .. ':p33:republished'
local memory = prefix .. ':p33:orders:' .. symbol
local expected = { { key, 'stream' }, { republished, 'hash' } }
if #orders > 0 then expected[3] = { memory, 'hash' } end
for _, pair in ipairs(expected) do
  local kind = redis.call('TYPE', pair[1]).ok
  if kind ~= pair[2] and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. pair[1] .. ' is a ' .. kind .. ', not a ' .. pair[2])
  end
end
local refusal = refused({ { 'XADD', key, '*', 'f', '' }, { 'HSET', republished, 'f', '' } })
if refusal then return refusal end
local mark = stream .. '|' .. entry_id
if redis.call('HEXISTS', republished, mark) == 1 then return false end
local time = redis.call('TIME')
if latest ~= '' and time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(latest) then return false end
if plan_id ~= '' and redis.call('EXISTS', prefix .. ':p33:plan:' .. plan_id) == 1 then return false end
for _, order in ipairs(orders) do
  local found = text(redis.call('HGET', memory, order[1]))
  if found ~= order[2] then return false end
end
-- Marked first: were the rest to fail, the entry would be published no more than once.
redis.call('HSET', republished, mark, ARGV[9])
return redis.call('XADD', key, '*', unpack(fields))
