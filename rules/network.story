# One error a second among a hundred packets, for ten minutes.
rule network-received-errors
feed every 10s
  net.received_packets{host="a",interface="eth0"}   0+1000x150
  net.received_errors{host="a",interface="eth0"}    0x30  0+10x60  600x60
at 6m10s  pending   {host="a",interface="eth0"}
at 8m10s  FIRED     {host="a",interface="eth0"}  value 0.633333
at 19m    cooling   {host="a",interface="eth0"}
at 24m    RESOLVED  {host="a",interface="eth0"}

# A burst of errors, a few among very many packets, and a counter that starts anew.
rule network-received-errors, network-sent-errors
feed every 10s
  net.received_packets{host="a",interface="eth0"}   0+1000x90
  net.received_errors{host="a",interface="eth0"}    0x30  20x61
  net.sent_packets{host="b",interface="eth0"}       0+100000x90
  net.sent_errors{host="b",interface="eth0"}        0+5x90
  net.received_packets{host="c",interface="eth0"}   900000x30  0+10x60
  net.received_errors{host="c",interface="eth0"}    5000x30  0x61

# An interface that goes away takes nothing back.
rule network-sent-errors
feed every 10s
  net.sent_packets{host="a",interface="wlan0"}   0+1000x60  _x60
  net.sent_errors{host="a",interface="wlan0"}    0+20x60  _x60
at 40s     pending  {host="a",interface="wlan0"}
at 2m40s   FIRED    {host="a",interface="wlan0"}  value 1.06667
at 14m30s  cooling  {host="a",interface="wlan0"}
