//! The arguments of a tool call are JSON, in which every character can be written in another way.

/// Writes `\u0073` as `s` and `\/` as `/`, piece by piece, so that what is judged is what a reader of the JSON gets. The
/// meaning of the JSON stays: escapes of quotes, backslashes and control characters are left as they are.
#[derive(Debug, Default)]
pub struct Unescape {
    /// An escape that has begun.
    held: String,
}

impl Unescape {
    /// Takes a piece and adds to `out` what is known of it.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        for c in piece.chars() {
            self.take(c, out);
        }
    }

    /// Ends the text.
    pub fn finish(&mut self, out: &mut String) {
        out.push_str(&std::mem::take(&mut self.held));
    }

    fn take(&mut self, c: char, out: &mut String) {
        match (self.held.len(), c) {
            (0, '\\') => self.held.push(c),
            (0, _) => out.push(c),
            (1, 'u') => self.held.push(c),
            (1, '/') => {
                self.held.clear();
                out.push('/');
            }
            (1, _) => {
                self.finish(out);
                out.push(c);
            }
            (_, _) if c.is_ascii_hexdigit() => {
                self.held.push(c);
                if self.held.len() == "\\u0000".len() {
                    self.settle(out);
                }
            }
            (_, _) => {
                self.finish(out);
                self.take(c, out);
            }
        }
    }

    fn settle(&mut self, out: &mut String) {
        let code = self.held.get(2..).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let plain =
            code.and_then(char::from_u32).filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'));
        match plain {
            Some(c) => {
                self.held.clear();
                out.push(c);
            }
            None => self.finish(out),
        }
    }
}
