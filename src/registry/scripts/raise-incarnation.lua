-- Raises the incarnation and ties it to the server that runs now, to be settled.
-- ARGV: 1 run id, 2 expected incarnation, 3 lowest new incarnation.
-- Reply: 1 raised, 0 another incarnation is there. Errors: registry-lost.
if not known() then return fail('registry-lost') end
if redis.call('HGET', K.life, 'incarnation') ~= ARGV[2] then return 0 end
local raised = math.max(tonumber(ARGV[2]) + 1, tonumber(ARGV[3]))
redis.call('HSET', K.life, 'incarnation', text(raised), 'raised_under', ARGV[1] .. UNSETTLED)
return 1
