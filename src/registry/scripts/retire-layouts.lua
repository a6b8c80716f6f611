-- Retires layouts up to a number, never the newest.
-- ARGV: 1 run id, 2 incarnation, 3 number, 4 leader epoch or ''.
-- Reply: OK. Errors: registry-lost, stale-incarnation, stale-leader.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], ARGV[2]) then return fail('stale-incarnation') end
if not leads(ARGV[4]) then return fail('stale-leader') end
return retire(tonumber(ARGV[3]))
