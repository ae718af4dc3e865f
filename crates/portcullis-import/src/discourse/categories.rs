//! The names of categories, from `categories.json` or `site.json` as Discourse serves them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::chunk::one_line;
use crate::invisible;

/// A category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Category {
    /// Its name, after its parent's: `Support/Linux`.
    pub(super) name: String,
    /// Only some groups may read it.
    pub(super) restricted: bool,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    category_list: Option<List>,
    #[serde(default)]
    categories: Option<Vec<Raw>>,
}

#[derive(Deserialize)]
struct List {
    categories: Vec<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    id: i64,
    name: String,
    #[serde(default)]
    read_restricted: Option<bool>,
    #[serde(default)]
    parent_category_id: Option<i64>,
    #[serde(default)]
    subcategory_list: Option<Vec<Raw>>,
}

/// The categories by id, or `None` if the file holds none.
pub(super) fn parse(json: &str) -> Option<HashMap<i64, Category>> {
    let file: File = serde_json::from_str(json).ok()?;
    let listed = file.category_list.map(|list| list.categories).or(file.categories)?;
    let mut flat = HashMap::new();
    let mut rest: Vec<(Raw, Option<i64>)> = listed.into_iter().map(|raw| (raw, None)).collect();
    while let Some((mut raw, parent)) = rest.pop() {
        let id = raw.id;
        rest.extend(raw.subcategory_list.take().into_iter().flatten().map(|child| (child, Some(id))));
        let name = one_line(&invisible::clean(&raw.name), 80);
        flat.insert(id, (name, raw.read_restricted.unwrap_or(false), raw.parent_category_id.or(parent)));
    }
    let named = flat.iter().map(|(id, (name, restricted, parent))| {
        let parent = parent.and_then(|parent| flat.get(&parent));
        let category = Category {
            name: parent.map_or_else(|| name.clone(), |(parent, ..)| format!("{parent}/{name}")),
            restricted: *restricted || parent.is_some_and(|(_, restricted, _)| *restricted),
        };
        (*id, category)
    });
    Some(named.collect()).filter(|named: &HashMap<i64, Category>| !named.is_empty())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_files_that_discourse_serves_are_read() {
        let list = r#"{"category_list":{"categories":[{"id":1,"name":"Help","read_restricted":true,
            "subcategory_list":[{"id":2,"name":"Linux"}]}]}}"#;
        let site = r#"{"categories":[{"id":2,"name":"Linux","parent_category_id":1},{"id":1,"name":"Help","read_restricted":true}]}"#;
        for json in [list, site] {
            let found = parse(json).unwrap();
            assert_eq!((found[&2].name.as_str(), found[&2].restricted), ("Help/Linux", true));
        }
        assert_eq!(parse(r#"{"post_stream":{"posts":[]}}"#), None);
    }
}
