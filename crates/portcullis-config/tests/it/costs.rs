//! Budgets of costs: never without prices, and never without budgets of tokens.

use std::num::NonZeroU32;

use portcullis_config::Code;

use crate::site::{Site, codes};

const MODEL: &str = "[model]\nurl = \"http://127.0.0.1:11434/v1\"\nname = \"small\"\n";
const BUDGET: &str = "[limits]\ntokens_per_member_per_day = 1000\ncost_per_member_per_day = \"2.50\"\n";

#[test]
fn a_budget_is_read_exactly_and_prices_belong_to_models() {
    let text =
        format!("{MODEL}allow = [\"small\", \"large\"]\nprices = [\"small=0.15/0.6\", \"*=5/15\"]\n{BUDGET}");
    let config = Site::with(&text).loaded().config;
    assert_eq!(config.limits.cost_per_member_per_day.map(NonZeroU32::get), Some(2_500_000));
    assert_eq!((config.limits.currency.as_str(), config.limits.cost_per_community_per_day), ("EUR", None));
    let prices = config.model.expect("a model").prices;
    let of = |model| prices.of(model).map(|price| (price.input.get(), price.output.get()));
    assert_eq!(of("small"), Some((150_000, 600_000)));
    assert_eq!(of("large"), Some((5_000_000, 15_000_000)), "the stated price of every other model");
}

#[test]
fn a_model_without_a_price_is_refused_while_costs_are_counted() {
    let two = format!("{MODEL}allow = [\"small\", \"large\"]\nprices = [\"large=1/2\"]\n");
    assert_eq!(codes(&Site::with(&format!("{two}{BUDGET}")).problems()), [Code::NoPrice]);
    assert_eq!(codes(&Site::with(&format!("{MODEL}{BUDGET}")).problems()), [Code::NoPrice]);
    Site::with(&two).loaded();
}

#[test]
fn money_is_never_counted_without_tokens() {
    for key in ["member", "community"] {
        let text = format!("{MODEL}prices = [\"*=1/2\"]\n[limits]\ncost_per_{key}_per_day = \"1\"\n");
        assert_eq!(codes(&Site::with(&text).problems()), [Code::HalfPair], "{key}");
    }
}

#[test]
fn an_amount_that_is_nothing_or_no_amount_is_refused() {
    for amount in ["\"0\"", "\"-1\"", "\"1e3\"", "\"5000\"", "\"0.0000001\"", "0"] {
        let text = format!("[limits]\ntokens_per_member_per_day = 1\ncost_per_member_per_day = {amount}\n");
        assert_eq!(codes(&Site::with(&text).problems()), [Code::OutOfRange], "{amount}");
    }
    let decimal = "[limits]\ntokens_per_member_per_day = 1\ncost_per_member_per_day = 2.5\n";
    assert_eq!(codes(&Site::with(decimal).problems()), [Code::WrongType]);
    for price in ["small", "small=1", "small=0/1", "small=1/2/3"] {
        let text = format!("{MODEL}prices = [\"{price}\"]\n");
        assert_eq!(codes(&Site::with(&text).problems()), [Code::Malformed], "{price}");
    }
    let twice = format!("{MODEL}prices = [\"small=1/2\", \"small=1/3\"]\n");
    assert_eq!(codes(&Site::with(&twice).problems()), [Code::Duplicate]);
    assert_eq!(codes(&Site::with("[limits]\ncurrency = \"euro\"\n").problems()), [Code::Malformed]);
}
