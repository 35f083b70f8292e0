#!/usr/bin/env bash
# The other performance works: each prints one line with its figures and its target.
#
#   benches/live.sh [latency] [rate] [shards] [series] [rules] [churn] [reload]     all when none is named
#
#   latency   50,000 samples a second over TCP for 60 s: from a breaching sample to its alert
#   rate      the same at 500,000 a second: nothing may be lost
#   shards    T1 and W1 with one and with two shards: wall time
#   series    a million series under a threshold and a window, against ten thousand: cost, memory
#   rules     T1 beside a hundred thousand rules that match nothing, against T1 alone
#   churn     a tenth of the series replaced every minute: memory minute by minute
#   reload    ten thousand rules edited while a hundred thousand groups live: CPU, pauses
#
# These narrow them, and make their figures worth less:
#   WATCHFIRE=FILE              this program, instead of building one
#   SECONDS_LIVE=60             of latency and rate
#   SAMPLES=6000000 RUNS=5      of shards and rules; IDLE_RULES=100000 of rules
#   TICKS=60 SERIES_RUNS=1      of series: samples of each series, and runs
#   HOSTS=10000                 of churn, with ten series each
#   OUT=/tmp/watchfire-works    data and what the program said
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. benches/works/lib.sh

samples=${SAMPLES:-6000000}
runs=${RUNS:-5}
idle_rules=${IDLE_RULES:-100000}

latency() {
    "$works" latency --watchfire "$watchfire" --rate 50000 --seconds "${SECONDS_LIVE:-60}" \
        | sed 's/$/ target_p50_ms=0.5 target_p99_ms=5/'
}

rate() {
    "$works" latency --watchfire "$watchfire" --rate 500000 --seconds "${SECONDS_LIVE:-60}" \
        | sed 's/$/ target_lost=0/'
}

shards() {
    local work count input=$OUT/seed${SEED:-0}-hosts$((samples / 6000 / 20 * 20)).json
    local -A wall
    for work in t1 w1; do
        # In turns, since a shared machine is now fast and now slow: a pair sees the same machine.
        for _ in $(seq "$runs"); do
            for count in 1 2; do
                wall[$count]=$(SAMPLES=$samples RUNS=1 WORKS=$work FORMATS=json KINDS=native \
                    SHARDS=$count WATCHFIRE=$watchfire OUT=$OUT bash benches/works.sh | figure wall_s)
            done
            echo "${wall[1]} ${wall[2]} $(crowding "benches/works/$work" "$input")"
        done >"$OUT/pairs"
        awk '{ print $2 / $1, $1, $2 }' "$OUT/pairs" | sort -n | awk -v work="$work" \
            -v crowding="$(awk '{ print $3 }' "$OUT/pairs" | sort -n | sed -n "$(((runs + 1) / 2))p")" '
            { ratio[NR] = $1; one[NR] = $2; two[NR] = $3 }
            END {
                middle = int((NR + 1) / 2)
                printf "shards work=%s pairs=%d two_to_one=%.2f least=%.2f most=%.2f wall_s_one=%s " \
                    "wall_s_two=%s crowding=%.2f target=0.65\n",
                    work, NR, ratio[middle], ratio[1], ratio[NR], one[middle], two[middle], crowding }'
    done
}

# How much longer two programs at once take than one alone, neither of which knows of the other:
# 1.00 where there are two cores to themselves. No program's two threads do better than half of it.
crowding() { # RULES INPUT
    local count begun wall=()
    for count in 1 2; do
        begun=${EPOCHREALTIME/[.,]/}
        for _ in $(seq "$count"); do
            "$watchfire" replay --rules "$1" --shards 1 "$2" >/dev/null 2>&1 &
        done
        wait
        wall+=($((${EPOCHREALTIME/[.,]/} - begun)))
    done
    awk -v one="${wall[0]}" -v two="${wall[1]}" 'BEGIN { print two / one }'
}

