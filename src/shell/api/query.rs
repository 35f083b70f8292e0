//! Reading a request's query.

use axum::extract::Query;
use axum::http::Uri;

use super::problem::{Problem, Trouble};

/// Names and values in the order given; a name may stand more than once.
pub fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    let Query(pairs) = Query::try_from_uri(uri).map_err(|error| {
        let hint = "Write ?name=value&name=value, with other characters as %XX.";
        Problem::new(Trouble::BadRequest, error.body_text(), hint)
    })?;
    Ok(pairs)
}
