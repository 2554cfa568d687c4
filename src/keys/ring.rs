//! The private keys of a study: any kind of PEM is read, values are opened at the speed of the processor.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::hazmat::rsa_decrypt_and_check;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, PrivateKey};
use zeroize::Zeroizing;

/// Why a key cannot be used: what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    pub what: String,
    pub advice: &'static str,
    /// It may be good, but no passphrase was given.
    pub locked: bool,
}

/// One private key.
pub struct RingKey {
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

impl RingKey {
    /// Reads PKCS#1 and PKCS#8, the latter encrypted or not, as PEM or DER.
    pub fn read(bytes: &[u8], passphrase: Option<&str>) -> Result<Self, BadKey> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN") => Self::from_pem(text, passphrase),
            _ => Self::from_der(bytes, passphrase),
        }
    }

    pub fn from_pem(pem: &str, passphrase: Option<&str>) -> Result<Self, BadKey> {
        let key = if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            PrivateKey::from_pkcs8_encrypted_pem(pem, given(passphrase)?).map_err(wrong_passphrase)?
        } else if pem.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(BadKey {
                what: "is encrypted in the old form of OpenSSL".to_owned(),
                advice: "rewrite it with `openssl pkcs8 -topk8 -in KEY -out NEW` and keep the passphrase",
                locked: false,
            });
        } else if pem.contains("BEGIN RSA PRIVATE KEY") {
            PrivateKey::from_pkcs1_pem(pem).map_err(unsound)?
        } else if pem.contains("BEGIN PRIVATE KEY") {
            PrivateKey::from_pkcs8_pem(pem).map_err(unsound)?
        } else {
            return Err(no_key());
        };
        Self::new(key).map_err(unsound)
    }

    fn from_der(der: &[u8], passphrase: Option<&str>) -> Result<Self, BadKey> {
        let plain = PrivateKey::from_pkcs8_der(der).ok().or_else(|| PrivateKey::from_pkcs1_der(der).ok());
        if let Some(key) = plain {
            return Self::new(key).map_err(unsound);
        }
        if rsa::pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).is_err() {
            return Err(no_key());
        }
        let key = PrivateKey::from_pkcs8_encrypted_der(der, given(passphrase)?).map_err(wrong_passphrase)?;
        Self::new(key).map_err(unsound)
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
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

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
            Opener::Small(key) => open_small(key, sealed),
        }
    }
}

fn given(passphrase: Option<&str>) -> Result<&str, BadKey> {
    passphrase.ok_or_else(|| BadKey {
        what: "is encrypted, and there is no passphrase".to_owned(),
        advice: "set `passphrase` in servers.toml, or call mtdata at a terminal, which asks for it",
        locked: true,
    })
}

fn wrong_passphrase(error: impl std::fmt::Display) -> BadKey {
    BadKey {
        what: format!("cannot be opened with the passphrase: {error}"),
        advice: "check the passphrase; a key of old OpenSSL (3DES) has to be rewritten with `openssl pkcs8 -topk8`",
        locked: false,
    }
}

fn unsound(error: impl std::fmt::Display) -> BadKey {
    BadKey { what: format!("is no sound key: {error}"), advice: "restore it from its copy", locked: false }
}

fn no_key() -> BadKey {
    BadKey {
        what: "holds no private key".to_owned(),
        advice: "name the private half: a PEM that begins with BEGIN ... PRIVATE KEY, or its DER",
        locked: false,
    }
}

/// The raw operation, and the padding looked at here: the crate's own answers a wrong key with random text, as is right
/// for a server that must not tell, and wrong for an archive that has to know.
fn open_small(key: &PrivateKey, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let number = BoxedUint::from_be_slice(sealed, key.n().bits_precision()).ok()?;
    let padded = rsa_decrypt_and_check(key, Some(&mut rand::rng()), &number).ok()?;
    let padded = Zeroizing::new(padded.to_be_bytes());
    let start = padded.len().checked_sub(sealed.len())?;
    let (zeros, block) = padded.split_at(start);
    let message = block.strip_prefix(&[0, 2]).filter(|_| zeros.iter().all(|byte| *byte == 0))?;
    let end = message.iter().position(|byte| *byte == 0).filter(|end| *end >= 8)?;
    Some(Zeroizing::new(message[end + 1..].to_vec()))
}

/// Why a value stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecryptFailure {
    /// No base64, or not of a key's length: never encrypted, or cut.
    NotCiphertext,
    /// A key opened it, and what came out is no text; or two keys did, so that neither is to be believed.
    Garbage,
    /// Ciphertext that no key opens.
    NoKey,
}

impl DecryptFailure {
    /// The word in quarantine tables.
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
    keys: Vec<RingKey>,
    /// The key that opened the last value: its neighbours are of the same period.
    last: AtomicUsize,
}

