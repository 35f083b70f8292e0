# Pinned: the warning comes after ten minutes, the critical one ten minutes after its own start,
# and each level is left at its reset, not at its limit.
rule cpu-high
feed every 10s
  cpu.usage{host="a"}   20x6  95x66  99x70  93x30  85x12  30x20
at 1m      pending   {host="a"}
at 11m     FIRED     {host="a"}  level warning  value 95
at 22m     CHANGED   {host="a"}  level critical
at 28m40s  cooling   {host="a"}
at 30m40s  RESOLVED  {host="a"}

# A build of nine minutes is no alert, nor is one second of rest in a long one.
rule cpu-high
feed every 10s
  cpu.usage{host="a"}   20x6  99x54  40x6
  cpu.usage{host="b"}   99x58  70  99x58  20
at 0s      pending  {host="b"}
at 1m      pending  {host="a"}
at 9m40s   cleared  {host="b"}
at 9m50s   pending  {host="b"}
at 10m     cleared  {host="a"}
at 19m30s  cleared  {host="b"}

# Silence is no calm: what fires goes on firing until a value says otherwise.
rule cpu-high
feed every 10s
  cpu.usage{host="a"}   95x61  _x60  10x20
at 0s      pending   {host="a"}
at 10m     FIRED     {host="a"}  value 95
at 20m10s  cooling   {host="a"}
at 22m10s  RESOLVED  {host="a"}

# Load is judged against the cores of its own host.
rule load-high
feed every 30s
  cpu.cores{host="small"}   2x60
  load.avg5{host="small"}   1x2  7x24  5x4  3x30
  cpu.cores{host="large"}   16x60
  load.avg5{host="large"}   7x60
at 1m   pending   {host="small"}
at 11m  FIRED     {host="small"}  value 7
at 15m  cooling   {host="small"}
at 20m  RESOLVED  {host="small"}

# A burst is no alert, and a host whose cores nobody tells is not judged.
rule load-high
feed every 30s
  cpu.cores{host="small"}   2x30
  load.avg5{host="small"}   1x2  9x15  1x13
  load.avg5{host="odd"}     99x30
at 1m     pending  {host="small"}
at 8m30s  cleared  {host="small"}
