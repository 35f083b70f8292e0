//! Samples over HTTP.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::*;

const GZIP: (&str, &str) = ("content-encoding", "gzip");

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

fn taken(world: &World) -> Vec<(Format, String)> {
    std::mem::take(&mut world.app.bodies.lock().expect("a test"))
}

#[tokio::test]
async fn good_lines_are_taken_among_bad_ones() {
    let world = World::start().await;
    let answer = world.post("/ingest", &[], "a\nbad\nnan\nb\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "accepted": 2,
            "refused": { "not_finite": 1 },
            "defects": [{ "line": 2, "what": "not an object", "excerpt": "bad" }],
            "defect_count": 1,
        })
    );
}

#[tokio::test]
async fn a_body_with_nothing_but_defects_is_a_problem_with_the_defects() {
    let world = World::start().await;
    let answer = world.post("/ingest", &[], "bad\nbad").await;
    let problem = answer.problem(400, "/ingest");
    assert!(problem.contains("could be read as json") && problem.contains("influx"), "{problem}");
    assert_eq!(answer.json()["defect_count"], 2);
    assert_eq!(answer.json()["defects"][1]["line"], 2);
    for body in ["", "nan", "bad\nnan", "bad\na"] {
        assert_eq!(world.post("/ingest", &[], body).await.status, 200, "{body:?}");
    }
}

#[tokio::test]
async fn the_format_comes_from_the_query_or_the_content_type() {
    let world = World::start().await;
    for (query, kind, wanted) in [
        ("", "", Ok(Format::Json)),
        ("", "application/json", Ok(Format::Json)),
        ("", "application/x-ndjson; charset=utf-8", Ok(Format::Json)),
        ("", "application/x-www-form-urlencoded", Ok(Format::Json)),
        ("", "text/plain; version=0.0.4", Ok(Format::Prom)),
        ("", "Text/CSV", Ok(Format::Csv)),
        ("", "text/plain", Err(415)),
        ("", "image/png", Err(415)),
        ("?format=influx", "", Ok(Format::Influx)),
        ("?format=statsd", "text/plain", Ok(Format::Statsd)),
        ("?format=prom", "application/json", Ok(Format::Prom)),
        ("?format=csv", "", Ok(Format::Csv)),
        ("?format=xml", "", Err(400)),
        ("?format=", "", Err(400)),
        ("?other=1", "", Ok(Format::Json)),
    ] {
        let headers = [("content-type", kind)];
        let headers = if kind.is_empty() { &[] } else { &headers[..] };
        let answer = world.post(&format!("/ingest{query}"), headers, "x").await;
        match wanted {
            Ok(format) => assert_eq!(taken(&world), [(format, "x".to_owned())], "{query} {kind}"),
            Err(status) => {
                let problem = answer.problem(status, "/ingest");
                assert!(problem.contains("json, influx, prom, statsd, csv"), "{problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_plugin_reads_what_is_posted_in_its_name() {
    let world = World::start().await;
    for (query, kind, status, says) in [
        ("acme", "", 200, ""),
        ("acme", "application/x-acme; v=2", 200, ""),
        ("acme", "application/x-www-form-urlencoded", 200, ""),
        ("acme", "text/plain", 415, "One of application/x-acme."),
        ("other", "", 404, "One of acme."),
    ] {
        let headers = [("content-type", kind)];
        let headers = if kind.is_empty() { &[] } else { &headers[..] };
        let answer = world.post(&format!("/ingest?source={query}"), headers, "x").await;
        if status == 200 {
            assert_eq!((answer.status, &answer.json()["accepted"]), (200, &1.into()), "{kind}");
        } else {
            let problem = answer.problem(status, "/ingest");
            assert!(problem.contains(says), "{problem}");
        }
    }
    assert_eq!(taken(&world), [], "no format was asked");
}

#[tokio::test]
async fn gzip_is_unpacked_and_other_encodings_are_refused() {
    let world = World::start().await;
    assert_eq!(world.post("/ingest", &[GZIP], gzip("a\nb")).await.json()["accepted"], 2);
    assert_eq!(taken(&world), [(Format::Json, "a\nb".to_owned())]);
    let identity = ("content-encoding", "identity");
    assert_eq!(world.post("/ingest", &[identity], "a").await.status, 200);
    let zstd = ("content-encoding", "zstd");
    world.post("/ingest", &[zstd], "a").await.problem(415, "/ingest");
    let broken = world.post("/ingest", &[GZIP], "not gzip at all").await;
    assert!(broken.problem(400, "/ingest").contains("gzip"));
    let mut cut = gzip("a\nb");
    cut.truncate(cut.len() - 9);
    world.post("/ingest", &[GZIP], cut).await.problem(400, "/ingest");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_packed_or_not() {
    let world = World::start_with(|options| options.body_bytes_max = 1_000).await;
    let (fits, over) = ("x".repeat(1_000), "x".repeat(1_001));
    for (body, status) in [(&fits, 200), (&over, 413)] {
        assert_eq!(world.post("/ingest", &[], body.as_str()).await.status, status);
        let packed = gzip(body);
        assert!(packed.len() < 100, "small on the wire");
        assert_eq!(world.post("/ingest", &[GZIP], packed).await.status, status);
    }
    let problem = world.post("/ingest", &[], over).await.problem(413, "/ingest");
    assert!(problem.contains("1000 bytes") && problem.contains("batch_bytes_max"), "{problem}");
    assert_eq!(taken(&world).len(), 2);
}

#[tokio::test]
async fn a_full_pipeline_asks_to_come_back() {
    let world = World::start().await;
    let answer = world.post("/ingest", &[], "full").await;
    answer.problem(429, "/ingest");
    assert_eq!(answer.header("retry-after"), "2", "1.001 s, rounded up");
}

#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let world = World::start_with(|options| options.bodies_bytes_max = 10).await;
    assert_eq!(world.post("/ingest", &[], "x".repeat(10)).await.status, 200);
    for _ in 0..2 {
        let answer = world.post("/ingest", &[], "x".repeat(11)).await;
        answer.problem(429, "/ingest");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(world.post("/ingest", &[], "x".repeat(10)).await.status, 200, "all is given back");
}

#[tokio::test]
async fn a_bug_behind_the_api_is_a_problem_and_not_the_end() {
    let world = World::start().await;
    world.post("/ingest", &[], "panic").await.problem(500, "/ingest");
    assert_eq!(world.post("/ingest", &[], "a").await.status, 200);
}
