//! The data of the works: hosts that report ten metrics each, with known breaches in the noise.
//!
//! A value is a function of (seed, tick, host, metric) alone, so every format prints the same
//! number, and the known answers need no file. Values are whole hundredths: what is printed with
//! two decimals is exactly what the answers are computed from.

/// The first sample's time, in milliseconds since the epoch: a multiple of ten minutes.
pub const START_MS: i64 = 1_699_999_800_000;

pub const METRICS: [&str; 10] = [
    "cpu_user",
    "mem_used",
    "disk_util",
    "net_rx",
    "net_tx",
    "load1",
    "http_lat",
    "http_err",
    "gc_pause",
    "queue_len",
];
pub const SERVICES: usize = 20;

/// In so many seconds a (metric, service) has at most one breach.
const SLOT_S: i64 = 300;
/// The slot and the group of the storm, in which all hosts of a service breach at once.
const STORM: (i64, usize, usize) = (0, 0, 7);

/// How much data there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub seed: u64,
    /// A multiple of [`SERVICES`]; each reports every metric once a tick.
    pub hosts: usize,
    pub ticks: i64,
    pub cadence_ms: i64,
}

impl Extent {
    fn seconds(&self) -> i64 {
        self.ticks * self.cadence_ms / 1000
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 90 ± 4 for 120 s.
    Crit,
    /// 72 ± 1 for 120 s.
    Warn,
    /// As `Crit`, for 20 s: too short to alert.
    Short,
    /// As `Crit`, 25 s on, 20 s off, 25 s on: never long enough under a soak of 30 s.
    Flap,
}

#[derive(Clone, Copy, Debug)]
struct Breach {
    start_ms: i64,
    kind: Kind,
}

impl Kind {
    fn length_ms(self) -> i64 {
        match self {
            Kind::Crit | Kind::Warn => 120_000,
            Kind::Short => 20_000,
            Kind::Flap => 70_000,
        }
    }
}

/// All values of one extent.
pub struct Data {
    extent: Extent,
    /// By series, host for host.
    breaches: Vec<Vec<Breach>>,
}

impl Data {
    pub fn new(extent: Extent) -> Data {
        assert!(extent.hosts > 0 && extent.hosts.is_multiple_of(SERVICES), "whole services");
        let breaches = vec![Vec::new(); extent.hosts * METRICS.len()];
        let mut data = Data { extent, breaches };
        // A slot counts when most of it lies within the data.
        for slot in 0..(extent.seconds() + 115) / SLOT_S {
            for metric in 0..METRICS.len() {
                for service in 0..SERVICES {
                    data.plant(slot, metric, service);
                }
            }
        }
        data
    }

    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// At most one breach of a service's metric in a slot, its kind and host drawn by hash. It
    /// starts five seconds off every multiple of ten, so that judging every 10 s finds the same.
    fn plant(&mut self, slot: i64, metric: usize, service: usize) {
        let drawn = self.hash((slot as u64) << 32 | (metric as u64) << 16 | service as u64);
        let start_ms = (slot * SLOT_S + 65 + 10 * ((drawn >> 8) % 6) as i64) * 1000;
        let hosts_each = self.extent.hosts / SERVICES;
        if (slot, metric, service) == STORM {
            for rank in 0..hosts_each {
                let breach = Breach { start_ms, kind: Kind::Crit };
                self.breaches[(rank * SERVICES + service) * METRICS.len() + metric].push(breach);
            }
            return;
        }
        let kind = match drawn % 8 {
            0..=3 => Kind::Crit,
            4 => Kind::Short,
            5 => Kind::Flap,
            6 => Kind::Warn,
            _ => return,
        };
        let host = (drawn >> 20) as usize % hosts_each * SERVICES + service;
        self.breaches[host * METRICS.len() + metric].push(Breach { start_ms, kind });
    }

