//! What authors are told: place, what is wrong, what to do.

use super::*;

/// Each paragraph is a file, or the words of a rule over metric `m`; the indented lines after it
/// are what is found: `line:column what`, and the help below it.
#[track_caller]
fn check(table: &str) {
    let paragraphs = table.trim().split("\n\n").map(told);
    assert_eq!(paragraphs.collect::<Vec<_>>().join("\n\n"), table.trim());
}

/// The paragraph as it should be.
fn told(paragraph: &str) -> String {
    let lines = paragraph.lines().take_while(|line| !line.starts_with("    "));
    let written = lines.collect::<Vec<_>>().join("\n");
    let text = match written.starts_with('.') {
        true => format!("rule(\"r\").on(\"m\"){written};"),
        false => written.clone(),
    };
    let loaded = load("rules/test.rhai", &text, &host());
    let listed = listed(&loaded.findings);
    let found =
        listed.lines().map(|line| format!("\n    {}", line.replacen(" | ", "\n        ", 1)));
    written + found.collect::<String>().as_str()
}

#[test]
fn habits_from_other_languages() {
    check(
        r##"
.when(|v| v > 1 and v < 2)
    1:34 `and` is no operator
        use `&&`

.when(|v| v > 1 or v < 2)
    1:34 `or` is no operator
        use `||`

.when(|v| not v > 1)
    1:28 `not` is no operator
        use `!`

.when(|v| v > 1).soak(2m)
    1:40 `2m` is no number
        durations are strings: "2m"

.when(|v| v > 1).soak(90)
    1:35 `soak` takes a duration, not the number 90
        durations are strings: "90s"

.when(|v| v > 1).soak(1.5)
    1:35 `soak` takes a duration, not the number 1.5
        durations are strings: "1.5s"

.when(|v| v > 1).soak("2x")
    1:35 `2x` is not a duration
        write for example "90s" or "1h30m"

.when(|v| v > 1).soak("0s").every("0s")
    1:46 `every` needs more than no time

.when(|v| v > limt)
    1:32 `limt` is not defined

.when(|v| v > 1
    1:33 a `)` or `,` is missing before this

.text(|a| `a\nb`).when(|v| v > 1)
    1:30 warning: `\n` is no escape between back-ticks
        write ${"\n"}, or a line break
"##,
    );
}

#[test]
fn misspelt_words() {
    check(
        r##"
.windw("5m").sok("1m").frobnicate()
    1:19 a rule has no `windw`
        did you mean `window`?
    1:31 a rule has no `sok`
        did you mean `soak`?
    1:41 a rule has no `frobnicate`

sink("s").sendd(|a, c| 1);
    1:11 a sink has no `sendd`
        did you mean `send`?

rul("s");
    1:1 there is no `rul` for (string)
        did you mean `rule`?

rule("r").on("m").by("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k").absent("1m");
    1:19 `by` does not take so many arguments
        hand them over as one array

rule("r").on("m").by(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]).absent("1m");

let r = rule("r"); r.windw("5m");
    1:22 a rule has no `windw`
        did you mean `window`?

counter("a").from("b");
    1:1 `counter` is not in this version of watchfire

flow("x"); sum("a"); last_value("b"); distribution("c");
    1:1 `flow` is not in this version of watchfire
    1:12 `sum` is not in this version of watchfire
    1:22 `last_value` is not in this version of watchfire
    1:39 `distribution` is not in this version of watchfire
"##,
    );
}

