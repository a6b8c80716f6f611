-- Runs fixed commands in order when the database knows a network; steps with conditions have scripts of their own.
-- ARGV: for each command the number of its words, then the words.
-- Reply: the replies in order. Errors: registry-lost.
if not known() then return fail('registry-lost') end
local replies = {}
local at = 1
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
return replies