impl Keyring {
    pub fn new(keys: Vec<RingKey>) -> Self {
        Self { keys, last: AtomicUsize::new(0) }
    }

    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// The text of a base64 value, and which of the keys opened it.
    pub fn open(&self, value: &str) -> Result<(String, usize), DecryptFailure> {
        let sealed = STANDARD.decode(value.trim()).map_err(|_| DecryptFailure::NotCiphertext)?;
        // Without a key of this length it may still be ciphertext of a key that is not here.
        if !self.keys.iter().any(|key| key.bytes == sealed.len()) && !(64..=1024).contains(&sealed.len()) {
            return Err(DecryptFailure::NotCiphertext);
        }
        let last = self.last.load(Ordering::Relaxed);
        let mut closed = DecryptFailure::NoKey;
        let mut opened: Option<(String, usize)> = None;
        for index in std::iter::once(last).chain((0..self.keys.len()).filter(|&index| index != last)) {
            let Some(plain) = self.keys.get(index).and_then(|key| key.open(&sealed)) else { continue };
            // A wrong key's result looks padded once in some hundred thousand times, and is hardly ever text.
            let Some(text) = std::str::from_utf8(&plain).ok().filter(|text| !text.chars().any(char::is_control)) else {
                closed = DecryptFailure::Garbage;
                continue;
            };
            if opened.is_some() {
                return Err(DecryptFailure::Garbage);
            }
            opened = Some((text.to_owned(), index));
            // The key of the neighbours is believed; where another seems to fit, all are asked.
            if index == last {
                break;
            }
        }
        if let Some((_, index)) = &opened {
            self.last.store(*index, Ordering::Relaxed);
        }
        opened.ok_or(closed)
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
    use rand_chacha::rand_core::SeedableRng;
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::DecodePublicKey;
    use rsa::{Pkcs1v15Encrypt, PublicKey};

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
        let ring = Keyring::new(vec![RingKey::from_pem(&old, None).unwrap(), RingKey::from_pem(&new, None).unwrap()]);
        for (public, text, key) in
            [(&old_public, "17", 0), (&new_public, "grüße, \"x\"", 1), (&new_public, "", 1), (&old_public, "18", 0)]
        {
            assert_eq!(ring.open(&seal(public, text.as_bytes())), Ok((text.to_owned(), key)));
        }
        assert_eq!(ring.open(&seal(&stranger, b"17")), Err(DecryptFailure::NoKey));
        assert_eq!(ring.open("17"), Err(DecryptFailure::NotCiphertext));
        assert_eq!(ring.open("not base64!"), Err(DecryptFailure::NotCiphertext));
        assert_eq!(ring.open(&seal(&old_public, b"a\x01b")), Err(DecryptFailure::Garbage));
        assert_eq!(ring.open(&seal(&old_public, b"\xff\xfe")), Err(DecryptFailure::Garbage));
        assert_eq!(Keyring::default().open(&seal(&old_public, b"17")), Err(DecryptFailure::NoKey));
    }

    /// Neither way of opening answers a wrong key with a text of its own making.
    #[test]
    fn a_wrong_key_opens_nothing_small_keys_too() {
        for bits in [1024, 1536, 2048] {
            let key = |seed| {
                let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
                PrivateKey::new_unchecked(&mut rng, bits).unwrap()
            };
            let (right, wrong) = (key(1), key(2));
            let public = right.to_public_key().to_public_key_pem(rsa::pkcs8::LineEnding::LF).unwrap();
            let rings = [&right, &wrong].map(|key| Keyring::new(vec![RingKey::new(key.clone()).unwrap()]));
            for number in 0..200 {
                let text = number.to_string();
                let sealed = seal(&public, text.as_bytes());
                assert_eq!(rings[0].open(&sealed), Ok((text, 0)));
                assert_eq!(rings[1].open(&sealed), Err(DecryptFailure::NoKey));
            }
        }
    }

    #[test]
    fn every_kind_of_pem_is_the_same_key() {
        let (pkcs8, public) = generate(1024).or_else(|_| generate(2048)).unwrap();
        let key = PrivateKey::from_pkcs8_pem(&pkcs8).unwrap();
        let pkcs1 = key.to_pkcs1_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let sealed = key.to_pkcs8_encrypted_pem("pass", rsa::pkcs8::LineEnding::LF).unwrap();
        let print = RingKey::from_pem(&pkcs8, None).unwrap().fingerprint().to_owned();
        assert_eq!(RingKey::from_pem(&pkcs1, None).unwrap().fingerprint(), print);
        assert_eq!(RingKey::from_pem(&sealed, Some("pass")).unwrap().fingerprint(), print);
        assert!(RingKey::from_pem(&sealed, Some("wrong")).is_err());
        assert!(RingKey::from_pem(&sealed, None).is_err_and(|bad| bad.what.contains("no passphrase")));
        assert!(RingKey::from_pem(&public, None).is_err());
        let der = |pem: &str| STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>());
        for (pem, passphrase) in [(&*pkcs8, None), (&*pkcs1, None), (&*sealed, Some("pass"))] {
            assert_eq!(RingKey::read(pem.as_bytes(), passphrase).unwrap().fingerprint(), print);
            assert_eq!(RingKey::read(&der(pem).unwrap(), passphrase).unwrap().fingerprint(), print);
        }
        assert!(RingKey::read(&der(&sealed).unwrap(), None).is_err_and(|bad| bad.what.contains("no passphrase")));
        assert!(RingKey::read(&der(&public).unwrap(), None).is_err_and(|bad| bad.what.contains("no private key")));
        assert!(RingKey::read(b"", None).is_err());
    }
}
