//! The nouns that every other module speaks of: time, labels, series, batches, levels, limits,
//! and what was left out. Never decides anything.

pub mod batch;
pub mod census;
pub mod index;
pub mod level;
pub mod limits;
pub mod lookup;
mod memo;
pub mod refusal;
pub mod series;
mod shared_text;
pub mod text;
pub mod time;
pub mod version;

pub use batch::{Announcement, Batch, Op, Slot, SourceId};
pub use level::Level;
pub use limits::Limits;
pub use memo::Memo;
pub use refusal::{Defect, Refusal, RefusalCounts};
pub use series::{Labels, Series, SeriesId};
pub use time::{Duration, EventTime, Now};
pub use version::Version;
