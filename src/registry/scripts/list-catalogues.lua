-- All catalogues of a range of names, in byte order.
-- ARGV: 1 run id, 2 lower bound and 3 upper bound as ZRANGEBYLEX takes them, 4 most of them.
-- Reply: for each {name, version, sequence, chunk count, pending sequence or nil}; nil when they are more.
-- Errors: registry-lost, stale-incarnation.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], '') then return fail('stale-incarnation') end
if redis.call('ZLEXCOUNT', K.catalogues, ARGV[2], ARGV[3]) > tonumber(ARGV[4]) then return false end
local replies = {}
for _, name in ipairs(redis.call('ZRANGEBYLEX', K.catalogues, ARGV[2], ARGV[3])) do
  -- A master of before there were catalogues moves names without a word to this set: the hash of the name counts.
  local found = redis.call('HMGET', K.name .. name, 'version', 'sequence', 'chunks', 'catalogue')
  if found[4] then
    replies[#replies + 1] = { name, found[1], found[2], found[3], redis.call('HGET', K.pendingOf, name) }
  end
end
return replies
