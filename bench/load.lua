-- Requests for wrk. Arguments: method, path prefix, key prefix, number of keys, file with headers and bodies.
-- The file: header lines, an empty line, then one body per line (none for GET). With 0 keys every key is new.

local threads = 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

function init(args)
  local method, prefix, keys, count, path = args[1], args[2], args[3], tonumber(args[4]), args[5]
  local headers, tails, in_body = "", {}, false
  for line in io.lines(path) do
    if in_body then
      tails[#tails + 1] = headers .. "Content-Length: " .. #line .. "\r\n\r\n" .. line
    elseif line == "" then
      in_body = true
    else
      headers = headers .. line .. "\r\n"
    end
  end
  if #tails == 0 then tails[1] = headers .. "\r\n" end
  local head = method .. " " .. prefix .. keys
  local made = 0
  math.randomseed(os.time() * 64 + thread_number)
  -- Plain concatenation: wrk.format costs the generator more than the whole of a small response.
  request = function()
    made = made + 1
    local key = count > 0 and math.random(0, count - 1) or (thread_number .. "-" .. made)
    return head .. key .. " HTTP/1.1\r\n" .. tails[made % #tails + 1]
  end
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '@@{"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"status":%d,"socket":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed.status,
    failed.connect + failed.read + failed.write + failed.timeout))
end
