//! Which addresses are public, one by one, and what a name may resolve to.

use std::str::FromStr;
use std::sync::Mutex;

use super::*;

fn check(public: bool, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(is_public(address.parse().expect(address)), public, "{address}");
    }
}

#[test]
fn every_private_range_of_ipv4_ends_where_the_registry_says() {
    check(true, &["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"]);
    check(true, &["126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0"]);
    check(true, &["172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0"]);
    check(true, &["192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0"]);
    check(true, &["198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0"]);
    check(true, &["203.0.112.255", "203.0.114.0", "223.255.255.255"]);
    check(false, &["0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0"]);
    check(false, &["100.127.255.255", "127.0.0.0", "127.0.0.1", "127.255.255.255"]);
    check(false, &["169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0"]);
    check(false, &["172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.1", "192.88.99.1"]);
    check(false, &["192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255"]);
    check(false, &["198.51.100.7", "203.0.113.7", "224.0.0.0", "239.255.255.255"]);
    check(false, &["240.0.0.0", "255.255.255.255"]);
}

#[test]
fn of_ipv6_only_what_is_given_out_is_public() {
    check(true, &["2000::", "2606:4700::1111", "2001:200::", "2001:db7:ffff::", "2001:db9::"]);
    check(true, &["3fff:1000::", "3ffe:ffff::"]);
    check(false, &["::", "::1", "100::1", "100:0:0:1::", "1fff:ffff::", "4000::", "5f00::1"]);
    check(false, &["fc00::1", "fd12:3456::1", "fdff:ffff::", "fe80::1", "febf::1", "fec0::1"]);
    check(false, &["ff00::", "ff02::1", "2001:db8::1", "3fff::1", "3fff:fff::1"]);
}

/// What carries an IPv4 address is judged by it.
#[test]
fn no_translation_of_ipv4_leads_around_the_check() {
    // As the last 32 bits: compatible, mapped, translated, NAT64, ISATAP of both kinds.
    let lasts = ["::", "::ffff:", "::ffff:0:", "64:ff9b::", "2a00::5efe:", "2a00:0:0:1:200:5efe:"];
    for (address, public) in [
        ("1.1.1.1", true),
        ("0.0.0.0", false),
        ("10.0.0.1", false),
        ("100.64.0.1", false),
        ("127.0.0.1", false),
        ("169.254.169.254", false),
        ("172.16.0.1", false),
        ("192.168.1.1", false),
        ("255.255.255.255", false),
    ] {
        for before in lasts {
            check(public, &[&format!("{before}{address}")]);
        }
        // 6to4 has it behind the prefix.
        let [a, b, c, d] = Ipv4Addr::from_str(address).expect("it is one").octets();
        check(public, &[&format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1")]);
    }
    // Teredo hides the address, and local NAT64 means what its network says: never.
    check(false, &["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1ff:ffff::"]);
    check(false, &["64:ff9b:1::1", "64:ff9b:1:ffff::101:101", "64:ff9b:0:1::101:101"]);
}

/// Answers that a test wrote, one for each time that it is asked.
#[derive(Debug)]
struct Written(Mutex<Vec<&'static [&'static str]>>);

impl Lookup for Written {
    fn addresses(&self, _host: String) -> Found {
        let answer = self.0.lock().expect("no test panics with it").remove(0);
        let address = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 0);
        let found = answer.iter().map(address).collect();
        Box::pin(async move { Ok(found) })
    }
}

/// What a name's answers leave for a guest with such a grant; `private` when nothing.
async fn resolved(
    host: &str,
    granted: Granted,
    answers: &[&'static [&'static str]],
) -> Vec<String> {
    let hosts: Vec<_> =
        granted.http.iter().map(|text| HostPattern::parse(text).expect("a pattern")).collect();
    let lookup = Arc::new(Written(Mutex::new(answers.to_vec())));
    let guard = Guard::new(&granted, &hosts, lookup);
    let mut all = Vec::new();
    for _ in answers {
        let words = match guard.resolve(Name::from_str(host).expect("a name")).await {
            Ok(found) => found.map(|address| address.ip().to_string()).collect::<Vec<_>>(),
            Err(error) => {
                let private = error.downcast::<PrivateAddress>().expect("no other error");
                assert_eq!(private.host, host);
                vec!["private".to_owned()]
            }
        };
        all.push(words.join(" "));
    }
    all
}

fn any_host() -> Granted {
    Granted { http: vec!["*".into()], ..Granted::default() }
}

#[tokio::test]
async fn of_a_names_addresses_the_public_ones_are_left() {
    let answers: [&[&str]; 6] = [
        &["10.0.0.1"],
        &["10.0.0.1", "::1", "fe80::1", "64:ff9b::a00:1"],
        &["10.0.0.1", "1.1.1.1", "::ffff:127.0.0.1"],
        &["1.1.1.1", "2606:4700::1111"],
        // The same name a moment later: every answer is judged by itself.
        &["127.0.0.1"],
        &[],
    ];
    let left = ["private", "private", "1.1.1.1", "1.1.1.1 2606:4700::1111", "private", ""];
    assert_eq!(resolved("example.net", any_host(), &answers).await, left);
    let inside = Granted { private_addresses: true, ..any_host() };
    assert_eq!(resolved("example.net", inside, &[&["10.0.0.1"]]).await, ["10.0.0.1"]);
}

#[tokio::test]
async fn only_the_plain_name_of_this_machine_is_let_in_by_name() {
    let named = || Granted { http: vec!["localhost:9".into(), "*".into()], ..Granted::default() };
    for (host, granted, left) in [
        ("localhost", named(), "127.0.0.1"),
        ("localhost", any_host(), "private"),
        ("localhost.", named(), "private"),
        ("a.localhost", named(), "private"),
        ("localhost.example.net", named(), "private"),
        // That an operator wrote the name does not say where it may lead.
        (
            "db.internal",
            Granted { http: vec!["db.internal".into()], ..Granted::default() },
            "private",
        ),
    ] {
        assert_eq!(resolved(host, granted, &[&["127.0.0.1"]]).await, [left], "{host}");
    }
}
