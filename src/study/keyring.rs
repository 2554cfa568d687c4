//! The private keys of a study: any kind of PEM is read, values are opened at the speed of the processor.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Encrypt, PrivateKey};
use zeroize::Zeroizing;

/// Why a key cannot be used: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    pub what: String,
    pub advice: &'static str,
}

/// One private key.
pub struct Key {
    opener: Opener,
    bytes: usize,
    bits: usize,
    fingerprint: String,
}

enum Opener {
    /// 2048 bits and more: OpenSSL's speed.
    Fast(Pkcs1PrivateDecryptingKey),
    /// What the fast way refuses.
    Small(Box<PrivateKey>),
}

impl Key {
    /// Reads PKCS#1 and PKCS#8, the latter encrypted or not.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, BadKey> {
        let bad = |what: String, advice| BadKey { what, advice };
        let key = if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            let Some(passphrase) = passphrase else {
                return Err(bad(
                    "is encrypted, and there is no passphrase".to_owned(),
                    "set `passphrase` in servers.toml",
                ));
            };
            PrivateKey::from_pkcs8_encrypted_pem(pem, passphrase).map_err(|error| {
                bad(format!("cannot be opened with the passphrase: {error}"), "check the passphrase")
            })?
        } else if pem.contains("Proc-Type: 4,ENCRYPTED") {
            let advice = "rewrite it with `openssl pkcs8 -topk8 -in KEY -out NEW` and keep the passphrase";
            return Err(bad("is encrypted in the old form of OpenSSL".to_owned(), advice));
        } else if pem.contains("BEGIN RSA PRIVATE KEY") {
            PrivateKey::from_pkcs1_pem(pem)
                .map_err(|error| bad(format!("is no sound key: {error}"), "restore it from its copy"))?
        } else if pem.contains("BEGIN PRIVATE KEY") {
            PrivateKey::from_pkcs8_pem(pem)
                .map_err(|error| bad(format!("is no sound key: {error}"), "restore it from its copy"))?
        } else {
            return Err(bad(
                "holds no private key".to_owned(),
                "name the private half, a PEM that begins with BEGIN ... PRIVATE KEY",
            ));
        };
        Self::new(key).map_err(|what| bad(what, "restore it from its copy"))
    }

    fn new(key: PrivateKey) -> Result<Self, String> {
        let public = key.to_public_key().to_public_key_der().map_err(|error| error.to_string())?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public.as_bytes());
        let fingerprint = format!("SHA256:{}", STANDARD.encode(digest.as_ref()).trim_end_matches('='));
        let (bytes, bits) = (key.size(), usize::try_from(key.n().bit_width()).unwrap_or_default());
        let opener = if bits >= 2048 {
            let der = key.to_pkcs8_der().map_err(|error| error.to_string())?;
            let fast = PrivateDecryptingKey::from_pkcs8(der.as_bytes())
                .ok()
                .and_then(|key| Pkcs1PrivateDecryptingKey::new(key).ok());
            fast.map_or_else(|| Opener::Small(Box::new(key)), Opener::Fast)
        } else {
            Opener::Small(Box::new(key))
        };
        Ok(Self { opener, bytes, bits, fingerprint })
    }

    /// Of the public half, as `ssh-keygen` and certificates write such.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.len() != self.bytes {
            return None;
        }
        match &self.opener {
            Opener::Fast(key) => {
                let mut out = Zeroizing::new(vec![0; key.min_output_size()]);
                let length = key.decrypt(sealed, &mut out).ok()?.len();
                out.truncate(length);
                Some(out)
            }
            Opener::Small(key) => key.decrypt(Pkcs1v15Encrypt, sealed).ok().map(Zeroizing::new),
        }
    }
}

/// Why a value stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// No base64, or not of a key's length: never encrypted, or cut.
    NotCiphertext,
    /// A key opened it, and what came out is no text.
    Garbage,
    /// Ciphertext that no key opens.
    NoKey,
}

impl Closed {
    /// The word in quarantine tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotCiphertext => "not_ciphertext",
            Self::Garbage => "garbage",
            Self::NoKey => "no_key_opens_it",
        }
    }
}

/// All keys of a server, tried in order.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<Key>,
    /// The key that opened the last value: its neighbours are of the same period.
    last: AtomicUsize,
}