series() {
    local ticks wide narrow
    mkdir -p "$OUT/rules-series"
    cat >"$OUT/rules-series/series.rhai" <<'RULES'
for name in ["cpu_user", "mem_used", "disk_util", "net_rx", "net_tx", "load1", "http_lat",
             "http_err", "gc_pause", "queue_len"] {
    rule(`${name}-high`).on(name).by("host").when(|v| v > 80.0).soak("30s");
    rule(`${name}-mean`).on(name).by("host").window("60s").every("10s").when(|w| w.mean > 70.0);
}
RULES
    printf '[limits]\nseries_max = 2000000\ngroups_per_rule_max = 1000000\n' \
        >"$OUT/series.toml"
    # As many samples in both, ten seconds apart: what differs is only among how many series. The
    # first sample of a series is dear, so it is told apart.
    ticks=${TICKS:-60}
    series_cost 100000 1 >"$OUT/series-first"
    series_cost 100000 "$ticks" >"$OUT/series-wide"
    series_cost 1000 $((100 * ticks)) >"$OUT/series-narrow"
    wide=$(figure cpu_s_per_M <"$OUT/series-wide") narrow=$(figure cpu_s_per_M <"$OUT/series-narrow")
    awk -v wide="$wide" -v narrow="$narrow" -v first="$(figure cpu_s_per_M <"$OUT/series-first")" \
        -v mib="$(figure peak_mib <"$OUT/series-wide")" -v ticks="$ticks" \
        -v few="$(figure peak_mib <"$OUT/series-narrow")" 'BEGIN {
        later = (ticks * wide - first) / (ticks - 1)
        printf "series series=1000000 cpu_s_per_M=%s cpu_s_per_M_at_10000=%s times=%.2f " \
            "first_sample=%s later_samples=%.4f later_times=%.2f peak_mib=%s bytes_a_series=%.0f " \
            "peak_mib_at_10000=%s target_times=3 target_peak_mib=476\n",
            wide, narrow, wide / narrow, first, later, later / narrow, mib,
            (mib - few) * 1048576 / 990000, few }'
}

series_cost() { # HOSTS TICKS: the figures of so many samples of each of ten series of each host
    local samples=$((10 * $1 * $2))
    : >"$OUT/runs"
    for _ in $(seq "${SERIES_RUNS:-1}"); do
        "$works" samples --hosts "$1" --ticks "$2" --cadence-ms 10000 |
            measure /dev/null "$OUT/summary" "$watchfire" replay --config "$OUT/series.toml" \
                --rules "$OUT/rules-series" --shards 1 - >>"$OUT/runs"
        complete "$OUT/summary" "$samples"
    done
    "$works" sum-up --work series --format json --kind native --samples "$samples" \
        --alerts 0 "$OUT/runs"
}

rules() {
    local idle=$OUT/rules-idle input=$OUT/rules-input hosts=$((samples / 6000 / 20 * 20))
    local file with without load
    rm -rf "$idle" && mkdir -p "$idle"
    # Rules on metrics that never come, a thousand to a file, since a load may do only so much.
    for file in $(seq 0 $((idle_rules / 1000 - 1))); do
        printf 'for n in 0..1000 { rule(`idle-%d-${n}`).on(`absent_%d_${n}`).when(|v| v > 80.0); }\n' \
            "$file" "$file" >"$idle/idle-$file.rhai"
    done
    cp benches/works/t1/t1.rhai "$idle/"
    "$works" samples --hosts "$hosts" >"$input"
    for _ in $(seq "$runs"); do
        without=$(cost benches/works/t1 "$input")
        with=$(cost "$idle" "$input")
        # Reading the rules is done once, however many samples come.
        load=$(cost "$idle" /dev/null)
        echo "$without $with $load"
    done >"$OUT/turns"
    awk '{ print ($2 - $3) / $1, $1, $2 - $3, $3 }' "$OUT/turns" | sort -n | awk -v rules="$idle_rules" \
        -v millions="$(awk "BEGIN { print $hosts * 6000 / 1e6 }")" '
        { times[NR] = $1; without[NR] = $2; with[NR] = $3; load[NR] = $4 }
        END {
            middle = int((NR + 1) / 2)
            printf "rules idle_rules=%d turns=%d times=%.3f least=%.3f most=%.3f cpu_s_per_M=%.4f " \
                "cpu_s_per_M_without=%.4f load_cpu_s=%.2f target_times=1.05\n",
                rules, NR, times[middle], times[1], times[NR], with[middle] / millions,
                without[middle] / millions, load[middle] }'
}

cost() { # RULES INPUT: the CPU-seconds of a replay
    measure /dev/null "$OUT/summary" "$watchfire" replay --rules "$1" --shards 1 "$2" \
        | awk '{ print $1 + $2 }'
}

churn() {
    "$works" churn --watchfire "$watchfire" --hosts "${HOSTS:-10000}"
}

reload() {
    "$works" reload --watchfire "$watchfire"
}

figure() { # NAME: that figure of the line on standard input
    tr ' ' '\n' | sed -n "s/^$1=//p"
}

prepare
if [[ $# -eq 0 ]]; then
    set -- latency rate shards series rules churn reload
fi
for name in "$@"; do
    case $name in
        latency | rate | shards | series | rules | churn | reload) "$name" ;;
        *) echo "there is no work $name" >&2; exit 2 ;;
    esac
done
