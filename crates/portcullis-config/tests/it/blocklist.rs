//! `[blocklist]`: who is refused by address.

use std::time::Duration;

use portcullis_config::Code;

use crate::site::{Site, codes};

#[test]
fn nothing_is_listed_by_default_and_abuse_is_blocked_from_everywhere_but_this_machine() {
    let loaded = Site::with("").loaded();
    let list = &loaded.config.blocklist;
    assert!(list.networks.is_empty() && list.automatic);
    let allow: Vec<String> = list.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["127.0.0.1/32", "::1/128"]);
    assert_eq!(
        (list.refused_credentials.get(), list.window, list.lasts.as_secs()),
        (50, Duration::from_secs(600), 900)
    );
    // Or the check of it, and strangers who are only slowed down today, would meet the other limit first.
    assert!(list.refused_credentials < loaded.config.limits.unauthenticated_per_address_per_minute);
}

#[test]
fn networks_of_both_kinds_are_listed() {
    let text = "[blocklist]\nnetworks = [\"192.0.2.7\", \"203.0.113.0/24\", \"2001:db8::/48\"]\nallow = []\nautomatic = false\n";
    let loaded = Site::with(text).loaded();
    let list = &loaded.config.blocklist;
    let networks: Vec<String> = list.networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.7/32", "203.0.113.0/24", "2001:db8::/48"]);
    assert!(list.allow.is_empty() && !list.automatic);
}

#[test]
fn every_fault_is_told_at_once_and_a_trusted_proxy_is_not_listed() {
    let text = "[proxies]\ntrusted = [\"10.0.0.0/8\"]\n[blocklist]\nnetworks = [\"10.1.2.3\"]\nallow = [\"everybody\"]\n\
                refused_credentials = 0\nwindow_minutes = 100000\nblock_secs = 5\n";
    let problems = Site::with(text).problems();
    assert_eq!(
        codes(&problems),
        [Code::Excluded, Code::BadNetwork, Code::OutOfRange, Code::OutOfRange, Code::UnknownKey]
    );
    let told = problems.to_string();
    assert!(told.contains("`10.0.0.0/8`") && told.contains("trusted proxy"), "{told}");
}
