-- Reads what bookings rest on. ARGV: prefix, msgpack of BookingKeys[] (store/records.py). Returns for each the ledger's
-- fields or the error of its key, the open permit, the plan's mark, and the memory of each order, of which those whose key
-- has a wrong type are errors, too. Any other error ends the script.
local prefix = ARGV[1]

local function read(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then
    return redis.call(...)
  end
  return reply
end

local ledgers, reply = {}, {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[2])) do
  local symbol, plan_id, order_ids = wanted[1], wanted[2], wanted[3]
  if not ledgers[symbol] then
    ledgers[symbol] = read('HMGET', prefix .. ':position:ledger:' .. symbol, 'last_known_amt', 'last_order_id',
      'last_order_time_epoch', 'long_amt', 'short_amt', 'version', 'adopted_exchange_ms', 'adopted_at_ms')
  end
  local state = { ledgers[symbol], read('HGET', prefix .. ':p33:open:' .. symbol, 'p:' .. plan_id),
    read('GET', prefix .. ':p33:plan:' .. plan_id) }
  for n, order_id in ipairs(order_ids) do
    state[n + 3] = read('HGET', prefix .. ':p33:orders:' .. symbol, order_id)
  end
  reply[i] = state
end
return reply
