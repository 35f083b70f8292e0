//! Finds values far from where a series has lately been.
//!
//! For each series it keeps an exponentially weighted mean and variance over event time and
//! breaches when `|value - mean| > k * stddev`. A sample is judged before it enters the mean, so an
//! outlier cannot excuse itself.
//!
//! Settings:
//! - `metric`: a name or glob; `only`: label matchers; `by`: labels (absent: each series)
//! - `half_life`: how fast the past fades, `"10m"`; or `alpha` in 0..1, the weight of each sample
//! - `k`: how many standard deviations are too many, default 4
//! - `floor`: the least deviation that counts, in the metric's unit, default 0
//! - `warmup`: samples of a series before it is judged, default 30
//! - `name`, `level`, `soak`, `cool`, `notify`: as in every rule

use serde::Deserialize;
use watchfire_plugin::{
    Columns, Declaration, Failure, Judgement, Level, Rule, Series, SeriesId, SeriesTable, Snapshot,
    Timestamp, export_rule, parse_duration,
};

/// The layout of a saved [`Track`].
const STATE_VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    metric: String,
    #[serde(default)]
    only: String,
    by: Option<Vec<String>>,
    half_life: Option<String>,
    alpha: Option<f64>,
    #[serde(default = "default_k")]
    k: f64,
    #[serde(default)]
    floor: f64,
    #[serde(default = "default_warmup")]
    warmup: u32,
    #[serde(default = "default_name")]
    name: String,
    #[serde(default = "default_level")]
    level: String,
    #[serde(default = "default_length")]
    soak: String,
    #[serde(default = "default_length")]
    cool: String,
    #[serde(default)]
    notify: Vec<String>,
}

fn default_k() -> f64 {
    4.0
}

fn default_warmup() -> u32 {
    30
}

fn default_name() -> String {
    "ewma-anomaly".to_owned()
}

fn default_level() -> String {
    "warning".to_owned()
}

fn default_length() -> String {
    "0s".to_owned()
}

/// How much a new sample weighs against the past.
#[derive(Clone, Copy)]
enum Fading {
    /// The same for every sample.
    Alpha(f64),
    /// Half of the past is gone after so many nanoseconds.
    HalfLife(f64),
}

impl Fading {
    /// The weight of a sample that comes `gone` nanoseconds after the one before.
    fn weight(self, gone: Timestamp) -> f64 {
        match self {
            Fading::Alpha(alpha) => alpha,
            Fading::HalfLife(nanos) => 1.0 - (-(gone as f64) / nanos).exp2(),
        }
    }
}

/// The last weight that was computed: samples come at even intervals, mostly, and a power of two
/// costs more than all the rest of a row.
#[derive(Clone, Copy)]
struct Remembered {
    gone: Timestamp,
    weight: f64,
}

/// Where one series has been: weighted mean and variance, and the newest time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Track {
    seen: u32,
    mean: f64,
    variance: f64,
    at: Timestamp,
}

struct EwmaAnomaly {
    declaration: Declaration,
    fading: Fading,
    remembered: Remembered,
    bounds: Bounds,
    tracks: SeriesTable<Track>,
}

/// What is too far off.
#[derive(Clone, Copy)]
struct Bounds {
    k: f64,
    floor: f64,
    warmup: u32,
    level: Level,
}

impl Bounds {
    /// Judges each row and folds it in; `weight` is asked for the weight of a sample that comes so
    /// long after the one before.
    fn judge(
        self,
        rows: Columns<'_>,
        tracks: &mut SeriesTable<Track>,
        out: &mut Judgement,
        mut weight: impl FnMut(Timestamp) -> f64,
    ) {
        let columns = rows.series.iter().zip(rows.at).zip(rows.value).enumerate();
        for (row, ((series, &at), &value)) in columns {
            let Some(track) = tracks.get_mut(*series) else {
                out.hold(row);
                continue;
            };
            let (off, stddev) = ((value - track.mean).abs(), track.variance.sqrt());
            if off > self.k * stddev && off > self.floor && track.seen >= self.warmup {
                let message = format!(
                    "{value} is {off:.4} away from the mean {:.4} (stddev {stddev:.4})",
                    track.mean
                );
                out.breach_because(row, self.level, message);
            } else if track.seen < self.warmup {
                out.hold(row);
            }
            track.take(weight(at.saturating_sub(track.at).max(0)), at, value);
        }
    }
}

