//! Letters to the mail server: in order, each recipient once, and what does not leave is kept.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, Message, SmtpTransport, Transport};
use secrecy::{ExposeSecret, SecretString};

use crate::alert::letter::Letter;
use crate::config::alerts::{Mail, MailTls};
use crate::config::secret::reveal;

/// Of one step of the conversation.
const STEP: Duration = Duration::from_secs(15);
/// After that the rest waits for the next run.
const WHOLE: Duration = Duration::from_secs(60);
/// A letter that was refused for good so often is given up, so that it does not hold up the others.
const MOST_REFUSALS: u32 = 20;

/// How far the post came.
#[derive(Debug, Default)]
pub struct Posted {
    pub sent: usize,
    pub error: Option<String>,
}

/// Sends what waits, oldest first, and stops at the first letter that does not leave. Sent letters are removed.
pub fn post(mail: &Mail, letters: &mut Vec<Letter>) -> Posted {
    let mut posted = Posted::default();
    let password = match mail.password.as_ref().map(reveal).transpose() {
        Ok(password) => password,
        Err(failure) => {
            posted.error = Some(format!("no mail can be sent: {failure}"));
            return posted;
        }
    };
    let transport = match transport(mail, password.as_ref()) {
        Ok(transport) => transport,
        Err(error) => {
            posted.error = Some(format!("no mail can be sent: {error}"));
            return posted;
        }
    };
    let start = Instant::now();
    let mut next = 0;
    while let Some(letter) = letters.get_mut(next) {
        match deliver(mail, &transport, letter) {
            Ok(()) => {
                letters.remove(next);
                posted.sent += 1;
            }
            Err(trouble) => {
                let place = format!("{}:{}", mail.host, mail.port);
                let reason = scrub(&trouble.text, mail, password.as_ref());
                letter.refused += u32::from(trouble.permanent);
                let given_up = letter.refused >= MOST_REFUSALS;
                let what = if given_up { "is given up" } else { "is kept for the next run" };
                posted.error = Some(format!("a mail {what}, {place}: {reason}"));
                if given_up {
                    letters.remove(next);
                }
                if !trouble.partly {
                    break;
                }
                // Others wait for the next letter, too.
                next += usize::from(!given_up);
            }
        }
        if start.elapsed() > WHOLE {
            break;
        }
    }
    posted
}

struct Undelivered {
    text: String,
    permanent: bool,
    /// Some recipients have it, and the others were refused.
    partly: bool,
}

impl From<Error> for Undelivered {
    fn from(error: Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text = format!("{text}: {inner_text}");
            }
            cause = inner.source();
        }
        Self { text, permanent: error.is_permanent(), partly: false }
    }
}

/// To all at once; when the server refuses that for good, to each by itself, so that one bad address silences nobody.
fn deliver(mail: &Mail, transport: &SmtpTransport, letter: &mut Letter) -> Result<(), Undelivered> {
    let wrong = |error: &dyn std::fmt::Display| Undelivered { text: error.to_string(), permanent: true, partly: false };
    let bytes = message(mail, letter).map_err(|error| wrong(&error))?.formatted();
    let from: Mailbox = mail.from.parse().map_err(|error: lettre::address::AddressError| wrong(&error))?;
    let address = |to: &String| to.parse::<Mailbox>().map(|mailbox| mailbox.email);
    let all = letter.to.iter().map(address).collect::<Result<Vec<Address>, _>>().map_err(|error| wrong(&error))?;
    let send = |to: Vec<Address>| {
        let envelope = Envelope::new(Some(from.email.clone()), to).map_err(|error| wrong(&error))?;
        transport.send_raw(&envelope, &bytes).map(drop).map_err(Undelivered::from)
    };
    let reduced = letter.to.len() < mail.to.len();
    let first = match send(all.clone()) {
        Err(trouble) if trouble.permanent && all.len() > 1 => trouble,
        Err(trouble) => return Err(Undelivered { partly: reduced && trouble.permanent, ..trouble }),
        Ok(()) => return Ok(()),
    };
    let left: Vec<Address> = all.iter().filter(|to| send(vec![(*to).clone()]).is_err()).cloned().collect();
    letter.to.retain(|to| address(to).is_ok_and(|to| left.contains(&to)));
    let partly = left.len() < all.len();
    if left.is_empty() { Ok(()) } else { Err(Undelivered { partly, ..first }) }
}

fn message(mail: &Mail, letter: &Letter) -> Result<Message, Box<dyn std::error::Error>> {
    let mut builder = Message::builder()
        .from(mail.from.parse()?)
        .subject(&letter.subject)
        .date(letter.date.into())
        .message_id(Some(letter.id.clone()));
    for to in &mail.to {
        builder = builder.to(to.parse()?);
    }
    // Out-of-office robots do not answer this.
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    builder = builder.raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
    Ok(builder.multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))?)
}

fn transport(mail: &Mail, password: Option<&SecretString>) -> Result<SmtpTransport, Undelivered> {
    let parameters = || TlsParameters::new(mail.host.clone());
    let tls = match mail.tls {
        MailTls::StartTls => Tls::Required(parameters()?),
        MailTls::Implicit => Tls::Wrapper(parameters()?),
        MailTls::None => Tls::None,
    };
    let mut builder = SmtpTransport::builder_dangerous(&mail.host).port(mail.port).tls(tls).timeout(Some(STEP));
    if let (Some(user), Some(password)) = (&mail.user, password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
    }
    Ok(builder.build())
}

impl std::fmt::Display for Undelivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A server may repeat what it was told, the password too, in any of its disguises.
fn scrub(text: &str, mail: &Mail, password: Option<&SecretString>) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    let Some(password) = password.map(ExposeSecret::expose_secret).filter(|password| !password.is_empty()) else {
        return text;
    };
    let user = mail.user.as_deref().unwrap_or_default();
    let plain = STANDARD.encode(format!("\0{user}\0{password}"));
    let disguises = [password.to_owned(), STANDARD.encode(password), plain];
    disguises.iter().fold(text, |text, secret| text.replace(secret, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_repeats_the_password_is_not_quoted() {
        let mail = Mail {
            host: "localhost".into(),
            port: 25,
            tls: MailTls::None,
            user: Some("me".into()),
            password: None,
            from: "me@example.edu".into(),
            to: vec!["you@example.edu".into()],
            subject_prefix: "[x]".into(),
            repeat_after: STEP,
        };
        let password = SecretString::from("geheim");
        let plain = STANDARD.encode("\0me\0geheim");
        let text = scrub(&format!("535 no: geheim {plain} {}\n", STANDARD.encode("geheim")), &mail, Some(&password));
        assert_eq!(text, "535 no: *** *** *** ");
    }
}
