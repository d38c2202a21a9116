-- ARGV: prefix, beginning of the engine's own keys, symbols. Returns those on which a hold of the engine stands.
local prefix, base, held = ARGV[1], ARGV[2], {}
for i = 3, #ARGV do
  if is_ours(standing_hold(prefix, base, ARGV[i])) then held[#held + 1] = ARGV[i] end
end
return held
