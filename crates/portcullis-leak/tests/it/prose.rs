//! Ordinary prose passes unchanged and is hardly held back.

use portcullis_leak::Leak;

use crate::support::{run, strict};

const PROSE: &str = "Proof the dough at 24 °C until it has doubled; that takes about 90 minutes in a warm kitchen, and \
longer in a cold one [1]. The forum's guide says: \"Fold it three times, then rest it.\" You'll see bubbles at the \
sides. If you don't, wait another half hour, or move the bowl next to the stove (not on it!). Bakers who use rye \
often add 5-10 % more water [2]. For a crust that crackles, steam the oven for the first 12 minutes, e.g. with a tray \
of hot water. Afterwards lower it to 210 °C.\n\n- Weigh the flour: 500 g.\n- Keep the salt at 2 %.\n- Score the loaf, \
then bake it.\n\n```rust\nlet loaves = ovens.iter().map(|oven| oven.bake(&dough)).collect::<Vec<_>>();\n```\n\nSome \
members prefer the long way: a night in the refrigerator, which Hannah described in her post of March 2024. It was \
read by more than 1,200 people, and most of them came back for the second part.";

#[test]
fn prose_leaves_as_it_came() {
    let outcome = run(&strict(), [PROSE]);
    assert_eq!((outcome.out.as_str(), outcome.stopped, outcome.found.len()), (PROSE, None, 0));
}

#[test]
fn prose_is_held_under_eight_characters_on_average() {
    let (mut leak, mut out) = (Leak::new(&strict()), String::new());
    let (mut held, mut pushes, mut most) = (0_usize, 0_usize, 0_usize);
    for c in PROSE.chars() {
        leak.push(c.encode_utf8(&mut [0; 4]), &mut out);
        held += leak.held();
        most = most.max(leak.held());
        pushes += 1;
    }
    println!("held {:.2} bytes on average, {most} at most", held as f64 / pushes as f64);
    assert!(held < 8 * pushes, "{held} bytes in {pushes} pushes");
    assert!(most <= 64, "{most}");
}
