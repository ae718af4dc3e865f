//! The ways to content beside the chat: searches, and documents by their id.

use std::collections::BTreeMap;

use super::crew::Errand;
use crate::probe::Probe;
use crate::target::{Auth, COMMUNITY, Canary, DOCUMENT, Effect, Identity, QUERY, Route, Target};

/// A route that leads to content.
#[derive(Debug, Clone)]
pub(in crate::checks) struct Way {
    /// The route.
    pub(in crate::checks) route: Route,
    /// Whether it searches; else it reads one document.
    pub(in crate::checks) searches: bool,
}

/// Every route that searches or reads a document. A kind that the target neither has nor declares absent is a doubt.
pub(in crate::checks) fn ways(probe: &mut Probe, target: &Target, doubts: &mut Vec<String>) -> Vec<Way> {
    let routes = target.routes().into_iter().filter(|route| {
        route.auth == Auth::Required && route.effect == Effect::Reads && !route.is_same(&target.chat.route)
    });
    let ways: Vec<Way> = routes
        .filter(|route| route.holds(QUERY) || route.holds(DOCUMENT))
        .map(|route| Way { route: route.clone(), searches: route.holds(QUERY) })
        .collect();
    for (searches, feature, placeholder) in [(true, "search", QUERY), (false, "documents", DOCUMENT)] {
        if ways.iter().any(|way| way.searches == searches) {
            continue;
        }
        match target.lacks(feature) {
            Some(lacks) => {
                let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                probe.observe(&format!("a route for {feature}"), &said);
            }
            None => doubts.push(format!(
                "no route for {feature} is known: let a [[route]] in target.toml hold `{placeholder}`, or declare that \
                 there is none"
            )),
        }
    }
    ways
}

impl Way {
    /// What is sent to get at a canary: by those who may read it, and as they would send it by anyone else. Where the
    /// request names a community, also with the asker's own. Nothing when the document's id is not known.
    pub(in crate::checks) fn errands<'t, T: Clone>(
        &self,
        target: &Target,
        canary: &Canary,
        askers: &[&'t Identity],
        tag: &T,
    ) -> Vec<Errand<'t, T>> {
        if !self.searches && canary.document.is_none() {
            return Vec::new();
        }
        let own = askers.first().map(|asker| asker.community.as_str());
        let other = own.filter(|own| *own != canary.community && self.route.holds(COMMUNITY));
        let communities = std::iter::once(canary.community.as_str()).chain(other);
        let to_errand = |community: &str| Errand {
            tag: tag.clone(),
            route: self.route.clone(),
            values: Some(values(target, canary, community)),
            askers: askers.to_vec(),
            call: None,
        };
        communities.map(to_errand).collect()
    }
}

fn values(target: &Target, canary: &Canary, community: &str) -> BTreeMap<String, String> {
    let mut values = target.values(community);
    values.insert("query".to_owned(), canary.topic.clone());
    values.extend(canary.document.iter().map(|id| ("document".to_owned(), id.clone())));
    values
}