    /// In hundredths: 50 ± 10 unless the series breaches.
    pub fn value(&self, host: usize, metric: usize, tick: i64) -> i32 {
        let noise = self.hash((tick as u64) << 32 | (host as u64) << 8 | metric as u64);
        let elapsed_ms = tick * self.extent.cadence_ms;
        let breaches = self.breaches.get(host * METRICS.len() + metric);
        for breach in breaches.into_iter().flatten() {
            let within_ms = elapsed_ms - breach.start_ms;
            if !(0..breach.kind.length_ms()).contains(&within_ms) {
                continue;
            }
            match breach.kind {
                Kind::Warn => return 7_100 + (noise % 201) as i32,
                Kind::Flap if (25_000..45_000).contains(&within_ms) => {}
                Kind::Crit | Kind::Short | Kind::Flap => return 8_600 + (noise % 801) as i32,
            }
        }
        4_000 + (noise % 2_001) as i32
    }

    pub fn time_ms(&self, tick: i64) -> i64 {
        START_MS + tick * self.extent.cadence_ms
    }

    /// The hosts of a tick in the order they report: another one each tick, as if none waited for
    /// another. All hosts once, since the stride shares no divisor with their number.
    pub fn hosts_of(&self, tick: i64) -> impl Iterator<Item = usize> + use<> {
        let hosts = self.extent.hosts;
        let drawn = self.hash(!(tick as u64));
        let first = (drawn >> 32) as usize % hosts;
        let mut stride = 1 + drawn as usize % hosts;
        while divisor(stride, hosts) != 1 {
            stride += 1;
        }
        (0..hosts).map(move |turn| (first + turn * stride) % hosts)
    }

    fn hash(&self, key: u64) -> u64 {
        splitmix(key ^ self.extent.seed.wrapping_mul(GOLDEN))
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of Vigna's splitmix64.
pub fn splitmix(key: u64) -> u64 {
    let mut hash = key.wrapping_add(GOLDEN);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// What a host's samples are labelled with, besides its own name.
pub fn service(host: usize) -> usize {
    host % SERVICES
}

pub fn host_name(host: usize) -> String {
    format!("h{host:04}")
}

pub fn service_name(service: usize) -> String {
    format!("svc-{service:02}")
}

/// The labels of a host's series, in the order they are written.
pub fn labels(host: usize) -> [(&'static str, String); 4] {
    [
        ("host", host_name(host)),
        ("service", service_name(service(host))),
        ("dc", format!("dc{}", host / SERVICES % 5)),
        ("rack", format!("r{:03}", host / 10 % 100)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Extent = Extent { seed: 0, hosts: 40, ticks: 600, cadence_ms: 1000 };

    #[test]
    fn a_tick_has_every_host_once() {
        let data = Data::new(SMALL);
        for tick in 0..50 {
            let mut hosts: Vec<usize> = data.hosts_of(tick).collect();
            hosts.sort_unstable();
            assert_eq!(hosts, (0..40).collect::<Vec<_>>());
        }
        assert_ne!(data.hosts_of(1).next(), data.hosts_of(2).next());
    }

    #[test]
    fn another_seed_is_other_data_of_the_same_kind() {
        let (one, other) = (Data::new(SMALL), Data::new(Extent { seed: 7, ..SMALL }));
        let differ = (0..600).filter(|tick| one.value(3, 4, *tick) != other.value(3, 4, *tick));
        assert!(differ.count() > 550);
        for data in [&one, &other] {
            let planted: usize = data.breaches.iter().map(Vec::len).sum();
            assert!((250..=400).contains(&planted), "{planted}");
        }
    }

    #[test]
    fn breaches_start_off_the_tens_and_reach_their_height() {
        let data = Data::new(SMALL);
        for (series, breaches) in data.breaches.iter().enumerate() {
            for breach in breaches {
                assert_eq!(breach.start_ms % 10_000, 5_000);
                let value = data.value(series / 10, series % 10, breach.start_ms / 1000);
                let expected = match breach.kind {
                    Kind::Warn => 7_100..=7_300,
                    Kind::Crit | Kind::Short | Kind::Flap => 8_600..=9_400,
                };
                assert!(expected.contains(&value), "{breach:?} {value}");
            }
        }
    }

    #[test]
    fn splitmix_gives_its_published_numbers() {
        assert_eq!(splitmix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix(GOLDEN), 0x6e78_9e6a_a1b9_65f4);
    }
}
