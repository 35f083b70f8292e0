//! Times of our own doing, as the API prints them.

use serde::Serializer;

use crate::kernel::model::Now;

/// RFC 3339, in UTC.
pub fn rfc3339<S: Serializer>(now: &Now, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(now.nanos()));
    let time = time.expect("the clock's 64 bits of nanoseconds lie within what a calendar holds");
    serializer.collect_str(&time)
}

/// The same, or null for a time that never was.
pub fn rfc3339_or_null<S: Serializer>(now: &Option<Now>, serializer: S) -> Result<S::Ok, S::Error> {
    match now {
        Some(now) => rfc3339(now, serializer),
        None => serializer.serialize_none(),
    }
}
