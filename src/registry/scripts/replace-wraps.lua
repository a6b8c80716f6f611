-- Gives names another wrap of the same file key, while they are at the stated version and sequence and their wrap is of
-- a lower key epoch.
-- ARGV: 1 run id, 2 incarnation, then for each: name, version, sequence, epoch of the new wrap, wrap.
-- Reply: how many were replaced. Errors: registry-lost, stale-incarnation.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], ARGV[2]) then return fail('stale-incarnation') end
local replaced = 0
for at = 3, #ARGV, 5 do
  local key = K.name .. ARGV[at]
  local found = redis.call('HMGET', key, 'version', 'sequence', 'wrap')
  if found[1] == ARGV[at + 1] and found[2] == ARGV[at + 2] then
    local a, b, c, d = string.byte(found[3], 1, 4)
    if ((a * 256 + b) * 256 + c) * 256 + d < tonumber(ARGV[at + 3]) then
      redis.call('HSET', key, 'wrap', ARGV[at + 4])
      replaced = replaced + 1
    end
  end
end
return replaced
