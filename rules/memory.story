# The mean over five minutes decides, and each level has its own way back.
rule memory-pressure
feed every 10s
  mem.used_pct{host="a"}   60x30  95x60  99x60  95x30  60x60
at 9m30s   pending   {host="a"}
at 11m30s  FIRED     {host="a"}  value 95
at 19m30s  CHANGED   {host="a"}  level critical  value 98.7333
at 30m     cooling   {host="a"}
at 32m     CHANGED   {host="a"}  level warning  value 79.8333
at 34m     RESOLVED  {host="a"}

# Two minutes of a large program are no alert.
rule memory-pressure
feed every 10s
  mem.used_pct{host="a"}   60x30  99x12  60x30

# No data is neither calm nor a breach.
rule memory-pressure
feed every 10s
  mem.used_pct{host="a"}   98x40  _x60  50x40
at 0s      pending   {host="a"}
at 2m      FIRED     {host="a"}  value 98
at 16m40s  cooling   {host="a"}
at 18m40s  RESOLVED  {host="a"}

# Swap grows by 60 MiB a minute while memory is short.
rule swap-thrash
feed every 1m
  mem.used_pct{host="a"}      70x5  93x30
  swap.used_bytes{host="a"}   0x5  0+62914560x10  629145600x19
at 10m  pending   {host="a"}
at 12m  FIRED     {host="a"}  value 93
at 16m  cooling   {host="a"}
at 21m  RESOLVED  {host="a"}

# Swap that is full and stays so, or grows beside free memory, is no alert.
rule swap-thrash
feed every 1m
  mem.used_pct{host="full"}      95x30
  swap.used_bytes{host="full"}   8589934592x30
  mem.used_pct{host="idle"}      40x30
  swap.used_bytes{host="idle"}   0+104857600x29
