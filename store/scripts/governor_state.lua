-- Reads what judgements of the Governor rest on. ARGV: prefix, beginning of its own keys, symbols.
-- Returns Redis's clock (ms), the texts of the account, the live grants, the heat, and for each symbol its
-- texts and its window of the last hour. Grants and windows are false where their key has a wrong type.
local prefix, base = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local date = date_of(now)

local reserved, grants = base .. ':reserved', false
if is_free_for('hash', reserved) then grants = redis.call('HGETALL', reserved) end
local reply = { now, own_texts(prefix, base, date), neighbours_texts(prefix), grants, text_of(prefix .. ':capital:heat') }
for i = 3, #ARGV do
  local window, times = base .. ':window:' .. ARGV[i], false
  if is_free_for('zset', window) then
    times = {}
    local found = redis.call('ZRANGEBYSCORE', window, now - 3600000, latest, 'WITHSCORES')
    for n = 2, #found, 2 do times[#times + 1] = math.floor(tonumber(found[n])) end
  end
  local texts = counted_texts(base, ARGV[i], date)
  add_others_texts(texts, prefix, ARGV[i])
  reply[#reply + 1] = { texts, times }
end
return reply