impl Rule for EwmaAnomaly {
    fn configure(settings: &str) -> Result<EwmaAnomaly, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let level = Level::parse(&settings.level)?;
        let fading = fading(&settings)?;
        if !(settings.k > 0.0 && settings.floor >= 0.0) {
            return Err(Failure::settings("`k` must be above 0 and `floor` not below it"));
        }
        let mut declaration = Declaration::new(&settings.name, &settings.metric)
            .only(&settings.only)
            .levels(&[level])
            .soak(parse_duration(&settings.soak)?)
            .cool(parse_duration(&settings.cool)?)
            .notify(settings.notify);
        if let Some(by) = settings.by {
            declaration = declaration.by(by);
        }
        Ok(EwmaAnomaly {
            declaration,
            fading,
            remembered: Remembered { gone: 0, weight: fading.weight(0) },
            bounds: Bounds {
                k: settings.k,
                floor: settings.floor,
                warmup: settings.warmup.max(2),
                level,
            },
            tracks: SeriesTable::default(),
        })
    }

    fn describe(&self) -> Vec<Declaration> {
        vec![self.declaration.clone()]
    }

    fn intern(&mut self, added: Vec<Series>) {
        self.tracks.intern(added);
    }

    fn forget(&mut self, removed: &[SeriesId]) {
        self.tracks.forget(removed);
    }

    fn evaluate(
        &mut self,
        _rule: u32,
        rows: Columns<'_>,
        out: &mut Judgement,
    ) -> Result<(), Failure> {
        let EwmaAnomaly { bounds, tracks, remembered, .. } = self;
        match self.fading {
            Fading::Alpha(alpha) => bounds.judge(rows, tracks, out, |_| alpha),
            fading @ Fading::HalfLife(_) => {
                let mut last = *remembered;
                bounds.judge(rows, tracks, out, |gone| {
                    if gone != last.gone {
                        last = Remembered { gone, weight: fading.weight(gone) };
                    }
                    last.weight
                });
                *remembered = last;
            }
        }
        Ok(())
    }

    fn save(&mut self) -> Option<Snapshot> {
        let data = self.tracks.save(Track::write);
        Some(Snapshot { version: STATE_VERSION, data })
    }

    fn restore(&mut self, state: Snapshot) -> Result<(), Failure> {
        if state.version != STATE_VERSION {
            let message = format!("state version {} is not {STATE_VERSION}", state.version);
            return Err(Failure::new("state", message));
        }
        self.tracks
            .restore(&state.data, Track::read)
            .ok_or_else(|| Failure::new("state", "the saved bytes are not what this rule writes"))
    }
}

fn fading(settings: &Settings) -> Result<Fading, Failure> {
    match (&settings.half_life, settings.alpha) {
        (Some(length), None) => {
            let nanos = parse_duration(length)?;
            if nanos == 0 {
                return Err(Failure::settings("`half_life` must be longer than 0s"));
            }
            Ok(Fading::HalfLife(nanos as f64))
        }
        (None, Some(alpha)) if 0.0 < alpha && alpha < 1.0 => Ok(Fading::Alpha(alpha)),
        (None, Some(_)) => Err(Failure::settings("`alpha` must lie between 0 and 1")),
        (None, None) => Ok(Fading::HalfLife(600e9)),
        (Some(_), Some(_)) => Err(Failure::settings("give `half_life` or `alpha`, not both")),
    }
}

impl Track {
    /// Folds a value in. The formula is West's incremental weighted variance.
    fn take(&mut self, weight: f64, at: Timestamp, value: f64) {
        if self.seen == 0 {
            *self = Track { seen: 1, mean: value, variance: 0.0, at };
            return;
        }
        // While the series is young every sample counts alike: the first value would otherwise
        // stand for the whole past.
        let alike = 1.0 / f64::from(self.seen + 1);
        // Not `max`: of that, which minds NaN, WebAssembly has no instruction that Rust could use.
        let weight = if weight < alike { alike } else { weight };
        let off = value - self.mean;
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        self.seen = self.seen.saturating_add(1);
        self.at = at;
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seen.to_le_bytes());
        out.extend_from_slice(&self.mean.to_le_bytes());
        out.extend_from_slice(&self.variance.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Track> {
        let (seen, rest) = bytes.split_first_chunk::<4>()?;
        let (mean, rest) = rest.split_first_chunk::<8>()?;
        let (variance, rest) = rest.split_first_chunk::<8>()?;
        let at: &[u8; 8] = rest.try_into().ok()?;
        Some(Track {
            seen: u32::from_le_bytes(*seen),
            mean: f64::from_le_bytes(*mean),
            variance: f64::from_le_bytes(*variance),
            at: Timestamp::from_le_bytes(*at),
        })
    }
}

export_rule!(EwmaAnomaly);
