-- Records of names in the order asked.
-- ARGV: 1 run id, then names.
-- Reply: for each name recordOf, nil when there is none. Errors: registry-lost, stale-incarnation.
if not known() then return fail('registry-lost') end
if not lives(ARGV[1], '') then return fail('stale-incarnation') end
local replies = {}
for at = 2, #ARGV do replies[at - 1] = recordOf(ARGV[at]) end
return replies
