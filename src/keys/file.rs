//! A private key's file: nobody else may read it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::code::Code;
use crate::failure::Failure;

/// Looks at a key file without parsing it.
///
/// # Errors
/// When it is missing, or others can read it.
pub fn inspect(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bad = |what: &str| Failure::new(Code::Key, format!("the private key {} {what}", path.display()));
    let found = std::fs::metadata(path).map_err(|error| {
        bad(&format!("cannot be found: {error}"))
            .advise("put it there, or mend `keys` in servers.toml; exports go on without it")
    })?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(bad("can be read by others").advise(format!("chmod 600 {}", path.display())));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|error| bad(&format!("cannot be read: {error}")))
}
