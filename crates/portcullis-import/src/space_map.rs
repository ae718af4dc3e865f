//! Which space a category or folder becomes, and who may read it.
//!
//! The file of `--space-map` is TOML, one table for each category (`category-10`, or its name) or top-level folder:
//!
//! ```toml
//! [book]
//! space = "library"      # the space's short name; without it, one is made from the category's
//! name = "Library"       # the name people see
//! plans = ["supporter"]  # who may read it: plans, or access = "members", or access = "staff" (the default)
//!
//! ["*"]                  # every category that is not named
//! access = "members"
//! ```

use std::collections::BTreeMap;

use portcullis_store::SpaceAccess;
use ring::digest;
use serde::Deserialize;

use crate::chunk::one_line;
use crate::invisible;

/// The table for every category that has none of its own.
const REST: &str = "*";

/// How categories and folders map to spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpaceMap {
    /// Each becomes a space that staff alone may read.
    #[default]
    Closed,
    /// Each becomes a space that all members may read, but for those the export itself says are restricted.
    Open,
    /// As the file says; what it does not name becomes a space that staff alone may read.
    File(MapFile),
}

/// The contents of a space map's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFile(BTreeMap<String, Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    space: Option<String>,
    name: Option<String>,
    access: SpaceAccess,
}

/// One table of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    space: Option<String>,
    name: Option<String>,
    access: Option<RawAccess>,
    plans: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAccess {
    Staff,
    Members,
}

/// What is wrong with a space map's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// It is not TOML of that form.
    #[error("the space map is not understood: {what}")]
    Malformed {
        /// The parser's message with line and column.
        what: String,
    },
    /// A table says both `access` and `plans`.
    #[error("`[{key}]` has both `access` and `plans`; keep one")]
    TwoAccesses {
        /// The table.
        key: String,
    },
    /// A table opens a space to an empty list of plans.
    #[error("`[{key}]` has an empty list of `plans`; name a plan, or say access = \"staff\"")]
    NoPlans {
        /// The table.
        key: String,
    },
    /// A short name has other characters than it may.
    #[error("`{slug}` in `[{key}]` cannot name a space; wanted 1 to 80 of a-z, 0-9 and -")]
    Slug {
        /// The table.
        key: String,
        /// What it says.
        slug: String,
    },
    /// Two tables lead to one space, but not with the same access.
    #[error(
        "`[{first}]` and `[{second}]` both lead to the space `{slug}` but say different things about who may read it"
    )]
    Conflict {
        /// A table.
        first: String,
        /// The other one.
        second: String,
        /// The space.
        slug: String,
    },
}

impl MapFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn parse(text: &str) -> Result<Self, MapError> {
        let raw: BTreeMap<String, RawRule> = toml::from_str(text)
            .map_err(|error| MapError::Malformed { what: error.to_string().trim().to_owned() })?;
        let mut rules = BTreeMap::new();
        let mut by_slug: BTreeMap<String, (String, SpaceAccess)> = BTreeMap::new();
        for (key, raw) in raw {
            let access = match (raw.access, raw.plans) {
                (Some(_), Some(_)) => return Err(MapError::TwoAccesses { key }),
                (None, Some(plans)) if plans.is_empty() => return Err(MapError::NoPlans { key }),
                (None, Some(mut plans)) => {
                    plans.sort();
                    plans.dedup();
                    SpaceAccess::Plans(plans)
                }
                (None | Some(RawAccess::Staff), None) => SpaceAccess::Staff,
                (Some(RawAccess::Members), None) => SpaceAccess::Members,
            };
            if let Some(slug) = &raw.space {
                if !is_slug(slug) {
                    return Err(MapError::Slug { key, slug: slug.clone() });
                }
                if let Some((first, other)) = by_slug.insert(slug.clone(), (key.clone(), access.clone()))
                    && other != access
                {
                    return Err(MapError::Conflict { first, second: key, slug: slug.clone() });
                }
            }
            rules.insert(key, Rule { space: raw.space, name: raw.name, access });
        }
        Ok(Self(rules))
    }

    fn rule(&self, key: &str, name: Option<&str>) -> Option<(&str, &Rule)> {
        [Some(key), name, Some(REST)]
            .into_iter()
            .flatten()
            .find_map(|key| self.0.get_key_value(key))
            .map(|(key, rule)| (key.as_str(), rule))
    }
}

