//! From a text to the logit of its worst window: the one way that training, reports and the running screen read a text.

use crate::features::{Features, features};
use crate::model::Model;
use crate::{Channel, decode, fold, windows};

/// The logit of a text's worst window; far below any threshold if it has none.
pub fn logit(model: &Model, text: &str, channel: Channel) -> f32 {
    let mut worst = f32::MIN;
    each_window(text, channel, |features| worst = worst.max(model.logit(&features)));
    worst
}

/// Calls `see` with every window of the text and of what it hides.
pub fn each_window(text: &str, channel: Channel, mut see: impl FnMut(Features)) {
    let folded = fold::fold(text);
    let mut read = |text: &str, signs: &fold::Signs, layer: u32| {
        let windows = match channel {
            Channel::Question => windows::of_question(text),
            Channel::Document => windows::of_document(text),
        };
        for window in windows {
            see(features(&window, signs, layer));
        }
    };
    read(&folded.text, &folded.signs, 0);
    if !folded.hidden.is_empty() {
        read(&fold::fold(&folded.hidden).text, &folded.signs, 1);
    }
    for decoded in decode::decode(text) {
        let folded = fold::fold(&decoded);
        read(&folded.text, &folded.signs, 1);
    }
}
