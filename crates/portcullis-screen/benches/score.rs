//! Time for each message: questions of up to 500 characters, 8 KB of either channel as prose and in each encoding, and what
//! the other guards read of the same questions. `cargo bench -p portcullis-screen`, for some of it with `-- base64`.
//!
//! The texts are made up, no two alike, of words that are as frequent as words are. Every run after the first of each text
//! counts, so what else the machine does counts too.

#![expect(clippy::print_stdout, reason = "a benchmark speaks to its caller")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_screen::patterns::patterns;
use portcullis_screen::risk::{Own, Risk, risks};
use portcullis_screen::{Channel, Screen};

/// The most frequent words of made-up languages, and the syllables of all others.
const LANGUAGES: &[(&str, &str)] = &[
    (
        "the of and to in is you that it for on are as with how do I what can not this my from when all show rules",
        "con ter pro ment ing er al tion re in de ver sta ble com po li ca tra ly ous sys mo un ex pi gra no",
    ),
    (
        "der die und in zu den das nicht von sie ist des sich mit dem dass für über können wie ich alle Regeln",
        "ver ge be un schl ich keit ung tür fäh mög en er auf aus ste ren lich bau zei ße dä wör te rich",
    ),
    (
        "de la que el en y a los se del las un por con no una su para es cómo qué está todas reglas",
        "ción ar er ado es con tra pre ma ñe te lo ri ca mien to ú se va do pa no í bre",
    ),
    (
        "и в не на что я с как это по но из у за от так все для мне где правила",
        "про ста ние го во ри ко пе ре де ла ть ный ма ни ка по ле сть вы жи те",
    ),
    (
        "的 是 了 在 有 我 不 这 他 们 说 要 就 和 人 会 可以 怎么 什么 规则",
        "文 件 模 型 数 据 服 务 器 运 行 错 误 编 译 代 码 用 户 网 络 时 间 版 本 问 题 测 试",
    ),
];

/// How often a text is in each of these: English more than all others.
const SHARES: [usize; 5] = [12, 3, 2, 2, 1];

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as usize % end.max(1)
    }

    /// The first twice as often as the second, three times as often as the third.
    fn zipf(&mut self, end: usize) -> usize {
        let share = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((end as f64 + 1.0).powf(share) as usize).saturating_sub(1)
    }
}

/// The words of a language, the most frequent first.
fn words((common, syllables): (&str, &str), chance: &mut Chance) -> Vec<String> {
    let syllables: Vec<&str> = syllables.split(' ').collect();
    let mut words: Vec<String> = common.split(' ').map(str::to_owned).collect();
    for _ in 0..6_000 {
        let length = 1 + chance.below(3) + chance.below(2);
        let word = (0..length).filter_map(|_| syllables.get(chance.below(syllables.len())).copied());
        words.push(word.collect());
    }
    words
}

/// A text of so many bytes at most.
fn text(words: &[String], bytes: usize, chance: &mut Chance) -> String {
    let gap = if words.iter().any(|word| word == "的") { "" } else { " " };
    let mut out = String::with_capacity(bytes + 100);
    while out.len() < bytes {
        for at in 0..4 + chance.below(18) {
            let Some(word) = words.get(chance.zipf(words.len())) else { continue };
            let mut letters = word.chars();
            match chance.below(40) {
                0 => write!(out, "“{word}”"),
                1 => write!(out, "{word}’s"),
                2 => write!(out, "{word},"),
                3 => write!(out, "{}", chance.below(3_000)),
                4 => write!(out, "{word}_{at}()"),
                5 => write!(out, "({word} – {word})"),
                _ if at == 0 => {
                    out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                    write!(out, "{}", letters.as_str())
                }
                _ => write!(out, "{word}"),
            }
            .unwrap_or_default();
            out.push_str(gap);
        }
        out.truncate(out.trim_end().len());
        out.push_str(
            [". ", "? ", "! ", ".\n", ".\n\n", ": "].get(chance.below(6)).copied().unwrap_or_default(),
        );
    }
    out.truncate(out.floor_char_boundary(bytes));
    out
}

