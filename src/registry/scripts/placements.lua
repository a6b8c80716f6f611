-- The rebuild of the public placement keys for the newest layout (see _rebuild.ts).
-- ARGV: 1 layout number, 2 `begin`, `page`, `place` or `finish`;
--   page: 3 lower bound as ZRANGEBYLEX takes it, 4 limit; finish: 3 token, 4 limit;
--   place: 3 token, then for each file name, version, number of nodes, nodes (without duplicates).
-- Reply: begin: the token of this rebuild; page and finish: for each file {name, version, chunk count}; finish answers
--   names that renames carried past the cursor, and none when the rebuild is done. Errors: registry-lost,
--   layout-changed (also when a node moved or another rebuild began since).
if not known() then return fail('registry-lost') end
if redis.call('HGET', K.life, 'layout') ~= ARGV[1] then return fail('layout-changed') end

if (ARGV[2] == 'place' or ARGV[2] == 'finish') and redis.call('HGET', K.life, 'rebuilding') ~= ARGV[3] then
  return fail('layout-changed')
end

local function filesOf(names)
  local files = {}
  for _, name in ipairs(names) do
    local found = redis.call('HMGET', K.name .. name, 'version', 'chunks')
    if found[1] then
      files[#files + 1] = { name, found[1], found[2] }
    else
      redis.call('SREM', K.placementsLate, name)
    end
  end
  return files
end

if ARGV[2] == 'begin' then
  local token = redis.call('HINCRBY', K.life, 'rebuilds', 1)
  redis.call('HSET', K.life, 'rebuilding', token)
  return token
elseif ARGV[2] == 'page' then
  return filesOf(redis.call('ZRANGEBYLEX', K.names, ARGV[3], '+', 'LIMIT', 0, ARGV[4]))
elseif ARGV[2] == 'finish' then
  while redis.call('SCARD', K.placementsLate) > 0 do
    local late = filesOf(redis.call('SRANDMEMBER', K.placementsLate, ARGV[4]))
    if #late > 0 then return late end
  end
  redis.call('HSET', K.life, 'placements', ARGV[1])
  redis.call('HDEL', K.life, 'rebuilding')
else
  local at = 4
  while at <= #ARGV do
    local name, version, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    if currentOf(name) == version then
      local nodes = {}
      for each = 1, count do nodes[each] = ARGV[at + 2 + each] end
      setNodes(name, nodes)
      redis.call('SREM', K.placementsLate, name)
    end
    at = at + 3 + count
  end
end
return {}
