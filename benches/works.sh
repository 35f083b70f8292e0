#!/usr/bin/env bash
# Replays the performance works (benches/works/*) and prints CPU-seconds per million samples.
#
#   benches/works.sh DATA.json [FORMAT]     RUNS=5 WORKS="t1 w1 w2 r1" narrow it
#
# DATA is a file of samples; events of each work go to $OUT (default /tmp/watchfire-works) as
# JSON lines, for a checker that knows the answers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
data=${1:?a file of samples}
format=${2:-json}
out=${OUT:-/tmp/watchfire-works}
mkdir -p "$out"
cargo build --release --quiet
program=${CARGO_TARGET_DIR:-target}/release/watchfire
for work in ${WORKS:-t1 w1 w2 r1}; do
  for run in $(seq "${RUNS:-5}"); do
    times=$( { TIMEFORMAT='%U %S'; time "$program" replay --rules "benches/works/$work" \
      --format "$format" --shards "${SHARDS:-1}" "$data" >"$out/$work.jsonl" 2>"$out/$work.txt"; } 2>&1 )
    samples=$(sed -n '1s/ samples.*//p' "$out/$work.txt" | tr -d ,)
    echo "$times $samples" | awk -v w="$work" -v f="$format" \
      '{ printf "%s %s cpu_s_per_M=%.4f\n", w, f, ($1 + $2) / $3 * 1e6 }'
  done | sort -t= -k2 -n | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] " (median of " NR ")" }'
done
