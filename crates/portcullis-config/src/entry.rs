//! One table of an array of tables, such as `[[issuer]]` or `[[tool]]`, as it is read.

use crate::codes::Code;
use crate::config::Reader;
use crate::diagnostic::{Origin, Severity};
use crate::keys::Key;
use crate::raw::Entry;
use crate::shape::{Fault, Shape};

/// Reads the keys of one table, and reports what is wrong where it stands.
pub(crate) struct EntryReader<'r, 'a> {
    pub(crate) r: &'r mut Reader<'a>,
    pub(crate) entry: &'a Entry,
}

impl EntryReader<'_, '_> {
    /// The value of a key; none if a fault was reported.
    #[expect(
        clippy::option_option,
        reason = "the outer says whether it can be read, the inner whether it is set"
    )]
    pub(crate) fn optional<S: Shape>(&mut self, key: &Key<S>) -> Option<Option<S::Value>> {
        self.r.last_of(key, &self.entry.layers(key))
    }

    /// The value of a key that every such table has; none if a fault was reported.
    pub(crate) fn required<S: Shape>(&mut self, key: &Key<S>) -> Option<S::Value> {
        let value = self.optional(key)?;
        if value.is_none() {
            let table = key.name.split('.').next().unwrap_or_default();
            self.missing(key, &format!("each `[[{table}]]` needs it"));
        }
        value
    }

    /// Reports that a key is missing, and who needs it.
    pub(crate) fn missing<S>(&mut self, key: &Key<S>, who: &str) {
        let fault = Fault::new(Code::Missing, format!("is missing: {who}"));
        let last = key.name.rsplit('.').next().unwrap_or_default();
        let example = key.preset.example().map(|example| format!("write for example `{last} = {example}`"));
        let fault = Fault { help: example, ..fault };
        self.r.report_at(self.entry.origin.clone(), key.name, fault, Severity::Error);
    }

    /// Reports that a key stands where it means nothing.
    pub(crate) fn excluded(&mut self, key: &'static str, why: &str) {
        let fault = Fault::new(Code::Excluded, why).help("remove it");
        self.r.report_at(self.origin(key), key, fault, Severity::Error);
    }

    /// Where a key is given, or else where its table begins.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.entry.keys.get(key).map_or_else(|| self.entry.origin.clone(), |given| given.origin.clone())
    }
}
