//! From a text to the logit of its worst window: the one way that training, reports and the running screen read a text.

use crate::features::{Features, features};
use crate::fold::Signs;
use crate::model::Model;
use crate::windows::Cut;
use crate::{Channel, decode, fold, scorer};

/// The logit of a text's worst window; far below any threshold if it has none.
pub fn logit(model: &Model, text: &str, channel: Channel) -> f32 {
    let mut worst = f32::MIN;
    each_text(text, |text, signs, layer| {
        worst = worst.max(scorer::worst(model, text, signs, layer, channel))
    });
    worst
}

/// Calls `see` with every window of the text and of what it hides.
pub fn each_window(text: &str, channel: Channel, mut see: impl FnMut(Features)) {
    each_text(text, |text, signs, layer| {
        let cut = Cut::of(text, channel);
        for window in &cut.windows {
            see(features(&cut.text(text, *window), signs, layer));
        }
    });
}

/// Calls `read` with the text without its disguise, and with each that it hides.
fn each_text(text: &str, mut read: impl FnMut(&str, &Signs, u32)) {
    each_reading(text, 0, &mut read);
    for decoded in decode::decode(text) {
        each_reading(&decoded, 1, &mut read);
    }
}

/// Calls `read` with the text without its disguise, with what it says if what nobody sees in it parts words, and with what
/// stands in it where nobody sees it.
fn each_reading(raw: &str, layer: u32, read: &mut impl FnMut(&str, &Signs, u32)) {
    let folded = fold::fold(raw);
    read(&folded.text, &folded.signs, layer);
    if let Some(parted) = fold::parted(raw) {
        read(&fold::fold(&parted).text, &folded.signs, layer);
    }
    if !folded.hidden.is_empty() {
        read(&fold::fold(&folded.hidden).text, &folded.signs, 1);
    }
}