impl Keyring {
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys, last: AtomicUsize::new(0) }
    }

    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The text of a base64 value.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn open(&self, value: &str) -> Result<String, Closed> {
        let sealed = STANDARD.decode(value.trim()).map_err(|_| Closed::NotCiphertext)?;
        // Without a key of this length it may still be ciphertext of a key that is not here.
        if !self.keys.iter().any(|key| key.bytes == sealed.len()) && !(64..=1024).contains(&sealed.len()) {
            return Err(Closed::NotCiphertext);
        }
        let first = self.last.load(Ordering::Relaxed);
        let mut opened = Closed::NoKey;
        for index in std::iter::once(first).chain((0..self.keys.len()).filter(|&index| index != first)) {
            let Some(plain) = self.keys.get(index).and_then(|key| key.open(&sealed)) else { continue };
            // A wrong key's result looks padded once in some hundred thousand times; text it never is.
            match std::str::from_utf8(&plain) {
                Ok(text) if !text.chars().any(char::is_control) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(text.to_owned());
                }
                _ => opened = Closed::Garbage,
            }
        }
        Err(opened)
    }
}

/// A new key pair as PEM: private (PKCS#8) and public (SPKI).
///
/// # Errors
/// When the system has no randomness, or the size is none.
pub fn generate(bits: usize) -> Result<(Zeroizing<String>, String), String> {
    let key = PrivateKey::new(&mut rand::rng(), bits).map_err(|error| error.to_string())?;
    let private = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).map_err(|error| error.to_string())?;
    let public =
        key.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).map_err(|error| error.to_string())?;
    Ok((private, public))
}

#[cfg(test)]
mod tests {
    use rsa::PublicKey;
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::DecodePublicKey;

    use super::*;

    fn seal(public: &str, text: &[u8]) -> String {
        let key = PublicKey::from_public_key_pem(public).unwrap();
        STANDARD.encode(key.encrypt(&mut rand::rng(), Pkcs1v15Encrypt, text).unwrap())
    }

    #[test]
    fn values_of_two_periods_are_opened_and_others_stay_closed() {
        let (old, old_public) = generate(2048).unwrap();
        let (new, new_public) = generate(2048).unwrap();
        let (_, stranger) = generate(2048).unwrap();
        let ring = Keyring::new(vec![Key::from_pem(&old, None).unwrap(), Key::from_pem(&new, None).unwrap()]);
        for (public, text) in
            [(&old_public, "17"), (&new_public, "grüße, \"x\""), (&new_public, ""), (&old_public, "18")]
        {
            assert_eq!(ring.open(&seal(public, text.as_bytes())).as_deref(), Ok(text));
        }
        assert_eq!(ring.open(&seal(&stranger, b"17")), Err(Closed::NoKey));
        assert_eq!(ring.open("17"), Err(Closed::NotCiphertext));
        assert_eq!(ring.open("not base64!"), Err(Closed::NotCiphertext));
        assert_eq!(ring.open(&seal(&old_public, b"a\x01b")), Err(Closed::Garbage));
        assert_eq!(ring.open(&seal(&old_public, b"\xff\xfe")), Err(Closed::Garbage));
    }

    #[test]
    fn every_kind_of_pem_is_the_same_key() {
        let (pkcs8, public) = generate(1024).or_else(|_| generate(2048)).unwrap();
        let key = PrivateKey::from_pkcs8_pem(&pkcs8).unwrap();
        let pkcs1 = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let sealed = key.to_pkcs8_encrypted_pem("pass", rsa::pkcs8::LineEnding::LF).unwrap();
        let print = Key::from_pem(&pkcs8, None).unwrap().fingerprint().to_owned();
        assert_eq!(Key::from_pem(&pkcs1, None).unwrap().fingerprint(), print);
        assert_eq!(Key::from_pem(&sealed, Some("pass")).unwrap().fingerprint(), print);
        assert!(Key::from_pem(&sealed, Some("wrong")).is_err());
        assert!(Key::from_pem(&sealed, None).is_err_and(|bad| bad.what.contains("no passphrase")));
        assert!(Key::from_pem(&public, None).is_err());
    }
}
