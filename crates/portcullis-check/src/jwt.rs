//! Takes JSON Web Tokens (RFC 7519) apart and makes them, for attacking a target's own tokens offline.
//!
//! It never decides whether a token is trustworthy: nothing here authenticates anyone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;

/// A token in compact form, taken apart.
#[derive(Clone)]
pub(crate) struct Jwt {
    header: Value,
    /// The claims.
    pub(crate) claims: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Jwt {
    /// Takes a token apart; none when it has another form.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (signed, signature) = token.trim().rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let (header, claims) = (json(header)?, json(claims)?);
        (header.is_object() && claims.is_object()).then_some(())?;
        Some(Self {
            header,
            claims,
            signed: signed.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The algorithm that the header names.
    pub(crate) fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    fn hmac(&self) -> Option<hmac::Algorithm> {
        match self.algorithm() {
            "HS256" => Some(hmac::HMAC_SHA256),
            "HS384" => Some(hmac::HMAC_SHA384),
            "HS512" => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    /// Whether it is signed with a shared secret at all.
    pub(crate) fn is_symmetric(&self) -> bool {
        self.hmac().is_some()
    }

    /// Whether this secret signed it.
    pub(crate) fn is_signed_with(&self, secret: &[u8]) -> bool {
        self.hmac().is_some_and(|algorithm| {
            hmac::verify(&hmac::Key::new(algorithm, secret), self.signed.as_bytes(), &self.signature).is_ok()
        })
    }

    /// When it ends, in seconds since 1970.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let exp = self.claims.get("exp")?;
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second does not matter here")]
        exp.as_i64().or_else(|| exp.as_f64().map(|seconds| seconds as i64))
    }

    /// The same header with other claims, signed with `secret`.
    pub(crate) fn resigned(&self, claims: &Value, secret: &[u8]) -> Option<String> {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&self.header), encode(claims));
        let tag = hmac::sign(&hmac::Key::new(self.hmac()?, secret), signed.as_bytes());
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())))
    }

    /// The same token with a random signature of the right length.
    pub(crate) fn with_random_signature(&self) -> String {
        let random = portcullis_core::secret::random_bytes::<512>();
        let length = self.signature.len().clamp(16, random.len());
        let signature = random.get(..length).unwrap_or_default();
        format!("{}.{}", self.signed, URL_SAFE_NO_PAD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Jwt;

    /// The example of RFC 7515, appendix A.1, with its key.
    const RFC: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0d\
                       HA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const RFC_KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    #[test]
    fn the_published_example_verifies_with_its_key_and_no_other() {
        use base64::Engine;
        let jwt = Jwt::parse(RFC).unwrap();
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(RFC_KEY).unwrap();
        assert!(jwt.is_signed_with(&key));
        assert!(!jwt.is_signed_with(b"secret"));
        assert_eq!(jwt.expires_at(), Some(1_300_819_380));
        assert_eq!(jwt.algorithm(), "HS256");
    }

    #[test]
    fn a_resigned_token_verifies_with_the_new_secret_and_a_randomly_signed_one_does_not() {
        let jwt = Jwt::parse(RFC).unwrap();
        let again = Jwt::parse(&jwt.resigned(&json!({"sub": "a"}), b"k").unwrap()).unwrap();
        assert!(again.is_signed_with(b"k"));
        let random = Jwt::parse(&again.with_random_signature()).unwrap();
        assert!(!random.is_signed_with(b"k"));
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in ["", "a.b.c", "pk-123", "....", "eyJhIjoxfQ.eyJhIjoxfQ"] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
    }
}
