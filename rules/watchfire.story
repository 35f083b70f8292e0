# 1 GiB is usual, 3 GiB are not, and under 1.6 GiB it is well again.
rule watchfire-memory
feed every 30s
  process.memory_bytes{host="a",process="watchfire"}   1073741824x10  3221225472x20  1073741824x30
  process.memory_bytes{host="a",process="other"}       99999999999x60
at 7m30s   pending   {host="a"}
at 9m30s   FIRED     {host="a"}  value 3221225472
at 18m30s  cooling   {host="a"}
at 20m30s  RESOLVED  {host="a"}

# A short peak, and then nothing at all.
rule watchfire-memory
feed every 30s
  process.memory_bytes{host="a",process="watchfire"}   1073741824x10  3221225472  1073741824x9  _x30

# Two minutes after the last sample it fires, and the next sample ends it.
rule host-silent
feed every 30s
  host.uptime_seconds{host="a"}   100+30x9  _x9  700+30x3
  host.uptime_seconds{host="b"}   100+30x22
at 6m30s  FIRED     {host="a"}  cause "absent"
at 9m30s  RESOLVED  {host="a"}

# A pause that is shorter is none.
rule host-silent
feed every 30s
  host.uptime_seconds{host="a"}   100+30x9  _x3  310+30x9
