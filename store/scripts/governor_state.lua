-- Reads what judgements of the Governor rest on. ARGV: prefix, beginning of its own keys, symbols.
-- Returns Redis's clock (ms), the texts of the account, the live grants, the heat, and for each symbol its
-- texts and its window of the last hour.
local prefix, base = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local date = date_of(now)

local reserved = base .. ':reserved'
local kinds = { [reserved] = 'hash' }
for i = 3, #ARGV do kinds[base .. ':window:' .. ARGV[i]] = 'zset' end
for key, wanted in pairs(kinds) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', not a ' .. wanted)
  end
end
local reply = { now, own_texts(prefix, base, date), neighbours_texts(prefix), redis.call('HGETALL', reserved),
  text_of(prefix .. ':capital:heat') }
for i = 3, #ARGV do
  local window = redis.call('ZRANGEBYSCORE', base .. ':window:' .. ARGV[i], now - 3600000, latest, 'WITHSCORES')
  local times = {}
  for n = 2, #window, 2 do times[#times + 1] = math.floor(tonumber(window[n])) end
  reply[#reply + 1] = { symbol_texts(prefix, base, ARGV[i], date), times }
end
return reply
