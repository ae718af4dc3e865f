//! Enumerations of stable words: each variant with its name and what it means, told once.

/// Makes the enumeration with a list of all of it, the name of each variant, and its documentation as text.
macro_rules! named {
    ($(#[$about:meta])* pub enum $Words:ident { $($(#[doc = $doc:literal])* $name:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $Words {
            $($(#[doc = $doc])* $name,)*
        }

        impl $Words {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name that clients, logs, the journal and metrics know it by.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

pub(crate) use named;
