-- Put before each script that calls it (`store/redis/scripts.py`).
-- Redis 7 and newer: a missing right shows before the first write, so that it leaves nothing half done.
-- Answers an error that names the command and its key, or nil. On Redis 6.2, which cannot be asked, nil.
local function refused(needed)
  if not redis.acl_check_cmd then return nil end
  for _, command in ipairs(needed) do
    local known, allowed = pcall(redis.acl_check_cmd, unpack(command))
    if not (known and allowed) then
      return redis.error_reply("NOPERM this user has no permissions to run the '"
        .. string.lower(command[1]) .. "' command on " .. command[2])
    end
  end
  return nil
end
