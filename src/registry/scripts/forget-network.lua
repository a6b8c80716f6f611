-- Forgets the network: without its life nothing else is read. What is left goes when the network is made again.
-- ARGV: 1 run id, 2 incarnation.
-- Reply: 1 forgotten, 0 another incarnation is there. Errors: registry-lost.
if not known() then return fail('registry-lost') end
if redis.call('HGET', K.life, 'incarnation') ~= ARGV[2] then return 0 end
redis.call('DEL', K.life)
return 1