#[test]
fn fields_that_are_not_there() {
    check(
        r##"
.window("5m").when(|w| w.maen > 1 || w.p999x > 2)
    1:43 a window has no field `maen`
        did you mean `mean`?
    1:57 a window has no field `p999x`
        did you mean `p99`?

.window("5m").when(|w| w.share > 1 || w.ewma > 2 || w.distinct > 3)
    1:43 the rule does not declare `share`
        add .share(|v| v > 0.5)
    1:58 the rule does not declare `ewma`
        add .ewma("5m")
    1:72 the rule does not declare `distinct`
        add .distinct("user")

.window("5m").when(|w| w > 1)
    1:41 `w` is used as a whole, so what is read of it cannot be told
        name the field, as in `w.mean`, here or in a function

.window("5m").when(|w| w.mean.x > 1)
    1:48 a number has no field `x`

.window("5m").when(|w| w.keys().len() > 1)
    1:41 `w` is used as a whole, so what is read of it cannot be told
        name the field, as in `w.mean`, here or in a function

.window("5m").when(|w| { w.mean = 3.0; true })
    1:43 `w` cannot be changed

.when(|v| v.mean > 1)
    1:30 a number has no field `mean`
        a rule without a window judges each value; .window("5m") gives fields

.when(|v, x| v > 1)
    1:31 `x` is no parameter that a condition can have
        after the view they are called `base` and `labels`

.when(|v, base| v > base.mean)
    1:34 this rule has no baseline
        add a baseline: .baseline("1d")

.window("1m").baseline("1h").when(|w, base| w.mean > base.maen)
    1:76 a baseline has no field `maen`
        did you mean `mean`?

.window("1m").baseline("1h").when(|w, base| w.rate + w.mean > base.mean)
    1:85 the condition reads several reductions, so `base` could be of any of them
        write which one: base.rate.mean

.when(|v| this.n > v)
    1:28 this rule keeps no state of its own
        give it its first value: .state(#{ last: 0.0 })

.text(|a| a.vaule).when(|v| v > 1)
    1:30 an alert has no field `vaule`
        did you mean `value`?

rule("r").join(#{ a: "x", b: "y" }).when(|v| v.c > 1 || v.a.rate > 2);
    1:48 the join has no input `c`
        the join's inputs are a, b
    1:61 a number has no field `rate`
        a join without a window holds each input's value

fn busy(w) { w.maen > 1 }
rule("r").on("m").window("1m").when(busy);
    1:16 a window has no field `maen`
        did you mean `mean`?
"##,
    );
}

#[test]
fn conditions_that_are_none() {
    check(
        r##"
.when(|v| 3)
    1:28 a condition must give true or false, not 3

.when(|v| v)
    1:28 a condition must give true or false, not 1.0

.when(|v| { })
    1:28 a condition must give true or false, not nothing

.when(|v| v.nosuch() > 1)
    1:30 there is no `nosuch` for (float)

.when(3)
    1:19 `when` takes a closure, not the number 3
        write .when(|v| v > 90.0)

.when(Fn("abs"))
    1:19 `abs` is no function of this file
        hand over a closure or the name of a function that is written here

.when()
    1:19 `when` does not take 0 arguments
        write .when(|v| v > 90.0)

.when(|v| v > 1, |v| v < 1)
    1:19 `when` does not take 2 arguments
        write .when(|v| v > 90.0)

.record("x", |v| v > 1)
    1:35 a recorded value must be a number, not false

rule("r").on("m");
    1:1 the rule has no condition
        add .when(|v| v > 90.0), .absent("90s") or .record("name", |w| w.mean)
"##,
    );
}

#[test]
fn words_that_do_not_go_together() {
    check(
        r##"
rule("r").when(|v| v > 1);
    1:1 the rule has no `on` and no `join`
        say what it watches: .on("cpu.usage")

.join(#{ a: "x", b: "y" }).when(|v| true)
    1:19 a rule has `on` or `join`, not both

.window("1m").tumbling("1m").when(|w| w.mean > 1)
    1:32 a rule has one window

.window("1m").every("7s").when(|w| w.mean > 1)
    1:32 `every` must divide the window's length, and 7s does not divide 1m; write for example .every("6s")

.tumbling("1m").every("10s").when(|w| w.mean > 1)
    1:34 `every` does not go with this window
        only `window` and `session` are judged in between

.every("10s").lateness("1s").when(|v| v > 1)
    1:19 `every` needs a window or `across`
        add a window: .window("5m")
    1:32 `lateness` needs a window or `across`
        add a window: .window("5m")

.baseline("1h").share(|v| v > 1).ewma("1m").distinct().when(|v| v > 1)
    1:19 `baseline` needs a window
        add a window: .window("5m")
    1:34 `share` needs a window
        add a window: .window("5m")
    1:51 `ewma` needs a window
        add a window: .window("5m")
    1:62 `distinct` needs a window
        add a window: .window("5m")

.clear(|v| v < 1).absent("1m")
    1:19 `clear` needs a `when`
        add .when(..)

.when(|v| v > 1).info(|v| v > 1)
    1:35 `when` and levels do not go together
        write either .when(..) with .severity(..), or .info, .warning, .critical

.severity("info").info(|v| v > 1)
    1:19 levels carry their own severity
        write either .when(..) with .severity(..), or .info, .warning, .critical

.tolerance("1m").when(|v| v > 1)
    1:19 `tolerance` is for a `join`

.absent("1m").window("1m")
    1:19 `absent` does not go with a window
        put `absent` into a rule of its own, without a window

.across("sum").when(|v| v > 1)
    1:19 `across` folds over the series of a group
        say which series belong together: .by("service"), or .by() for all

.window("1m").baseline("10s").when(|w, base| w.mean > base.mean)
    1:32 a baseline of 10s is shorter than the window's 1m

.by("team").label("team", "db").when(|v| v > 1)
    1:1 `team` is a label of the group and a static one

.when(|v| v > 1).soak("1m").soak("2m")
    1:46 `soak` is there twice

.absent("1m").flapping()
    1:32 `flapping` needs a condition
"##,
    );
}

#[test]
fn values_that_are_not_taken() {
    check(
        r##"
.only(|a, b| true).text(|a, b| `x`).share(|v, labels| true)
    1:19 `only` calls its closure with one value, not 2
        write .only("env=prod, tier!=test") or .only(|labels| labels.env == "prod")
    1:37 `text` calls its closure with one value, not 2
        write |a| `${a.value}`
    1:54 `share` calls its closure with one value, not 2
        write .share(|v| v > 0.5)

.only("env").severity("sever").on_no_data("what").across("median")
    1:19 `env` is not a matcher
        write label=value, label!=value, label=~regex or label!~regex
    1:31 `sever` is no severity
        it is info, warning or critical
    1:49 `what` is nothing to do without data
        write .on_no_data("hold"), ("clear") or ("breach")
    1:68 `median` is no fold across series
        write one of "sum", "mean", "min", "max", "count", "quantile(0.95)"

.during("Mon-Foo").last(10001).last(0).flapping(10, 20).by("a", "a").by(3)
    1:19 `Foo` is no day
        write Mon Tue Wed Thu Fri Sat Sun
    1:37 `last` keeps 1 to 10000 samples, not 10001
        for more, use .window with a length of time
    1:49 `last` keeps 1 to 10000 samples, not 0
        for more, use .window with a length of time
    1:57 flapping starts above 10 % and ends at 20 %
        give the higher one first, both within 0 to 100
    1:74 `by` names `a` twice
    1:87 `by` takes names as strings, not the number 3

.severity("critcal").label("a", 1).state(3).notify("")
    1:19 `critcal` is no severity
        did you mean `critical`?
    1:39 `label` takes a string, not the number 1
    1:53 `state` takes a map
        write .state(#{ last: 0.0, strikes: 0 })
    1:62 `notify` has an empty name

rule(); rule(3); rule("");
    1:1 `rule` takes a name, not 0 arguments

rule("r").join(#{ a: "x" }).when(|v| true);
    1:11 `join` takes 2 to 16 inputs, not 1

sink("s").needs("ftp:x").batch(0, "1s").retry(1, "0s").rate(1);
    1:11 `ftp:x` is no request
        write http:HOST, secret:NAME or file:PATTERN
    1:26 `batch` takes 1 to 10000, not 0
    1:41 `retry` needs more than no time
    1:56 `rate` does not take 1 argument
        write .rate(30, "1m")

sink("s").send(|a, b, c| 1);
sink("t");
    1:11 `send` calls its closure with `alerts` and `cap`, not 3 values
        write .send(|alerts, cap| cap.http.post(url, #{ text: alerts[0].text }))
    2:1 the sink does not say what it sends
        add .send(|alerts, cap| ..)
"##,
    );
}

#[test]
fn the_same_name_twice() {
    check(
        r##"
rule("r").on("m").absent("1m");
rule("r").on("n").absent("1m");
sink("r").send(|a| 1);
    2:1 the rule `r` is declared twice
        the first one is at rules/test.rhai:1:1
"##,
    );
}

#[test]
fn an_empty_window_is_no_data() {
    check(
        r##"
.window("1m").when(|w| w.count < 5)
    1:41 warning: an empty window is no data, so this never sees a count of 0
        use .absent(..), or say .on_no_data("breach")

.window("1m").when(|w| 5 > w.count || w.mean > 1)
    1:45 warning: an empty window is no data, so this never sees a count of 0
        use .absent(..), or say .on_no_data("breach")

.window("1m").when(|w| w.count > 5)

.window("1m").on_no_data("breach").when(|w| w.count < 5)
"##,
    );
}

#[test]
fn a_file_tells_all_its_mistakes_at_once_and_keeps_its_good_rules_apart() {
    let text = "rule(\"a\").on(\"m\").when(|v| v > 1).soak(5);\n\
                rule(\"b\").on(\"m\").when(|v| v > 1);\n\
                rule(\"c\").on(\"m\").window(\"1m\").when(|w| w.maen > 1);";
    let loaded = load("rules/test.rhai", text, &host());
    let told: Vec<(u32, Option<&str>)> =
        loaded.findings.iter().map(|finding| (finding.line, finding.rule.as_deref())).collect();
    assert_eq!(told, [(1, Some("a")), (3, Some("c"))]);
    assert!(!loaded.is_good());
    assert_eq!(loaded.rules.len(), 1);
}
