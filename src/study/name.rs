//! Names of servers and scales: they become folder and file names, so a wrong one is refused when it is made.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadName {
    pub name: String,
    pub reason: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be a name: {}", self.name.escape_debug(), self.reason)
    }
}

impl std::error::Error for BadName {}

fn checked(name: &str) -> Result<Arc<str>, BadName> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > 120 {
        "it is longer than 120 bytes"
    } else if name.starts_with('.') {
        "it starts with a dot"
    } else if name.contains(['/', '\\', '*', '?', '{', '}']) {
        "it holds one of / \\ * ? { }"
    } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "it holds white space or a control character"
    } else {
        return Ok(Arc::from(name));
    };
    Err(BadName { name: name.to_owned(), reason })
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// # Errors
            /// [`BadName`] when the text could not safely stand in a path and in a target.
            pub fn new(name: &str) -> Result<Self, BadName> {
                checked(name).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name! {
    /// A study's web server as `servers.toml` calls it: `mindtrails`.
    ServerName
}
name! {
    /// A questionnaire or log table, spelt as the server's listing spells it: `DASS21_AS`.
    ScaleName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_folder_are_refused() {
        for bad in ["", "..", "../x", "a/b", "a b", "a\n", ".hidden", "a*", "a\u{1}"] {
            assert!(ScaleName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ScaleName::new("DASS21_AS").unwrap().as_str(), "DASS21_AS");
    }
}
