//! Lengths of time, each in the unit that its key's name says.

use std::time::Duration;

use super::{Fault, Shape, integer};
use crate::value::Value;

/// A time in milliseconds.
#[derive(Debug)]
pub(crate) struct Millis {
    pub(crate) max: u64,
}

impl Shape for Millis {
    type Value = Duration;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        integer(value, 1, self.max).map(Duration::from_millis)
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_millis().to_string()
    }

    fn kind(&self) -> &'static str {
        "milliseconds"
    }

    fn range(&self) -> String {
        format!("1 to {}", self.max)
    }
}

/// A time in seconds.
#[derive(Debug)]
pub(crate) struct Seconds {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Shape for Seconds {
    type Value = Duration;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        integer(value, self.min, self.max).map(Duration::from_secs)
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_secs().to_string()
    }

    fn kind(&self) -> &'static str {
        "seconds"
    }

    fn range(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}

/// A time in minutes.
#[derive(Debug)]
pub(crate) struct Minutes {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Shape for Minutes {
    type Value = Duration;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        integer(value, self.min, self.max).map(|minutes| Duration::from_secs(minutes.saturating_mul(60)))
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_secs().checked_div(60).unwrap_or_default().to_string()
    }

    fn kind(&self) -> &'static str {
        "minutes"
    }

    fn range(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}

/// A time in days.
#[derive(Debug)]
pub(crate) struct Days {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Shape for Days {
    type Value = Duration;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        integer(value, self.min, self.max).map(|days| Duration::from_secs(days.saturating_mul(86_400)))
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_secs().checked_div(86_400).unwrap_or_default().to_string()
    }

    fn kind(&self) -> &'static str {
        "days"
    }

    fn range(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}
