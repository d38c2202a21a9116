-- Prepended to each script that calls it (`store/redis/scripts.py`).
-- What a booking and a repair of the ledger share.

-- A stored value as text, by the rule of store/stored_values.py: nil when missing, one word if unreadable.
local function text(reply)
  if not reply then return nil end
  if #reply > 256 or string.find(reply, '[^\32-\126]') then return '!unreadable' end
  return reply
end

-- Adds the commands of `remember_orders` to those that need a right.
local function add_memory_rights(needed, orders, order_times)
  for _, command in ipairs({ { 'HSET', orders, 'f', '' }, { 'HDEL', orders, 'f' }, { 'PEXPIRE', orders, 1 },
    { 'PEXPIRE', order_times, 1 }, { 'ZADD', order_times, 1, 'f' }, { 'ZRANGEBYSCORE', order_times, 0, 0 },
    { 'ZCARD', order_times }, { 'ZRANGE', order_times, 0, 0 }, { 'ZREM', order_times, 'f' } }) do
    needed[#needed + 1] = command
  end
end

-- Remembers what is booked of orders, { id, before, after } each; `forget_orders` is to follow.
local function remember_orders(orders, order_times, booked, now)
  for _, order in ipairs(booked) do
    redis.call('HSET', orders, order[1], order[3])
    redis.call('ZADD', order_times, now, order[1])
  end
end

-- Forgets orders of more than a week ago, or of more than 10000 the oldest: at most 100 at once.
local function forget_orders(orders, order_times, now)
  local week = 604800000
  local old = redis.call('ZRANGEBYSCORE', order_times, '-inf', now - week, 'LIMIT', 0, 100)
  local surplus = redis.call('ZCARD', order_times) - 10000
  if #old == 0 and surplus > 0 then old = redis.call('ZRANGE', order_times, 0, math.min(surplus, 100) - 1) end
  if #old > 0 then
    redis.call('HDEL', orders, unpack(old))
    redis.call('ZREM', order_times, unpack(old))
  end
  redis.call('PEXPIRE', orders, week)
  redis.call('PEXPIRE', order_times, week)
end
