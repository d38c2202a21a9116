-- ARGV: prefix, symbol, msgpack of order ids, msgpack of client order ids, beginning of the engine's own keys. Returns the
-- memory of each order, and of the executor's record of each client order id its phase and decision: false where there is
-- none, one word for what has a wrong type. An order of a proposed close without a record is `lost`.
local prefix, symbol = ARGV[1], ARGV[2]
local orders = prefix .. ':p33:orders:' .. symbol
local unreadable, kind = '!unreadable', redis.call('TYPE', orders).ok
local memories, records = {}, {}
for i, order_id in ipairs(cmsgpack.unpack(ARGV[3])) do
  if kind == 'hash' or kind == 'none' then
    memories[i] = redis.call('HGET', orders, order_id)
  else
    memories[i] = unreadable
  end
end

local function proposed(client_id)
  if redis.call('TYPE', ARGV[5] .. ':close:client:' .. client_id).ok == 'none' then return false end
  return { 'lost', 'RECONCILE_CLOSE' }
end

local function record_of(client_id)
  local names = prefix .. ':executor:client:' .. client_id
  local named = redis.call('TYPE', names).ok
  if named == 'none' then return proposed(client_id) end
  if named ~= 'string' then return { unreadable, unreadable } end
  local record = prefix .. ':executor:order:' .. redis.call('GET', names)
  local recorded = redis.call('TYPE', record).ok
  if recorded == 'none' then return proposed(client_id) end
  if recorded ~= 'hash' then return { unreadable, unreadable } end
  local found = redis.call('HMGET', record, 'state', 'decision')
  return { found[1] or unreadable, found[2] or '' }
end

for i, client_id in ipairs(cmsgpack.unpack(ARGV[4])) do records[i] = record_of(client_id) end
return { memories, records }
