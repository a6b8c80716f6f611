-- A page of names in byte order.
-- ARGV: 1 run id, 2 lower bound and 3 upper bound as ZRANGEBYLEX takes them, 4 limit.
-- Reply: the records found. Errors: registry-lost, stale-incarnation.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], '') then return fail('stale-incarnation') end
local replies = {}
for at, name in ipairs(redis.call('ZRANGEBYLEX', K.names, ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])) do
  replies[at] = recordOf(name)
end
return replies
