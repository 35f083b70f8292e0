//! JSON lines: what they may leave out, what is refused, and what the quick path must not change.

use crate::kernel::decode::Format;
use crate::kernel::decode::tests::check as check_format;

fn check(payload: &str, expected: &str) {
    check_format(Format::JsonLines, payload, expected);
}

#[test]
fn samples_with_all_or_few_fields() {
    check(
        r#"{"name":"cpu.usage","labels":{"host":"a"},"ts":1700000000000,"value":91.5}
        {"name":"cpu.usage","value":1}

        { "name" : "cpu.usage" , "labels" : {"host": "a"}, "ts": 1700000000001, "value" : -2e-1 }
        {"value":3,"ts":1700000000002,"labels":{},"name":"x"}"#,
        r#"cpu.usage{host="a"} = 91.5 @2023-11-14T22:13:20Z
        cpu.usage = 1 @arrival
        cpu.usage{host="a"} = -0.2 @2023-11-14T22:13:20.001Z
        x = 3 @2023-11-14T22:13:20.002Z"#,
    );
}

#[test]
fn times_are_numbers_or_texts() {
    check(
        r#"{"name":"x","ts":"2023-11-14T22:13:20.5Z","value":1}
        {"name":"x","ts":"2023-11-15T00:13:20+02:00","value":2}
        {"name":"x","ts":"2023-11-14T22:13:20\u005a","value":3}
        {"name":"x","ts":1700000000000.000001,"value":4}
        {"name":"x","ts":1.7e12,"value":5}
        {"name":"x","ts":null,"value":6}"#,
        "x = 1 @2023-11-14T22:13:20.5Z
        x = 2 @2023-11-14T22:13:20Z
        x = 3 @2023-11-14T22:13:20Z
        x = 4 @2023-11-14T22:13:20.000000001Z
        x = 5 @2023-11-14T22:13:20Z
        x = 6 @arrival",
    );
}

#[test]
fn the_last_of_two_equal_keys_counts_and_unknown_keys_do_not() {
    check(
        r#"{"name":"a","name":"b","value":null,"value":2,"unit":{"value":[3]}}
        {"name":"c","labels":{"x":"1","x":"2"},"ts":1,"ts":1700000000000,"value":3}
        {"na\u006de":"d","value":4,"event":"also"}"#,
        r#"b = 2 @arrival
        c{x="2"} = 3 @2023-11-14T22:13:20Z
        d = 4 @arrival"#,
    );
}

#[test]
fn label_values_are_scalars() {
    check(
        r#"{"name":"x","labels":{"a":1.50,"b":true,"c":null,"d":""},"value":1}
        {"name":"x","labels":{"e":"\u00fc\n\"","f":"ü"},"value":1}
        {"name":"x","labels":null,"value":2}
        {"name":"x","labels":{"a":[]},"value":3}
        {"name":"x","labels":[],"value":4}"#,
        r#"x{a="1.50",b="true"} = 1 @arrival
        x{e="ü\n\"",f="ü"} = 1 @arrival
        x = 2 @arrival
        line 4: a label's value is neither text, number nor boolean
        line 5: `labels` is not an object"#,
    );
}

#[test]
fn what_is_no_sample_is_told() {
    check(
        r#"{"event":"job.stop","ts":1,"measurements":{"duration":12.5}}
        {"name":"x","value":1e999}
        {"value":1}
        {"name":"x"}
        {"name":"","value":1}
        {"name":7,"value":1}
        {"name":"x","value":null}
        {"name":"x","value":"1"}
        {"name":"x","value":NaN}
        {"name":"x","value":01}
        {"name":"x","ts":"noon","value":1}
        {"name":"x","ts":[],"value":1}
        {"name":"x","ts":1e30,"value":1}
        {"name":"x","value":1
        {"name":"x","value":1}}
        [1]"#,
        "refused not_finite 1
        refused unsupported 1
        line 3: the object has no `name`
        line 4: the object has no `value`
        line 5: `name` is empty
        line 6: `name` is not a text
        line 7: `value` is not a number
        line 8: `value` is not a number
        line 9: not a JSON object: expected value at byte 21
        line 10: not a JSON object: invalid number at byte 22
        line 11: `ts` is not an RFC 3339 time
        line 12: `ts` is neither a number nor an RFC 3339 text
        line 13: `ts` is outside the years 1677 to 2262
        line 14: not a JSON object: EOF while parsing an object at byte 21
        line 15: not a JSON object: trailing characters at byte 23
        line 16: not a JSON object: invalid type: sequence, expected an object at byte 0",
    );
}

/// The cut from the end is fooled by each of these, and the parser has the last word.
#[test]
fn fields_that_only_look_like_the_last_ones() {
    check(
        r#"{"name":"x","value":1,"note":"\"ts\":2,\"value\":3"}
        {"name":"x","value":1,"note":{"ts":2,"value":3}}
        {"name":"x","value":1,"a\"ts":2,"a\"value":3}
        {"name":"x","ts":1700000000000,"value":1,"labels":{"ts":2,"value":3}}"#,
        r#"x = 1 @arrival
        x = 1 @arrival
        x = 1 @arrival
        x{ts="2",value="3"} = 1 @2023-11-14T22:13:20Z"#,
    );
}

/// The second line of each pair begins with bytes that the first made a known key, and differs in
/// what the parser makes of it.
#[test]
fn lines_that_begin_with_a_known_key() {
    check(
        r#"{"name":"x","ts":1000,"value":1,"ts":2000,"value":2}
        {"name":"x","ts":1000,"value":1,"value":3}"#,
        "x = 2 @1970-01-01T00:00:02Z
        x = 3 @1970-01-01T00:00:01Z",
    );
    check(
        "{\"name\":\"x\",\"value\":1}\n{\"name\":\"x\",\"value\":\x0c2}",
        "x = 1 @arrival
        line 2: not a JSON object: expected value at byte 21",
    );
    check(
        r#"{"name":"x","value":1}
        {"name":"x","value":1}}
        {"name":"x","value":01}
        {"name":"x","value":"1"}
        {"name":"x","labels":{"a":"b"},"value":2}"#,
        r#"x = 1 @arrival
        x{a="b"} = 2 @arrival
        line 2: not a JSON object: trailing characters at byte 23
        line 3: not a JSON object: invalid number at byte 22
        line 4: `value` is not a number"#,
    );
    // What the first line makes a key is what the second begins with.
    check(
        r#"{"value":1,"name":"x","labels":{"a":"b"}}
        "x"{"a":"b"}"ts":1000,"value":2}"#,
        r#"x{a="b"} = 1 @arrival
        line 2: not a JSON object: invalid type: string "x", expected an object at byte 3"#,
    );
}
