//! What the link is called along the way, and how long its waits grow.

use super::*;

fn patient() -> Policy {
    let retry = Retry { attempts: 100, base: Duration::from_secs(1) };
    Policy { batching: Batching { max: 1, age: Duration::ZERO }, retry, ..policy() }
}

/// Steps an outbox through `inputs`, jumping to the next wake before each that answers an attempt.
/// The link after each step, and the wait that the last one led to.
fn drive(seed: u64, inputs: &[&str]) -> (Vec<&'static str>, Duration) {
    let mut now = Now::from_nanos(0);
    let mut outbox = Outbox::new("ops", patient(), seed, now);
    let mut links = Vec::new();
    for input in inputs {
        if let Some((at, Reason::Backoff)) = outbox.next_wake() {
            now = at;
            outbox.step(now, Input::Tick);
        }
        outbox.step(now, input_of(input, patient()));
        links.push(outbox.link().name());
    }
    let wait = outbox.next_wake().map_or(Duration::ZERO, |(at, _)| at.since(now));
    (links, wait)
}

#[test]
fn the_link_tells_how_far_the_connection_is() {
    let inputs = [
        "tick",
        "unopened",
        "opened",
        "offer a",
        "retry",
        "tick",
        "delivered",
        "offer b",
        "faulted",
        "opened",
        "rejected",
        "park",
        "swap",
    ];
    let (links, _) = drive(1, &inputs);
    let told: Vec<String> =
        inputs.iter().zip(links).map(|(input, link)| format!("{input}: {link}")).collect();
    assert_eq!(
        told,
        [
            "tick: connecting",
            "unopened: disconnected",
            "opened: streaming",
            "offer a: streaming",
            "retry: disconnected",
            "tick: connecting",
            "delivered: streaming",
            "offer b: streaming",
            "faulted: disconnected",
            // The same batch goes out again, and only its delivery counts as connected.
            "opened: connecting",
            "rejected: streaming",
            "park: parked",
            "swap: connecting",
        ]
    );
}

#[test]
fn waits_grow_with_failures_in_a_row_and_start_anew_after_an_answer_or_a_swap() {
    let failing = ["tick", "opened", "offer a", "retry", "retry", "retry", "retry", "retry"];
    let longest = |then: &[&str]| {
        let inputs = [&failing[..], then].concat();
        (0..200).map(|seed| drive(seed, &inputs).1).max().expect("there are seeds")
    };
    let second = Duration::from_secs(1);
    assert!(longest(&[]) > second * 8, "{}", longest(&[]));
    for then in [
        &["delivered", "offer b", "retry"][..],
        &["rejected", "offer b", "retry"],
        &["swap", "retry", "opened", "retry"],
    ] {
        let wait = longest(then);
        assert!(!wait.is_zero() && wait < second, "{then:?}: {wait}");
    }
}
