//! The operator's token: what the operator plane wants with every request.

use portcullis_core::secret::random_bytes;
use ring::hmac;

/// Tells the operator's token from any other text.
///
/// It holds no token, only a tag under a key of its own that is thrown away with the process; comparing tags takes the
/// same time for every wrong token, however long it is and wherever it differs.
pub struct OperatorToken {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl OperatorToken {
    /// Knows this token from now on.
    pub fn new(token: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        let tag = hmac::sign(&key, token);
        Self { key, tag }
    }

    /// Whether that is the token.
    pub fn holds(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.tag.as_ref()).is_ok()
    }
}

impl std::fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::OperatorToken;

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = OperatorToken::new(b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1k");
        assert!(token.holds(b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1k"));
        let near: [&[u8]; 4] = [
            b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1K",
            b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1k ",
            b"jkwh2Yb1tEzVtT5bcp0hPv3wqvKQ2lM8n1",
            b"",
        ];
        for wrong in near {
            assert!(!token.holds(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "OperatorToken(..)");
    }
}
