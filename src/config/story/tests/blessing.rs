//! Rewriting expectations in place.

use super::*;

/// The text after blessing; blessed text passes, and blessing it again changes nothing.
fn check_bless(text: &str, expected: &str) {
    let blessed = bless(text, &read(text), &reports(text));
    assert_eq!(blessed, expected, "\n{blessed}\n");
    assert!(reports(&blessed).iter().all(Report::passed), "\n{blessed}\n");
    assert_eq!(bless(&blessed, &read(&blessed), &reports(&blessed)), blessed);
}

#[test]
fn bless_rewrites_expectations_and_nothing_else() {
    check_bless(
        r#"rules other.rhai   # kept
# kept too
rule disk-filling
feed   every 1m   # odd spacing is kept
  disk{host="db1"}  0.80  0.92x8  0.70x4

# it starts
at 1m   pending   {host="db1"}
at 5m   FIRED     {host="db1"}  value 0.93  level warning   # later
at 7m   FLAPPING  {host="db1"}   # goes

# the end
at 10m   RESOLVED  {host="db1"}

rule disk-filling
feed every 1m
  disk{host="b"} 0.95"#,
        r#"rules other.rhai   # kept
# kept too
rule disk-filling
feed   every 1m   # odd spacing is kept
  disk{host="db1"}  0.80  0.92x8  0.70x4

# it starts
at 1m   pending   {host="db1"}
at 6m   FIRED     {host="db1"}  level warning  value 0.92  # later
at 9m   cooling   {host="db1"}

# the end
at 11m  RESOLVED  {host="db1"}

rule disk-filling
feed every 1m
  disk{host="b"} 0.95
at 0s   pending   {host="b"}
"#,
    );
}

#[test]
fn bless_puts_a_change_where_its_time_belongs() {
    check_bless(
        "rule disk-filling\nfeed every 1m\n  disk{host=\"a\"} 0.95x6 0.1x3\n\n# end\n\
         at 8m RESOLVED {host=\"a\"}\n# last\n",
        r#"rule disk-filling
feed every 1m
  disk{host="a"} 0.95x6 0.1x3

# end
at 0s   pending   {host="a"}
at 5m   FIRED     {host="a"}  value 0.95
at 6m   cooling   {host="a"}
at 8m RESOLVED {host="a"}
# last
"#,
    );
    check_bless(
        "rule disk-filling\r\nfeed every 1m\r\n  disk{host=\"a\"} 0.95x2 0.1\r\n\
         at 1m pending {host=\"a\"} # c\r\n",
        "rule disk-filling\r\nfeed every 1m\r\n  disk{host=\"a\"} 0.95x2 0.1\r\n\
         at 0s   pending   {host=\"a\"}  # c\r\n\
         at 2m   cleared   {host=\"a\"}\r\n",
    );
}

#[test]
fn bless_keeps_what_looks_like_a_comment_in_quotes() {
    check_bless(
        "rule noise\nfeed every 1m\n  m{h=\"#\\\"#\"} 1 2\n\
         at 1m FIRED {h=\"#\\\"#\"} value 3 # c\n",
        "rule noise\nfeed every 1m\n  m{h=\"#\\\"#\"} 1 2\n\
         at 0s   FIRED     {h=\"#\\\"#\"}  value 1\n\
         at 1m   FIRED     {h=\"#\\\"#\"}  value 2  # c\n",
    );
}

#[test]
fn bless_puts_changes_of_one_time_after_each_other() {
    check_bless(
        "rule disk-filling, noise\nfeed every 1m\n  m 1\nat 0s FIRED noise\n",
        "rule disk-filling, noise\nfeed every 1m\n  m 1\nat 0s FIRED noise\n\
         at 0s   pending   disk-filling\n",
    );
}
