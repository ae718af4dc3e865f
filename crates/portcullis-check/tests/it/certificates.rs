//! Certificates for the foreign chatbot's edge: in order, or with a single fault.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis_core::{Clock, SystemClock};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, PublicKeyData,
    SignatureAlgorithm,
};

const HOSTS: [&str; 2] = ["bot.foreign.example", "www.foreign.example"];
const DAY: i64 = 24 * 3600;

/// What a certificate lasts, in seconds from now.
#[derive(Clone, Copy)]
struct Span(i64, i64);

const USUAL: Span = Span(-DAY, 90 * DAY);

fn params(common_name: &str, names: &[&str], span: Span) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, common_name);
    let at = |seconds: i64| {
        let seconds = u64::try_from(SystemClock::new().now().as_second() + seconds).expect("after 1970");
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    (params.not_before, params.not_after) = (at(span.0), at(span.1));
    params
}

fn authority(common_name: &str, span: Span) -> CertificateParams {
    let mut params = params(common_name, &[], span);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// What Node prints for a script; the crate's own cryptography makes neither short keys nor old signatures.
fn node(script: &str, input: &[u8]) -> Vec<String> {
    let mut child = Command::new("node")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("its input"), input).expect("it reads");
    let output = child.wait_with_output().expect("node ends");
    assert!(output.status.success(), "node fails");
    String::from_utf8(output.stdout).expect("text").split('|').map(|part| part.trim().to_owned()).collect()
}

/// A private key in PEM, and the public one in PKCS#1.
fn rsa(bits: u32) -> (String, Vec<u8>) {
    let script = format!(
        "const k = require('crypto').generateKeyPairSync('rsa', {{ modulusLength: {bits} }});
         const pem = k.privateKey.export({{ type: 'pkcs8', format: 'pem' }});
         const der = k.publicKey.export({{ type: 'pkcs1', format: 'der' }});
         console.log(pem + '|' + der.toString('base64'));"
    );
    let [private, public] = <[String; 2]>::try_from(node(&script, b"")).expect("two parts");
    (format!("{private}\n"), STANDARD.decode(public).expect("base64"))
}

/// A public key that is made elsewhere.
struct Foreign(Vec<u8>);

impl PublicKeyData for Foreign {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// A certificate of an RSA issuer, signed anew with SHA-1.
fn with_sha1(der: &[u8], issuer_pem: &str) -> Vec<u8> {
    const SHA256_RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
    let mut der = der.to_vec();
    let places: Vec<usize> = (0..der.len() - 9).filter(|at| der[*at..*at + 9] == SHA256_RSA).collect();
    assert_eq!(places.len(), 2, "the signed part and the signature name the algorithm");
    for at in places {
        der[at + 8] = 0x05;
    }
    assert_eq!((der[0], der[1], der[4], der[5]), (0x30, 0x82, 0x30, 0x82));
    let signed_to = 8 + usize::from(u16::from_be_bytes([der[6], der[7]]));
    let script =
        "const c = require('crypto'); const parts = require('fs').readFileSync(0, 'utf8').split('|');
         console.log(c.sign('sha1', Buffer.from(parts[0], 'base64'), parts[1]).toString('base64'));";
    let input = format!("{}|{issuer_pem}", STANDARD.encode(&der[4..signed_to]));
    let signature = STANDARD.decode(&node(script, input.as_bytes())[0]).expect("base64");
    let from = der.len() - signature.len();
    der[from..].copy_from_slice(&signature);
    der
}

/// Writes `root.pem` and, for `edge`, `origin`, `mail` and `other`, certificate and key into the folder, and `next.pem`.
pub(crate) fn write(dir: &Path, fault: Option<&str>) {
    let is = |name: &str| fault == Some(name);
    let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("it is written");
    let soon = Span(-80 * DAY, 20 * DAY);
    let ended = Span(-90 * DAY, -DAY);

    let root_key = KeyPair::generate().expect("a key");
    let root_params = authority("Foreign Root", Span(-DAY, 3650 * DAY));
    put("root.pem", &root_params.self_signed(&root_key).expect("a root").pem());
    let root = Issuer::new(root_params, root_key);

    let span = if is("intermediate-ends-soon") { soon } else { USUAL };
    let middle_params = authority("Foreign Issuing", span);
    let rsa_pem = is("certificate-signed-with-sha1").then(|| rsa(2048).0);
    let middle_key = match &rsa_pem {
        Some(pem) => KeyPair::from_pem_and_sign_algo(pem, &PKCS_RSA_SHA256).expect("a key"),
        None => KeyPair::generate().expect("a key"),
    };
    let middle_pem = if is("certificate-of-unknown-issuer") {
        middle_params.self_signed(&middle_key).expect("an issuer").pem()
    } else {
        middle_params.signed_by(&middle_key, &root).expect("an issuer").pem()
    };
    let middle = Issuer::new(middle_params, middle_key);

    let issue = |name: &str, names: &[&str], span: Span, chain: &str| {
        let key = KeyPair::generate().expect("a key");
        let made = params(name, names, span).signed_by(&key, &middle).expect("a certificate");
        put(&format!("{name}.pem"), &format!("{}{chain}", made.pem()));
        put(&format!("{name}.key"), &key.serialize_pem());
    };
    issue("origin", &HOSTS, if is("origin-certificate-expired") { ended } else { USUAL }, "");
    issue("mail", &["mail.foreign.example"], if is("mail-certificate-ends-soon") { soon } else { USUAL }, "");
    issue("next", &HOSTS, if is("certificate-file-ends-soon") { soon } else { USUAL }, "");
    self_signed("other", &["elsewhere.example"], &put);

    let span = match fault {
        Some("certificate-expired") => ended,
        Some("certificate-not-begun") => Span(DAY, 90 * DAY),
        Some("certificate-ends-in-21-days") => Span(-DAY, 21 * DAY),
        _ => USUAL,
    };
    if is("certificate-self-signed") {
        self_signed("edge", &HOSTS, &put);
    } else if is("certificate-with-short-key") {
        let (key, public) = rsa(1024);
        let made = params("edge", &HOSTS, span).signed_by(&Foreign(public), &middle).expect("a certificate");
        put("edge.pem", &format!("{}{middle_pem}", made.pem()));
        put("edge.key", &key);
    } else if let Some(issuer) = &rsa_pem {
        let key = KeyPair::generate().expect("a key");
        let made = params("edge", &HOSTS, span).signed_by(&key, &middle).expect("a certificate");
        put("edge.pem", &format!("{}{middle_pem}", pem(&with_sha1(made.der(), issuer))));
        put("edge.key", &key.serialize_pem());
    } else {
        let names: &[&str] = if is("certificate-for-another-host") {
            &["bot.foreign.example.org", "foreign.example"]
        } else {
            &HOSTS
        };
        let chain = if is("certificate-without-intermediate") { "" } else { &middle_pem };
        issue("edge", names, span, chain);
    }
}

fn self_signed(name: &str, names: &[&str], put: &dyn Fn(&str, &str)) {
    let key = KeyPair::generate().expect("a key");
    put(&format!("{name}.pem"), &params(name, names, USUAL).self_signed(&key).expect("a certificate").pem());
    put(&format!("{name}.key"), &key.serialize_pem());
}
