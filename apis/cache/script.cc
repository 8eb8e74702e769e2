#include "apis/cache/script.h"

#include "apis/base/sha256.h"

namespace cloister {
namespace {

// An app's index is a hash: key -> bytes charged for it, and '' -> their sum. Whatever vanishes by
// itself (a TTL that ended) is still charged until it is met here: more is counted than there is,
// never less. Index and sum are one key of Redis, so they come and go together.
constexpr std::string_view kScript = R"lua(
local index, generations, slot = KEYS[1], KEYS[2], KEYS[3]
local op, generation, name = ARGV[1], ARGV[2], ARGV[3]
local quota, charge, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local value, extra, sweeping = ARGV[7], ARGV[8], ARGV[9]
local evicted = 0

-- Takes an entry's charge back; the sum afterwards, or -1.
local function release(field)
  local size = redis.call('HGET', index, field)
  if not size then return -1, 0 end
  redis.call('HDEL', index, field)
  return redis.call('HINCRBY', index, '', -size), tonumber(size)
end

-- Evicts the longest unused of a sample until `total` is at most `most`, or for long enough.
local function make_room(total, most)
  for _ = 1, 100 do
    if total <= most then break end
    local oldest, oldest_idle
    for _, field in ipairs(redis.call('HRANDFIELD', index, 8)) do
      if field ~= '' and field ~= name then
        local idle = redis.pcall('OBJECT', 'IDLETIME', index .. ':' .. field)
        if not idle then
          local _, size = release(field)
          total = total - size
        else
          if type(idle) ~= 'number' then idle = 0 end
          if not oldest or idle > oldest_idle then oldest, oldest_idle = field, idle end
        end
      end
    end
    if oldest and total > most then
      redis.call('UNLINK', index .. ':' .. oldest)
      local _, size = release(oldest)
      total = total - size
      evicted = evicted + 1
    end
  end
  return total
end

-- Charges of entries whose time is over go back, a few at each new entry.
local function repair(total)
  for _, field in ipairs(redis.call('HRANDFIELD', index, 2)) do
    if field ~= '' and field ~= name and redis.call('EXISTS', index .. ':' .. field) == 0 then
      local _, size = release(field)
      total = total - size
    end
  end
  return total
end

local function put(bytes)
  if ttl == '0' then return redis.pcall('SET', slot, bytes) end
  return redis.pcall('SET', slot, bytes, 'PX', ttl)
end

-- What older generations still take of the app's bytes.
local function unswept()
  local bytes = 0
  for _, old in ipairs(redis.call('SMEMBERS', generations)) do
    if tonumber(old) < tonumber(generation) then
      bytes = bytes + tonumber(redis.call('HGET', generations .. ':' .. old, '') or 0)
    end
  end
  return bytes
end

local function store(bytes)
  local held = redis.call('HMGET', index, '', name)
  local total, had = tonumber(held[1] or 0), tonumber(held[2] or 0)
  if total - had + charge > quota then
    total = make_room(total, quota - charge + had)
    if total - had + charge > quota then return {5, evicted, total} end
  elseif had == 0 and total > quota / 2 then
    total = repair(total)
  end
  if sweeping == '1' and total - had + charge + unswept() > quota then
    redis.call('UNLINK', slot)
    release(name)
    return {6, evicted, total - had}
  end
  local stored = put(bytes)
  local full = stored.err
  if full then
    -- The server is full. An older value must not stay; as much as the new one takes is made free
    -- of the app's own entries.
    local most = total - charge
    redis.call('UNLINK', slot)
    release(name)
    total, had = total - had, 0
    if most < 0 then return {4, evicted, total} end
    total = make_room(total, most)
    if total <= most then stored = put(bytes) end
    if stored.err then return {4, evicted, total} end
  end
  if not held[1] then redis.call('SADD', generations, generation) end
  total = total - had + charge
  redis.call('HSET', index, '', total, name, charge)
  if full then return {1, evicted, total, '', 1} end
  return {1, evicted, total}
end

-- Ends a part of what older generations left.
local function sweep()
  for _, old in ipairs(redis.call('SMEMBERS', generations)) do
    if tonumber(old) < tonumber(generation) then
      local fields = redis.call('HRANDFIELD', name .. old, 100, 'WITHVALUES')
      local bytes = 0
      for i = 1, #fields, 2 do
        if fields[i] ~= '' then
          redis.call('UNLINK', name .. old .. ':' .. fields[i])
          redis.call('HDEL', name .. old, fields[i])
          bytes = bytes + tonumber(fields[i + 1])
        end
      end
      redis.call('HINCRBY', name .. old, '', -bytes)
      if redis.call('HLEN', name .. old) == redis.call('HEXISTS', name .. old, '') then
        redis.call('DEL', name .. old)
        redis.call('SREM', generations, old)
      end
      return 1
    end
  end
  return 0
end

if op == 'set' then
  return store(value)
elseif op == 'add' then
  if redis.call('EXISTS', slot) == 1 then return {0, 0, -1} end
  return store(value)
elseif op == 'replace' then
  if redis.call('EXISTS', slot) == 0 then return {0, 0, -1} end
  return store(value)
elseif op == 'cas' then
  if redis.call('EXISTS', slot) == 0 then return {3, 0, -1} end
  -- Only a value of the token's length is hashed: it ends between the two bytes asked for here.
  local digits, hash = string.match(extra, '^(%d+):(%x+)$')
  if not digits or #digits > 8 then return {2, 0, -1} end
  local length = tonumber(digits)
  local last = redis.call('GETRANGE', slot, math.max(length - 1, 0), length)
  if #last ~= math.min(length, 1) then return {2, 0, -1} end
  if redis.sha1hex(redis.call('GET', slot)) ~= hash then return {2, 0, -1} end
  return store(value)
elseif op == 'delete' then
  local gone = redis.call('UNLINK', slot)
  return {gone, 0, (release(name))}
elseif op == 'incr' then
  if redis.call('EXISTS', slot) == 0 then
    if value == '' then return {0, 0, -1} end
    local stored = store(value)
    stored[4] = value
    return stored
  end
  local changed = redis.pcall('INCRBY', slot, extra)
  if type(changed) ~= 'number' then return {0, 0, -1} end
  -- As text: a number of Lua has not its 64 bits.
  return {1, 0, -1, redis.call('GET', slot)}
elseif op == 'touch' then
  if redis.call('TOUCH', slot) == 0 then return {0, 0, -1} end
  if ttl == '0' then
    redis.call('PERSIST', slot)
  else
    redis.call('PEXPIRE', slot, ttl)
  end
  return {1, 0, -1}
elseif op == 'sweep' then
  return {sweep(), 0, tonumber(redis.call('HGET', index, '') or 0)}
end
return redis.error_reply('unknown operation')
)lua";

}  // namespace

std::string_view CacheScript() {
  return kScript;
}

const std::string& CacheScriptSha() {
  static const auto* sha = new std::string(Sha1Hex(kScript));
  return *sha;
}

}  // namespace cloister
