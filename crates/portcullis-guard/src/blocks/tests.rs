use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::ToSpan as _;
use portcullis_core::{BlockId, Clock as _, ManualClock};

use super::{
    BlockEntry, BlockSettings, Blocked, Blocks, CannotBlock, KeptBlocks, Offence, Prefix, Removed, Thresholds,
};

const FIVE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

fn clock() -> ManualClock {
    ManualClock::at("2026-01-02T03:04:05Z".parse().expect("a moment"))
}

fn settings() -> BlockSettings {
    let networks = |texts: &[&str]| texts.iter().map(|text| prefix(text)).collect();
    BlockSettings {
        proxies: networks(&["10.0.0.0/8"]),
        blocked: networks(&["203.0.113.0/24", "2001:db8:bad::/48"]),
        allowed: networks(&["198.51.100.7"]),
        automatic: Some(Thresholds {
            credentials: FIVE,
            refused: FIVE,
            malformed: FIVE,
            window: Duration::from_secs(600),
            lasts: Duration::from_secs(900),
        }),
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a network")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn entry(clock: &ManualClock, network: &str, seconds: Option<i64>) -> BlockEntry {
    let added = clock.now();
    let until = seconds.map(|seconds| added + seconds.seconds());
    BlockEntry { id: BlockId::new(clock), network: prefix(network), reason: "scans".to_owned(), added, until }
}

fn offend(blocks: &Blocks, clock: &ManualClock, text: &str, times: usize) {
    for _ in 0..times {
        blocks.offend(clock, address(text), Offence::Credential);
    }
}

#[test]
fn configured_networks_are_refused_and_their_neighbours_are_not() {
    let (blocks, clock) = (Blocks::new(&settings()), clock());
    let found = |text| blocks.find(&clock, address(text));
    for text in ["203.0.113.0", "203.0.113.255", "::ffff:203.0.113.9", "2001:db8:bad:1::1"] {
        assert_eq!(found(text), Some(Blocked::Listed), "{text}");
    }
    for text in ["203.0.112.255", "203.0.114.0", "2001:db8:bae::1", "127.0.0.1"] {
        assert_eq!(found(text), None, "{text}");
    }
}

#[test]
fn an_entry_counts_at_once_ends_by_itself_and_can_be_taken_off() {
    let (blocks, clock) = (Blocks::new(&BlockSettings::default()), clock());
    let found = |text| blocks.find(&clock, address(text)).is_some();
    let for_ever = entry(&clock, "192.0.2.0/25", None);
    blocks.add(for_ever.clone()).expect("added");
    blocks.add(entry(&clock, "192.0.2.200", Some(60))).expect("added");
    blocks.add(entry(&clock, "192.0.2.100", Some(60))).expect("a part of another entry");
    assert!(found("192.0.2.1") && found("192.0.2.200") && !found("192.0.2.201"));
    clock.advance(Duration::from_secs(61));
    assert!(!found("192.0.2.200"));
    assert!(found("192.0.2.100"), "the wider entry is still there");
    assert_eq!(blocks.entries(clock.now()).len(), 1);
    assert!(matches!(blocks.remove(for_ever.id), Some(Removed::Entry(_))));
    assert_eq!(blocks.remove(for_ever.id), None);
    assert!(!found("192.0.2.1"));
}

#[test]
fn what_would_shut_everybody_out_is_not_listed() {
    let (blocks, clock) = (Blocks::new(&settings()), clock());
    for network in ["10.1.2.3", "10.0.0.0/8", "10.9.0.0/16"] {
        assert_eq!(blocks.add(entry(&clock, network, None)), Err(CannotBlock::Proxy), "{network}");
    }
    let first = entry(&clock, "192.0.2.7", Some(60));
    blocks.add(first.clone()).expect("added");
    assert_eq!(blocks.add(entry(&clock, "192.0.2.7", None)), Err(CannotBlock::Listed(first.id)));
    clock.advance(Duration::from_secs(61));
    blocks.add(entry(&clock, "192.0.2.7", None)).expect("the one before has ended");
}

#[test]
fn the_list_has_an_end() {
    let (blocks, clock) = (Blocks::new(&BlockSettings::default()), clock());
    for number in 0..u32::try_from(super::MOST_ENTRIES).expect("a few") {
        let network = Prefix::of(IpAddr::from((0xc000_0000 + number).to_be_bytes()));
        blocks.lists.write().entries.insert_quickly(network, entry(&clock, "192.0.2.7", None));
    }
    assert_eq!(blocks.add(entry(&clock, "198.51.100.1", None)), Err(CannotBlock::Full));
}

#[test]
fn who_offends_is_blocked_and_proxies_and_the_allow_list_never_are() {
    let (blocks, clock) = (Blocks::new(&settings()), clock());
    let found = |text| blocks.find(&clock, address(text));
    offend(&blocks, &clock, "192.0.2.7", 4);
    assert_eq!(found("192.0.2.7"), None);
    offend(&blocks, &clock, "192.0.2.7", 1);
    assert_eq!(found("192.0.2.7"), Some(Blocked::Automatic(Duration::from_secs(900))));
    for exempt in ["10.1.2.3", "198.51.100.7"] {
        offend(&blocks, &clock, exempt, 100);
        assert_eq!(found(exempt), None, "{exempt}");
    }
    assert_eq!(blocks.begun().map(|(_, count)| count).sum::<u64>(), 1);
    let [block] = blocks.automatic(&clock).try_into().expect("one block");
    assert!(matches!(blocks.remove(block.id), Some(Removed::Automatic(_))));
    assert_eq!(found("192.0.2.7"), None);
}

#[test]
fn a_reload_takes_the_place_of_what_was_configured_and_of_nothing_else() {
    let (blocks, clock) = (Blocks::new(&settings()), clock());
    let found = |text| blocks.find(&clock, address(text)).is_some();
    blocks.add(entry(&clock, "192.0.2.7", None)).expect("added");
    offend(&blocks, &clock, "192.0.2.8", 5);
    offend(&blocks, &clock, "192.0.2.9", 5);
    assert!(found("192.0.2.9"));
    let allowed = vec![prefix("192.0.2.9")];
    blocks.configure(&BlockSettings { blocked: vec![prefix("100.64.0.0/10")], allowed, ..settings() });
    assert!(!found("203.0.113.1") && found("100.64.0.1"));
    assert!(found("192.0.2.7") && found("192.0.2.8"));
    assert!(!found("192.0.2.9"), "the allow-list lifts what had begun");
    blocks.configure(&BlockSettings::default());
    assert!(found("192.0.2.7") && !found("192.0.2.8"), "switched off: nobody is blocked for what they did");
}

#[test]
fn what_is_kept_reads_back_and_what_has_ended_does_not() {
    let (blocks, clock) = (Blocks::new(&settings()), clock());
    blocks.add(entry(&clock, "192.0.2.0/24", None)).expect("added");
    blocks.add(entry(&clock, "2001:db8:1::/48", Some(60))).expect("added");
    offend(&blocks, &clock, "198.51.100.9", 5);
    let kept = blocks.keep(&clock).encode();
    let (again, later) = (Blocks::new(&settings()), self::clock());
    later.advance(Duration::from_secs(100));
    again.restore(&later, KeptBlocks::decode(&kept).expect("it reads"));
    let found = |text| again.find(&later, address(text));
    assert_eq!(found("192.0.2.1"), Some(Blocked::Listed));
    assert_eq!(found("2001:db8:1::1"), None, "it ended meanwhile");
    assert_eq!(found("198.51.100.9"), Some(Blocked::Automatic(Duration::from_secs(800))));
    assert_eq!(again.entries(later.now()).len(), 1);
    let (again, earlier) =
        (Blocks::new(&settings()), ManualClock::at("2020-01-01T00:00:00Z".parse().expect("a time")));
    again.restore(&earlier, KeptBlocks::decode(&kept).expect("it reads"));
    let found = again.find(&earlier, address("198.51.100.9"));
    assert_eq!(
        found,
        Some(Blocked::Automatic(Duration::from_secs(900))),
        "no longer than one that begins now"
    );
    for bytes in [&b""[..], b"{}", br#"{"version":2,"entries":[],"automatic":[]}"#] {
        assert!(KeptBlocks::decode(bytes).is_err());
    }
}

#[test]
fn a_quiet_instance_looks_nothing_up() {
    let (blocks, clock) = (Blocks::new(&settings()), clock());
    offend(&blocks, &clock, "192.0.2.7", 5);
    clock.advance(Duration::from_secs(901));
    blocks.tend(&clock);
    assert!(!blocks.any_automatic.load(std::sync::atomic::Ordering::Acquire));
    assert_eq!(blocks.find(&clock, address("192.0.2.7")), None);
}
