//! A sink of samples that tells a server all it is given and dies on demand, for the host's own
//! tests. It ships with nothing.
//!
//! Settings: `url`; `metrics`; `batch` and `age`; `panic` and `spin`, the values of samples at
//! which it does so. Each attempt posts a JSON object: `key`, `announced` and `forgotten` since
//! the last attempt, `rows` as `NAME VALUE`, and `restored`: the rows that came before, by its
//! state, and how many series it knew when it got that.

use serde::Deserialize;
use serde_json::json;
use watchfire_plugin::http::{Request, text};
use watchfire_plugin::{
    Columns, DeliveryError, Failure, SampleSink, SampleTerms, Series, SeriesId, SeriesTable,
    Snapshot, export_sample_sink, parse_duration,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    metrics: Vec<String>,
    batch: u32,
    age: String,
    panic: Option<f64>,
    spin: Option<f64>,
}

struct Evil {
    settings: Settings,
    terms: SampleTerms,
    series: SeriesTable<()>,
    announced: Vec<String>,
    forgotten: usize,
    rows: u64,
    restored: Option<(u64, usize)>,
}

impl SampleSink for Evil {
    fn configure(settings: &str) -> Result<Evil, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let terms = SampleTerms::of(settings.metrics.iter().map(String::as_str))
            .batch(settings.batch, parse_duration(&settings.age)?)
            .retry(5, 50_000_000);
        let (series, announced) = (SeriesTable::default(), Vec::new());
        Ok(Evil { settings, terms, series, announced, forgotten: 0, rows: 0, restored: None })
    }

    fn describe(&self) -> SampleTerms {
        self.terms.clone()
    }

    fn intern(&mut self, added: Vec<Series>) {
        self.announced.extend(added.iter().map(|series| series.metric.clone()));
        self.series.intern(added);
    }

    fn forget(&mut self, removed: &[SeriesId]) {
        self.forgotten += removed.len();
        self.series.forget(removed);
    }

    fn deliver(&mut self, key: &str, rows: Columns<'_>) -> Result<(), DeliveryError> {
        let holds = |value: Option<f64>| value.is_some_and(|value| rows.value.contains(&value));
        assert!(!holds(self.settings.panic), "asked to");
        while holds(self.settings.spin) {
            std::hint::black_box(&rows);
        }
        let name = |id| self.series.series(id).map_or("?", |series| series.metric.as_str());
        let lines =
            (0..rows.rows()).map(|row| format!("{} {}", name(rows.series[row]), rows.value[row]));
        let body = json!({
            "key": key,
            "announced": std::mem::take(&mut self.announced),
            "forgotten": std::mem::take(&mut self.forgotten),
            "rows": lines.collect::<Vec<_>>(),
            "restored": self.restored,
        });
        let request = Request::post_json(vec![text(&self.settings.url)], body.to_string());
        match request.send() {
            Ok(response) if response.status == 200 => {
                self.rows += rows.rows() as u64;
                Ok(())
            }
            Ok(response) if response.status == 400 => {
                Err(DeliveryError::Rejected("the server answered 400".to_owned()))
            }
            Ok(_) => Err(DeliveryError::Retry(Some(20))),
            Err(error) => Err(DeliveryError::Other(format!("{error:?}"))),
        }
    }

    fn save(&mut self) -> Option<Snapshot> {
        Some(Snapshot { version: 1, data: self.rows.to_le_bytes().to_vec() })
    }

    fn restore(&mut self, state: Snapshot) -> Result<(), Failure> {
        let rows = state.data.try_into().map_err(|_| Failure::new("state", "eight bytes"))?;
        self.rows = u64::from_le_bytes(rows);
        self.restored = Some((self.rows, self.series.len()));
        Ok(())
    }
}

export_sample_sink!(Evil, needs = ["http:{url}"]);
