-- Forgets uploads opened longer ago than an age.
-- ARGV: 1 age in ms, 2 most to forget.
-- Reply: how many. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local before = '(' .. text(nowMs() - tonumber(ARGV[1]))
local old = redis.call('ZRANGEBYSCORE', K.uploads, '-inf', before, 'LIMIT', 0, ARGV[2])
for _, version in ipairs(old) do
  redis.call('ZREM', K.uploads, version)
  redis.call('HDEL', K.uploadNames, version)
end
return #old
