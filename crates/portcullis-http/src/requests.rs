//! How many requests were answered, by route and class of status.
//!
//! There is one counter for each route of the table and each class, made at the start, and one set for requests that
//! matched no route: a path or a method that somebody makes up finds no counter of its own.

use axum::extract::MatchedPath;
use http::{Method, StatusCode};
use portcullis_core::measure::{Counter, Times};

use crate::routes::{ROUTES, Route};

/// The classes of statuses, as RFC 9110 section 15 tells them apart.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Those of the routes, in the table's order, and at the end those of requests without a route.
    counted: Vec<[Counter; CLASSES.len()]>,
    chat: Times,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self { counted: (0..=ROUTES.len()).map(|_| Default::default()).collect(), chat: Times::default() }
    }

    /// Takes in a response that is about to leave.
    pub(crate) fn answered(
        &self,
        method: &Method,
        path: Option<&MatchedPath>,
        status: StatusCode,
        took: std::time::Duration,
    ) {
        let place = path.and_then(|path| place(method, path.as_str())).unwrap_or(ROUTES.len());
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.counted.get(place).and_then(|classes| classes.get(class)) {
            counter.add_one();
        }
        if ROUTES.get(place).is_some_and(|route| route.name == "chat") && status.is_success() {
            self.chat.add(took);
        }
    }

    /// Every route that was asked, `None` for none of the table, with the class and the number.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Option<&'static Route>, &'static str, u64)> {
        let routes = ROUTES.iter().map(Some).chain([None]);
        routes.zip(&self.counted).flat_map(|(route, classes)| {
            let counted = CLASSES.into_iter().zip(classes);
            counted
                .map(move |(class, counter)| (route, class, counter.value()))
                .filter(|(.., count)| *count > 0)
        })
    }

    /// How long questions waited until their answers began.
    pub(crate) fn chat(&self) -> &Times {
        &self.chat
    }
}

/// The place of a route in the table. A `HEAD` request is its `GET`.
fn place(method: &Method, path: &str) -> Option<usize> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    ROUTES.iter().position(|route| route.method == *method && route.path == path)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::place;
    use crate::routes::ROUTES;

    #[test]
    fn every_route_has_a_place_and_nothing_else_does() {
        for (wanted, route) in ROUTES.iter().enumerate() {
            assert_eq!(place(&route.method, route.path), Some(wanted), "{route:?}");
        }
        assert_eq!(place(&Method::HEAD, "/v1/me"), place(&Method::GET, "/v1/me"));
        let made_up = Method::from_bytes(b"BREW").expect("a method");
        assert_eq!(place(&made_up, "/v1/me"), None);
        assert_eq!(place(&Method::GET, "/v1/me/../me"), None);
    }
}
