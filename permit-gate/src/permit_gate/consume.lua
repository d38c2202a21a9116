-- Consumes all permits of one plan, or none of them. Checks everything before it writes anything.
-- KEYS: the plan's mark, the symbol's hold, then the permits.
-- ARGV: the mark's text, its life (ms), '1' where a hold refuses, the greatest age (ms), the most that clocks
-- may differ (ms); then for each permit its text as verified, and when it was created (epoch ms) or ''.
local mark = redis.pcall('GET', KEYS[1])
if mark then return { 'consumed_before', mark.err or mark } end
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then return { 'hold' } end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #KEYS do
  local text, created = ARGV[2 * i], ARGV[2 * i + 1]
  if redis.pcall('GET', KEYS[i]) ~= text then return { 'changed' } end
  if created ~= '' then
    local age = now - created
    if age > tonumber(ARGV[4]) then return { 'too_old', string.format('%.0f', age) } end
    if -age > tonumber(ARGV[5]) then return { 'from_the_future', string.format('%.0f', -age) } end
  end
end

-- The mark first: a full Redis refuses it before anything is consumed.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', unpack(KEYS, 3))
return { 'consumed' }