/// So many texts of one length, each in one of the languages.
fn texts(count: usize, bytes: usize, languages: &[Vec<String>], chance: &mut Chance) -> Vec<String> {
    let shares = SHARES.iter().take(languages.len()).enumerate();
    let of: Vec<usize> = shares.flat_map(|(at, share)| vec![at; *share]).collect();
    (0..count)
        .filter_map(|_| {
            let words = languages.get(of.get(chance.below(of.len())).copied()?)?;
            Some(text(words, bytes, chance))
        })
        .collect()
}

fn each(plain: &str, write: impl Fn(u8) -> String) -> String {
    plain.bytes().map(write).collect()
}

fn leet(plain: &str) -> String {
    let digit =
        |c| "oieas".find(c).and_then(|at| "01345".get(at..=at)).and_then(|digit| digit.chars().next());
    plain.chars().map(|c| digit(c).unwrap_or(c)).collect()
}

fn spaced(plain: &str) -> String {
    plain.chars().flat_map(|c| [c, ' ']).collect()
}

/// How a plain text is written otherwise: the name, how many bytes of the plain text make 8 KB, and how.
type Coding = (&'static str, usize, fn(&str) -> String);

const CODINGS: &[Coding] = &[
    ("base64", 6_144, |plain| STANDARD.encode(plain)),
    ("hex", 4_096, |plain| each(plain, |byte| format!("{byte:02x}"))),
    ("percent", 2_730, |plain| each(plain, |byte| format!("%{byte:02X}"))),
    ("escapes", 1_365, |plain| each(plain, |byte| format!("\\u{byte:04x}"))),
    ("leet", 8_192, leet),
    ("spaced letters", 4_096, spaced),
];

/// Prints the median and the 99th percentile over all runs, of what the arguments name.
fn measure(name: &str, texts: &[String], read: &dyn Fn(&str)) {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    if wanted.peek().is_some() && !wanted.any(|part| name.contains(&part)) {
        return;
    }
    let mut micros = Vec::new();
    for run in 0..=RUNS {
        for text in texts {
            let start = Instant::now();
            read(black_box(text));
            if run > 0 {
                micros.push(start.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    micros.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("{name}: median {:.1} µs, p99 {:.1} µs", at(0.5), at(0.99));
}

/// How often each text is read and counted.
const RUNS: usize = 10;

fn main() {
    let Ok(screen) = Screen::shipped() else {
        println!("the weights cannot be read");
        return;
    };
    let mut chance = Chance(1);
    let languages: Vec<Vec<String>> = LANGUAGES.iter().map(|of| words(*of, &mut chance)).collect();
    let english = languages.get(..1).unwrap_or_default();
    let own = Own::default();
    let question = |text: &str| {
        black_box(screen.score(text, Channel::Question));
    };
    let document = |text: &str| {
        black_box(screen.score(text, Channel::Document));
    };
    let for_people = |text: &str| {
        black_box(risks(text, &Risk::ALL, &own));
    };
    let attacks = |text: &str| {
        black_box(patterns(text));
    };

    let (mixed, plain) = (texts(600, 500, &languages, &mut chance), texts(600, 500, english, &mut chance));
    let varied: Vec<String> =
        (0..600).flat_map(|_| texts(1, 20 + chance.below(480), &languages, &mut chance)).collect();
    measure("questions of 20 to 500 bytes", &varied, &question);
    measure("questions of 500 bytes", &mixed, &question);
    measure("questions of 500 bytes, English", &plain, &question);
    measure("documents of 500 bytes", &mixed, &document);
    measure("phrases for a person, 500 bytes", &mixed, &for_people);
    measure("SQL and script, 500 bytes", &mixed, &attacks);

    let (mixed, plain) =
        (texts(120, 8_192, &languages, &mut chance), texts(120, 8_192, english, &mut chance));
    for (name, texts) in [("8 KB", &mixed), ("8 KB, English", &plain)] {
        measure(&format!("questions of {name}"), texts, &question);
        measure(&format!("documents of {name}"), texts, &document);
    }
    for (name, bytes, write) in CODINGS {
        let coded: Vec<String> =
            texts(120, *bytes, english, &mut chance).iter().map(|text| write(text)).collect();
        measure(&format!("questions of 8 KB, {name}"), &coded, &question);
    }
}
