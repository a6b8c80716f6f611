-- Opens uploads and answers the current version of each name.
-- ARGV: 1 run id, 2 incarnation, 3 layout number, then for each upload: version, name.
-- Reply: for each upload {version, sequence}, both nil when there is no such name.
-- Errors: registry-lost, stale-incarnation, layout-changed.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], ARGV[2]) then return fail('stale-incarnation') end
if redis.call('HGET', K.life, 'layout') ~= ARGV[3] then return fail('layout-changed') end
local opened = text(nowMs())
local replies = {}
for at = 4, #ARGV, 2 do
  redis.call('ZADD', K.uploads, 'NX', opened, ARGV[at])
  redis.call('HSET', K.uploadNames, ARGV[at], ARGV[at + 1])
  local version, sequence = currentOf(ARGV[at + 1])
  replies[#replies + 1] = { version, sequence }
end
return replies
