//! Finds a link in a folder of mails, as RFC 5322 files.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest mail that is read: 1 MiB.
const LONGEST_BYTES: u64 = 1024 * 1024;

/// The first link with `part` in a mail to `address`.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn link(folder: &Path, address: &str, part: &str) -> std::io::Result<Option<String>> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_mail = path.extension().is_some_and(|ending| ending == "eml");
        if !is_mail || entry.metadata()?.len() > LONGEST_BYTES {
            continue;
        }
        // A mail may be taken away while it is looked for.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        if let Some(link) = is_to(&text, address).then(|| link_in(&text, part)).flatten() {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

/// Whether the head of a mail names the address as its reader.
fn is_to(mail: &str, address: &str) -> bool {
    let unfolded = head(mail).replace("\r\n", "\n").replace("\n ", " ").replace("\n\t", " ");
    let address = address.to_lowercase();
    let mut to = unfolded.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        matches!(name.as_str(), "to" | "delivered-to" | "x-original-to")
    });
    to.any(|line| line.to_lowercase().contains(&address))
}

fn head(mail: &str) -> &str {
    let end = mail.find("\r\n\r\n").or_else(|| mail.find("\n\n")).unwrap_or(mail.len());
    mail.get(..end).unwrap_or_default()
}

/// The first link with `part`, in the mail as it is or in any of its parts decoded.
fn link_in(mail: &str, part: &str) -> Option<String> {
    let quoted = unquoted(mail);
    let decoded = blocks(mail).filter_map(|block| STANDARD.decode(block).ok());
    let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    std::iter::once(quoted).chain(decoded).chain([mail.to_owned()]).find_map(|text| first_link(&text, part))
}

fn first_link(text: &str, part: &str) -> Option<String> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\'' | ')');
    let starts = text.match_indices("http://").chain(text.match_indices("https://"));
    let mut links: Vec<(usize, &str)> = starts
        .filter_map(|(at, _)| Some((at, text.get(at..)?.split(ends).next()?)))
        .filter(|(_, link)| link.contains(part))
        .collect();
    links.sort_unstable();
    links.first().map(|(_, link)| link.trim_end_matches(['.', ',']).replace("&amp;", "&"))
}

/// Quoted-printable undone (RFC 2045, section 6.7), where the mail says that it is used.
fn unquoted(mail: &str) -> String {
    if !mail.to_lowercase().contains("quoted-printable") {
        return mail.to_owned();
    }
    let joined = mail.replace("=\r\n", "").replace("=\n", "");
    let mut bytes = Vec::with_capacity(joined.len());
    let mut rest = joined.as_str();
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'=');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs of lines that may be base64.
fn blocks(mail: &str) -> impl Iterator<Item = String> {
    let text = mail.replace("\r\n", "\n");
    let blocks: Vec<String> =
        text.split("\n\n").map(|block| block.split_whitespace().collect::<String>()).collect();
    blocks.into_iter().filter(|block| block.len() >= 16)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::link;

    const LINK: &str = "https://bot.example.org/login/link?token=abc%3D";

    fn found(mail: &str) -> Option<String> {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("a.eml"), mail).unwrap();
        std::fs::write(folder.path().join("b.txt"), format!("To: jo@a.example\n\n{LINK}")).unwrap();
        link(folder.path(), "jo@a.example", "/login/link?token=").unwrap()
    }

    #[test]
    fn a_link_is_found_however_the_mail_is_written() {
        let plain = format!("To: Jo <Jo@A.example>\r\nSubject: x\r\n\r\nOpen <{LINK}>.\r\n");
        let (one, two) = LINK.split_at(30);
        let quoted = format!(
            "To: jo@a.example\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nOpen {}=\r\n{}\r\n",
            one.replace('=', "=3D"),
            two.replace('=', "=3D")
        );
        let text =
            format!("<a href=\"https://bot.example.org/help\">Help</a> <a href=\"{LINK}\">Sign in</a>");
        let encoded = format!(
            "To: jo@a.example\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n{}\n",
            STANDARD.encode(text)
        );
        for mail in [plain, quoted, encoded] {
            assert_eq!(found(&mail).as_deref(), Some(LINK), "{mail}");
        }
    }

    #[test]
    fn a_mail_to_somebody_else_holds_nothing() {
        assert_eq!(found(&format!("To: al@a.example\n\nFor jo@a.example: {LINK}")), None);
        assert_eq!(found("To: jo@a.example\n\nhttps://bot.example.org/help"), None);
    }
}