/// The space that a category or folder becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its short name.
    pub slug: String,
    /// Its name, if the space is new.
    pub name: String,
    /// Who may read it, if the space is new.
    pub access: SpaceAccess,
    /// The operator said so, rather than a default: a space that exists and is more open is then an error.
    pub is_wanted: bool,
}

impl SpaceMap {
    /// The space for a category or folder. `restricted` is what the export says about it.
    pub fn target(&self, key: &str, name: Option<&str>, restricted: bool) -> Target {
        let shown = name.unwrap_or(key);
        let of_itself =
            |access, is_wanted| Target { slug: slug(shown), name: display_name(shown), access, is_wanted };
        match self {
            Self::Closed => of_itself(SpaceAccess::Staff, false),
            Self::Open if restricted => of_itself(SpaceAccess::Staff, true),
            Self::Open => of_itself(SpaceAccess::Members, false),
            Self::File(file) => match file.rule(key, name) {
                None => of_itself(SpaceAccess::Staff, false),
                Some((table, rule)) => {
                    let slug = rule.space.clone().unwrap_or_else(|| slug(shown));
                    let own =
                        rule.space.clone().filter(|_| table == REST).unwrap_or_else(|| shown.to_owned());
                    Target {
                        name: display_name(rule.name.as_deref().unwrap_or(&own)),
                        slug,
                        access: rule.access.clone(),
                        is_wanted: true,
                    }
                }
            },
        }
    }

    /// Every plan that the map names.
    pub fn plans(&self) -> impl Iterator<Item = &str> {
        let rules = match self {
            Self::Closed | Self::Open => None,
            Self::File(file) => Some(file.0.values()),
        };
        rules
            .into_iter()
            .flatten()
            .flat_map(|rule| match &rule.access {
                SpaceAccess::Plans(plans) => plans.as_slice(),
                SpaceAccess::Staff | SpaceAccess::Members => &[],
            })
            .map(String::as_str)
    }
}

/// A name that a space may have: one line of visible characters.
fn display_name(name: &str) -> String {
    let visible: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = one_line(&invisible::clean(&visible), 120);
    if name.is_empty() { "Space".to_owned() } else { name }
}

fn is_slug(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A space's short name from any name. Where letters are lost (`C++` and `C#`), a piece of the name's hash keeps two
/// names from becoming one space.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    let mut lost = false;
    for c in name.trim().to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            ' ' | '-' | '_' | '/' | '.' => {
                if !slug.is_empty() && !slug.ends_with('-') {
                    slug.push('-');
                }
            }
            _ => lost = true,
        }
    }
    while slug.ends_with('-') {
        slug.pop();
    }
    if slug.len() > 60 {
        slug.truncate(60);
        lost = true;
    }
    if slug.is_empty() {
        slug.push_str("space");
        lost = true;
    }
    if lost {
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        slug.push('-');
        slug.extend(hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")));
    }
    slug
}

/// Whether somebody could read a space with the first access who could not with the second.
pub fn is_looser(access: &SpaceAccess, than: &SpaceAccess) -> bool {
    match (access, than) {
        (SpaceAccess::Staff, _) | (_, SpaceAccess::Members) => false,
        (SpaceAccess::Members, _) => true,
        (SpaceAccess::Plans(plans), SpaceAccess::Staff) => !plans.is_empty(),
        (SpaceAccess::Plans(plans), SpaceAccess::Plans(wanted)) => {
            plans.iter().any(|plan| !wanted.contains(plan))
        }
    }
}

