-- Adds the layout after the newest one.
-- ARGV: 1 run id, 2 incarnation, 3 number, 4 packed layout, 5 leader epoch or ''.
-- Reply: 1 added, 0 another newest layout, incarnation or leader. Errors: registry-lost.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], ARGV[2]) then return 0 end
if not leads(ARGV[5]) then return 0 end
if tonumber(redis.call('HGET', K.life, 'layout')) + 1 ~= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', K.layouts, ARGV[3], ARGV[4])
redis.call('HSET', K.life, 'layout', ARGV[3])
return 1
