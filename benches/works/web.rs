//! As much HTTP as it takes to ask a running instance.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A flush waits for all that was sent before it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The answer's body, when its status is 200.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{method} {path}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(format!("{method} {path}: {answer}")),
    }
}

/// The sum of a metric's series on a page of `/metrics`.
pub fn sum(page: &str, metric: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let is_whole = rest.starts_with(['{', ' ']);
        is_whole.then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).flatten()
    });
    values.sum()
}

/// A histogram's buckets: the upper bound and how many fell into this bucket alone.
pub fn buckets(page: &str, metric: &str) -> Vec<(String, u64)> {
    let open = format!("{metric}_bucket{{le=\"");
    let (mut before, mut buckets) = (0, Vec::new());
    for rest in page.lines().filter_map(|line| line.strip_prefix(&open)) {
        let Some((bound, count)) = rest.split_once("\"} ") else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        buckets.push((bound.to_owned(), count - before));
        before = count;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_on_a_page() {
        let page = "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_totals 9\n\
                    h_bucket{le=\"0.1\"} 4\nh_bucket{le=\"+Inf\"} 7\n";
        assert_eq!(sum(page, "a_total"), 5.0);
        assert_eq!(sum(page, "a_totals"), 9.0);
        assert_eq!(sum(page, "b"), 0.0);
        assert_eq!(buckets(page, "h"), [("0.1".to_owned(), 4), ("+Inf".to_owned(), 3)]);
    }
}
