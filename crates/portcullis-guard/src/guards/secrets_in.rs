//! Secrets in what somebody says: a key that was pasted into a question would be with the model and with whoever runs it.
//!
//! What is found is told to nobody and kept nowhere: an event says that there was something, and a refusal no more than that.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use portcullis_leak::{Action, Class, Leak, Policy, Vault};

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::screening::SecretMode;
use crate::security::{Noticed, SecurityEvent};
use crate::visit::{Asked, Screened, Turn};

pub(crate) const NAME: &str = "secrets-in";

/// Looks for keys, tokens, private keys and passwords in what a person says.
#[derive(Debug)]
pub struct SecretsIn;

#[async_trait]
impl Guard<Turn<Asked>> for SecretsIn {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "keys, tokens, private keys and passwords in what a person says are told to the operator, or refused"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, gate: &Gate, turn: &mut Turn<Asked>) -> Ruling {
        let mode = gate.parts.screening.secrets;
        if mode == SecretMode::Off || !turn.question.said.iter().any(|text| holds_secret(text)) {
            return Ruling::Allow;
        }
        gate.switches().felt(NAME);
        // What goes to a person reaches no model.
        if mode == SecretMode::Block && turn.state.handed.is_none() {
            // The refusal is the event.
            return Ruling::Refuse(Refusal::new(
                Code::QuestionRefused,
                "this holds what looks like a key or a password, so it was not put to the model; take it out and ask again, and \
                 replace it if it is a real one",
            ));
        }
        note(gate, turn);
        Ruling::Allow
    }
}

/// Takes out of the asker's own texts, memories or earlier questions, those with secrets, where questions with them are refused.
pub(crate) fn recollect<T>(
    gate: &Gate,
    turn: &Turn<Screened>,
    own: &mut Vec<T>,
    text: impl Fn(&T) -> Cow<'_, str>,
) {
    let mode = gate.parts.screening.secrets;
    if mode == SecretMode::Off || !gate.switches().on_unfelt(NAME) {
        return;
    }
    let mut is_clear = true;
    own.retain(|one| {
        let holds = holds_secret(&text(one));
        is_clear &= !holds;
        !holds || mode == SecretMode::Observe
    });
    if !is_clear {
        gate.switches().felt(NAME);
        note(gate, turn);
    }
}

fn note<S>(gate: &Gate, turn: &Turn<S>) {
    let noticed = Noticed::new(SecurityEvent::SecretInQuestion, NAME);
    gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
}

fn holds_secret(text: &str) -> bool {
    static VAULT: LazyLock<Arc<Vault>> = LazyLock::new(|| {
        Arc::new(Vault::new(Arc::new(Policy { secrets: Action::Observe, ..Policy::off() })))
    });
    let (mut leak, mut out) = (Leak::new(&VAULT), String::new());
    leak.push(text, &mut out);
    leak.finish(&mut out);
    leak.found().any(|(class, _)| class == Class::Secret)
}

#[cfg(test)]
mod tests {
    use super::holds_secret;

    #[test]
    fn every_class_of_secret_is_found_and_words_about_them_are_not() {
        for (issuer, prefix) in portcullis_leak::published() {
            // Of letters that every kind may have: hexadecimal digits, or capitals where there are no small ones.
            let found = ["0123456789abcdef", "0123456789ABCDEF", "Ab3dEf6hIj9kLm2n"]
                .iter()
                .any(|piece| holds_secret(&format!("why does {prefix}{} fail?", piece.repeat(4))));
            assert!(found, "{issuer} {prefix}");
        }
        for secret in [
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----",
            "postgres://ada:correct-horse@db.example/one",
            "password=correct-horse-9",
            "API_KEY=4711abcdef0815",
        ] {
            assert!(holds_secret(secret), "{secret}");
            assert!(holds_secret(&format!("Is this right?\n\n{secret}\n\nIt is refused.")), "{secret}");
        }
        for harmless in [
            "How do I make a new API key, and where does the password go?",
            "What is the sk- in front of a key?",
            "Is https://one.example/login the right page?",
            "",
        ] {
            assert!(!holds_secret(harmless), "{harmless}");
        }
    }
}
