//! `[[sink]]` of a target file.

use portcullis_core::Secret;

use super::file::{Sources, resolve};
use super::read::Section;
use super::{Credential, Logged, Logs, Shown, Sink, SinkAt, base_of};

/// The sinks, each a file beside the target file or an address.
pub(super) fn read_logs(root: &Section<'_, '_>, sources: &Sources<'_>) -> Logs {
    let sinks = root.sections("sink").iter().filter_map(|section| read_sink(section, sources)).collect();
    Logs { of: Logged::Target, sinks }
}

fn read_sink(section: &Section<'_, '_>, sources: &Sources<'_>) -> Option<Sink> {
    let name = section.required("name");
    let shown = section.text("number").map_or(Shown::RequestId, |prefix| Shown::Number(prefix.to_owned()));
    let bearer = section.text("bearer").and_then(|reference| resolve(section, "bearer", reference, sources));
    let credential = bearer.map(|token| Credential::Bearer(Secret::new(token)));
    let at = match (section.text("file"), section.text("url")) {
        (Some(file), None) => Some(SinkAt::File(sources.dir.join(file))),
        (None, Some(url)) => match base_of(url) {
            Some(url) => Some(SinkAt::Url(url, credential)),
            None => {
                section.wrong(
                    "url",
                    format!("`{url}`"),
                    "an absolute URL such as `http://127.0.0.1:9100/metrics`",
                );
                None
            }
        },
        _ => {
            section.wrong(
                "file",
                "neither or both of `file` and `url`",
                "one of them: where the sink is read",
            );
            None
        }
    };
    section.finish();
    Some(Sink { name: name?.to_owned(), at: at?, shown })
}
