-- Ends the time between raising the incarnation and answering names again.
-- ARGV: 1 run id, 2 incarnation, 3 sequence, 4 leader epoch or ''.
-- Reply: 1 settled, 0 another incarnation, life or leader is there. Errors: registry-lost.
if not known() then return fail('registry-lost') end
if not begun(ARGV[1], ARGV[2]) or not leads(ARGV[4]) then return 0 end
local sequence = math.max(tonumber(redis.call('HGET', K.life, 'sequence')), tonumber(ARGV[3]))
redis.call('HSET', K.life, 'raised_under', ARGV[1], 'sequence', text(sequence))
return 1
