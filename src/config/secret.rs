//! Passwords and passphrases, read only when they are needed and never kept in the clear.

use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::code::Code;
use crate::config::servers::Secret;
use crate::failure::Failure;

/// Asks the person at the terminal; nothing when there is none, as under cron.
pub fn ask(what: &str) -> Option<SecretString> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return None;
    }
    rpassword::prompt_password(format!("{what}: ")).ok().map(Into::into)
}

/// Reads a secret from where it stands.
///
/// # Errors
/// When it is not there, or when others can read its file.
pub fn reveal(secret: &Secret) -> Result<SecretString, Failure> {
    match secret {
        Secret::Env(name) => std::env::var(name).map(Into::into).map_err(|_| {
            Failure::new(Code::Refused, format!("the environment variable {name} is not set"))
                .advise("set it where mtdata is started (for cron: in the crontab or a file it reads)")
        }),
        Secret::File(path) => {
            let found = std::fs::metadata(path).map_err(|error| Failure::read(path, error))?;
            if found.permissions().mode() & 0o077 != 0 {
                let message = format!("{} can be read by others", path.display());
                return Err(Failure::new(Code::Refused, message).advise(format!("chmod 600 {}", path.display())));
            }
            let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| Failure::read(path, error))?);
            Ok(text.trim_end_matches(['\n', '\r']).to_owned().into())
        }
    }
}
