# Up through both levels and down through both resets.
rule disk-filling
feed every 1m
  disk.used_pct{host="a",mount="/"}   80  92x5  97x5  95x3  93x6  88x3  85x5
at 1m   pending   {host="a",mount="/"}
at 3m   FIRED     {host="a",mount="/"}  value 92
at 8m   CHANGED   {host="a",mount="/"}  level critical  value 97
at 14m  cooling   {host="a",mount="/"}
at 16m  CHANGED   {host="a",mount="/"}  level warning  value 93
at 23m  cooling   {host="a",mount="/"}
at 25m  RESOLVED  {host="a",mount="/"}

# One reading is no alert, neither is a value that wavers around the limit from below.
rule disk-filling
feed every 1m
  disk.used_pct{host="a",mount="/"}   80x3  97  80x3  90x5  89  90x3
at 3m  pending  {host="a",mount="/"}
at 4m  cleared  {host="a",mount="/"}

# Images that are always full are nobody's business.
rule disk-filling
feed every 1m
  disk.used_pct{host="a",mount="/snap/core22/1"}   100x10
  disk.used_pct{host="a",mount="/Volumes/Installer"}   100x10

# No data: what fires goes on firing.
rule disk-filling
feed every 1m
  disk.used_pct{host="a",mount="/"}   97x3  _x20  97x2
at 0s  pending  {host="a",mount="/"}
at 2m  FIRED    {host="a",mount="/"}  value 97

# 100 GB with 30 free, and 10 GB an hour go: full in three.
rule disk-full-soon
feed every 10s
  disk.total_bytes{host="a",mount="/var"}   100000000000x480
  disk.free_bytes{host="a",mount="/var"}    30000000000x60  30000000000-27777778x239  23000000000x180
at 27m       pending   {host="a",mount="/var"}
at 32m       FIRED     {host="a",mount="/var"}  value 26333333304
at 1h5m30s   cooling   {host="a",mount="/var"}
at 1h15m30s  RESOLVED  {host="a",mount="/var"}

# An empty disk that takes a large download, a full one that nobody writes to, a short burst.
rule disk-full-soon
feed every 10s
  disk.total_bytes{host="a",mount="/data"}   100000000000x360
  disk.free_bytes{host="a",mount="/data"}    90000000000-100000000x359
  disk.total_bytes{host="b",mount="/"}       100000000000x360
  disk.free_bytes{host="b",mount="/"}        2000000000x360
  disk.total_bytes{host="c",mount="/"}       100000000000x360
  disk.free_bytes{host="c",mount="/"}        30000000000x180  30000000000-50000000x18  29050000000x161

# Fifteen points in three minutes; calm five minutes after the last of them.
rule disk-fill-fast
feed every 10s
  disk.used_pct{host="a",mount="/"}   70x30  70+0.8x19  85.2x80
at 7m10s   FIRED     {host="a",mount="/"}  value 80.4
at 11m10s  cooling   {host="a",mount="/"}
at 16m10s  RESOLVED  {host="a",mount="/"}

# The same on an empty disk, and slowly on a fuller one.
rule disk-fill-fast
feed every 10s
  disk.used_pct{host="a",mount="/"}   20x30  20+0.8x19  35.2x40
  disk.used_pct{host="b",mount="/"}   80+0.1x90  _x30
