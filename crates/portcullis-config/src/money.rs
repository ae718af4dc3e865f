//! What a model costs, and how much of that a day may hold: amounts of money, exact to a millionth.
//!
//! An amount is text and no decimal number of TOML: `2.50` is exact, a binary fraction is not.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use crate::codes::Code;
use crate::shape::{Fault, Shape, list, show_list, text};
use crate::value::{Value, quote, shown};

/// Millionths in one unit of a currency.
const MILLION: u64 = 1_000_000;
/// The most units that a budget for a day may have: what a counter of millionths can hold.
const MOST: u64 = 4_000;
/// The most units that a million tokens may cost.
const DEAREST: u64 = 1_000_000;
/// The name under which the price of every model stands that has none of its own.
const ANY: &str = "*";

/// What a million tokens of a model cost, in millionths of the currency's unit. Never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// Of a question, with everything that goes to the model beside it.
    pub input: NonZeroU64,
    /// Of an answer.
    pub output: NonZeroU64,
}

/// What models cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    own: BTreeMap<String, Price>,
    any: Option<Price>,
}

impl Prices {
    /// The price of a model: its own, or the one of every model without.
    pub fn of(&self, model: &str) -> Option<Price> {
        self.own.get(model).copied().or(self.any)
    }

    /// The models that have a price of their own, with it.
    pub fn own(&self) -> impl Iterator<Item = (&str, Price)> {
        self.own.iter().map(|(model, price)| (model.as_str(), *price))
    }

    /// The price of every model without one of its own, where that is stated.
    pub const fn any(&self) -> Option<Price> {
        self.any
    }
}

/// A currency by its code of ISO 4217.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency(String);

impl Currency {
    /// The three letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Millionths as an amount: `2.5`.
fn amount(millionths: u64) -> String {
    let (whole, part) = (millionths / MILLION, millionths % MILLION);
    if part == 0 {
        return whole.to_string();
    }
    format!("{whole}.{part:06}").trim_end_matches('0').to_owned()
}

/// An amount in millionths; none where it is no amount, is nothing, or is more than so many units.
fn millionths(text: &str, most: u64) -> Option<NonZeroU64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // `1.` and `.5` are slips more often than amounts.
    let is_amount = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= 6;
    if !is_amount || text.ends_with('.') {
        return None;
    }
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    let all = whole.parse::<u64>().ok()?.checked_mul(MILLION)?.checked_add(part)?;
    NonZeroU64::new(all).filter(|all| all.get() <= most * MILLION)
}

/// How much a day may cost, in millionths of the currency's unit.
#[derive(Debug)]
pub(crate) struct Money;

impl Shape for Money {
    type Value = NonZeroU32;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let wanted = "an amount in quotes";
        let given = match value {
            Value::Integer(number) => number.to_string(),
            other => text(other, wanted)?.trim().to_owned(),
        };
        let read = millionths(&given, MOST).and_then(|all| u32::try_from(all.get()).ok());
        read.and_then(NonZeroU32::new).ok_or_else(|| {
            let wanted = format!("must be an amount above 0 and at most {MOST}, with at most six decimals");
            vec![Fault::new(Code::OutOfRange, wanted).found(shown(&given))]
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&amount(u64::from(value.get())))
    }

    fn kind(&self) -> &'static str {
        "amount of money"
    }

    fn range(&self) -> String {
        format!("above 0, at most {MOST}, with at most six decimals")
    }
}

/// Three capital letters.
#[derive(Debug)]
pub(crate) struct OneCurrency;

impl Shape for OneCurrency {
    type Value = Currency;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let given = text(value, "a currency in quotes")?;
        if given.len() == 3 && given.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Ok(Currency(given.to_owned()));
        }
        Err(vec![
            Fault::new(Code::Malformed, "must be the three capital letters of a currency")
                .found(shown(given)),
        ])
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(&value.0)
    }

    fn kind(&self) -> &'static str {
        "currency"
    }

    fn range(&self) -> String {
        "three capital letters, as ISO 4217 has them".to_owned()
    }
}

/// `MODEL=INPUT/OUTPUT` for each.
#[derive(Debug)]
pub(crate) struct PriceList;

impl Shape for PriceList {
    type Value = Prices;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let wanted = format!(
            "must be `MODEL=INPUT/OUTPUT`, both amounts above 0 and at most {DEAREST} with at most six decimals"
        );
        let rows = list(value, "a list of prices in quotes", |text| {
            row(text).ok_or_else(|| Fault::new(Code::Malformed, wanted.clone()).found(shown(text)))
        })?;
        let mut prices = Prices::default();
        for (model, price) in rows {
            let before = if model == ANY {
                prices.any.replace(price)
            } else {
                prices.own.insert(model.clone(), price)
            };
            if before.is_some() {
                let wanted = format!("must give {} one price", shown(&model));
                return Err(vec![Fault::new(Code::Duplicate, wanted)]);
            }
        }
        Ok(prices)
    }

    fn show(&self, value: &Self::Value) -> String {
        let any = value.any.map(|price| (ANY, price));
        show_list(value.own().chain(any).map(|(model, price)| {
            format!("{model}={}/{}", amount(price.input.get()), amount(price.output.get()))
        }))
    }

    fn kind(&self) -> &'static str {
        "list of prices"
    }

    fn range(&self) -> String {
        "each `MODEL=INPUT/OUTPUT`; `*` is every model without a price of its own".to_owned()
    }
}

/// The name of a model may hold `=` and `/` itself, so a row is read from its end.
fn row(text: &str) -> Option<(String, Price)> {
    let (model, both) = text.rsplit_once('=')?;
    let (input, output) = both.split_once('/')?;
    let price = |text: &str| millionths(text.trim(), DEAREST);
    let price = Price { input: price(input)?, output: price(output)? };
    let model = model.trim();
    (!model.is_empty()).then(|| (model.to_owned(), price))
}

#[cfg(test)]
mod tests {
    use super::{DEAREST, amount, millionths, row};

    #[test]
    fn an_amount_is_exact_to_a_millionth_and_never_nothing() {
        let read = |text: &str| millionths(text, DEAREST).map(std::num::NonZeroU64::get);
        for (text, wanted) in
            [("2.50", 2_500_000), ("0.000001", 1), ("3", 3_000_000), ("1000000", 1_000_000_000_000)]
        {
            assert_eq!(read(text), Some(wanted), "{text}");
            assert_eq!(read(&amount(wanted)), Some(wanted), "{text}");
        }
        for text in [
            "0",
            "0.0",
            "",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1,5",
            " 1",
            "1000000.000001",
            "99999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_row_is_read_from_its_end() {
        let (model, price) = row("org/model=v2=0.15/0.6").expect("a row");
        assert_eq!(
            (model.as_str(), price.input.get(), price.output.get()),
            ("org/model=v2", 150_000, 600_000)
        );
        for text in ["model", "model=1", "=1/2", "model=0/2", "model=1/2/3", "model=1/"] {
            assert!(row(text).is_none(), "{text}");
        }
    }
}