/// An access in words.
pub(crate) fn words(access: &SpaceAccess) -> String {
    match access {
        SpaceAccess::Staff => "staff".to_owned(),
        SpaceAccess::Plans(plans) if plans.is_empty() => "staff".to_owned(),
        SpaceAccess::Members => "all members".to_owned(),
        SpaceAccess::Plans(plans) => format!("plans {}", plans.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::SpaceAccess;

    use super::{MapError, MapFile, SpaceMap, is_looser, slug};

    const FILE: &str = r#"
        ["category-10"]
        space = "help"
        access = "members"
        [Announcements]
        space = "help"
        access = "members"
        [book]
        name = "The book"
        plans = ["pro", "supporter"]
    "#;

    fn target(map: &SpaceMap, key: &str, name: Option<&str>, restricted: bool) -> String {
        let target = map.target(key, name, restricted);
        format!("{} `{}` {:?} wanted={}", target.slug, target.name, target.access, target.is_wanted)
    }

    #[test]
    fn without_a_map_everything_is_closed() {
        assert_eq!(target(&SpaceMap::default(), "rfcs", None, false), "rfcs `rfcs` Staff wanted=false");
    }

    #[test]
    fn open_does_not_open_what_the_export_calls_restricted() {
        assert_eq!(
            target(&SpaceMap::Open, "category-3", Some("Staff Room"), true),
            "staff-room `Staff Room` Staff wanted=true"
        );
        assert_eq!(
            target(&SpaceMap::Open, "category-3", Some("Lounge"), false),
            "lounge `Lounge` Members wanted=false"
        );
    }

    #[test]
    fn a_file_names_categories_by_id_or_name_and_closes_the_rest() {
        let map = SpaceMap::File(MapFile::parse(FILE).unwrap());
        assert_eq!(target(&map, "category-10", Some("Support"), false), "help `Support` Members wanted=true");
        assert_eq!(
            target(&map, "category-4", Some("Announcements"), false),
            "help `Announcements` Members wanted=true"
        );
        assert_eq!(
            target(&map, "book", None, false),
            r#"book `The book` Plans(["pro", "supporter"]) wanted=true"#
        );
        assert_eq!(target(&map, "rfcs", None, false), "rfcs `rfcs` Staff wanted=false");
        assert_eq!(map.plans().collect::<Vec<_>>(), ["pro", "supporter"]);
    }

    #[test]
    fn a_map_that_could_mean_two_things_is_refused() {
        let error = |text| MapFile::parse(text).unwrap_err();
        assert!(matches!(error("[a]\naccess = \"members\"\nplans = [\"x\"]"), MapError::TwoAccesses { .. }));
        assert!(matches!(error("[a]\nplans = []"), MapError::NoPlans { .. }));
        assert!(matches!(error("[a]\nspace = \"A b\""), MapError::Slug { .. }));
        assert!(matches!(error("[a]\nacess = \"members\""), MapError::Malformed { .. }));
        assert!(matches!(error("[a]\naccess = \"everyone\""), MapError::Malformed { .. }));
        assert!(matches!(
            error("[a]\nspace = \"s\"\naccess = \"members\"\n[b]\nspace = \"s\"\nplans = [\"x\"]"),
            MapError::Conflict { .. }
        ));
    }

    #[test]
    fn names_that_lose_letters_stay_apart() {
        assert_eq!(slug("Site Feedback"), "site-feedback");
        assert_eq!(slug("Support/Linux_x"), "support-linux-x");
        let all =
            ["C++", "C#", "c", "日本語", "한국어", "Café", &"x".repeat(100), &"x".repeat(101)].map(slug);
        for (index, one) in all.iter().enumerate() {
            assert!(super::is_slug(one), "{one}");
            assert!(!all.iter().skip(index + 1).any(|other| other == one), "{one}");
        }
    }

    #[test]
    fn a_folders_name_that_no_space_may_have_becomes_one() {
        assert_eq!(SpaceMap::Open.target("a\u{1}\n\u{202e}b", None, false).name, "a b");
        assert_eq!(SpaceMap::Open.target("\u{200b}", None, false).name, "Space");
    }

    #[test]
    fn looser_means_that_somebody_more_may_read() {
        let plans = |names: &[&str]| SpaceAccess::Plans(names.iter().map(|&name| name.into()).collect());
        assert!(is_looser(&SpaceAccess::Members, &SpaceAccess::Staff));
        assert!(is_looser(&SpaceAccess::Members, &plans(&["a"])));
        assert!(is_looser(&plans(&["a", "b"]), &plans(&["a"])));
        assert!(is_looser(&plans(&["a"]), &SpaceAccess::Staff));
        assert!(!is_looser(&plans(&["a"]), &plans(&["a", "b"])));
        assert!(!is_looser(&SpaceAccess::Staff, &plans(&["a"])));
        assert!(!is_looser(&SpaceAccess::Members, &SpaceAccess::Members));
    }
}
