//! Trying again what may pass when one waits, and how often and how long.

use std::time::{Duration, Instant};

use rand::RngExt;

use crate::cancel::Cancel;
use crate::code::Code;
use crate::failure::Failure;

/// How long and how often to try what may fail for a moment.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Further attempts after the first, for transient failures only.
    pub retries: u32,
    /// Of one attempt.
    pub timeout: Duration,
}

/// The first pause before another attempt; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What went wrong, and whether another attempt may help.
#[derive(Debug)]
pub struct AttemptError {
    failure: Box<Failure>,
    transient: bool,
    /// The server asked for this pause.
    pause: Option<Duration>,
}

impl AttemptError {
    pub fn lasting(failure: Failure) -> Self {
        Self { failure: failure.into(), transient: false, pause: None }
    }

    /// Another attempt may help.
    pub fn may_pass(failure: Failure) -> Self {
        Self { failure: failure.into(), transient: true, pause: None }
    }

    pub fn passing(kind: Code, message: String) -> Self {
        Self::may_pass(Failure::new(kind, message))
    }

    /// The server asked not to come again before.
    pub fn asking_for(self, pause: Option<Duration>) -> Self {
        Self { pause, ..self }
    }

    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.failure.advice = Some(advice.into());
        self
    }
}

/// Again and again, for what passes only; the pause doubles, with jitter, so that many clients do not come at once.
///
/// # Errors
/// The last attempt's failure, or that it was interrupted.
pub fn retry<T>(
    policy: RetryPolicy,
    cancel: &Cancel,
    mut attempt: impl FnMut() -> Result<T, AttemptError>,
) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut tries = 0;
    loop {
        cancel.check()?;
        tries += 1;
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !error.transient || tries > policy.retries {
            let mut failure = *error.failure;
            if tries > 1 {
                failure.message = format!("{} (tried {tries} times)", failure.message);
            }
            return Err(failure);
        }
        if let Some(asked) = error.pause.filter(|asked| *asked > policy.timeout) {
            // To come sooner than asked is what it defends itself against; the next run may come in time.
            let mut failure = *error.failure;
            let pause = humantime::format_duration(Duration::from_secs(asked.as_secs()));
            failure.message = format!("{} and asks to come again only in {pause}", failure.message);
            return Err(failure);
        }
        let jitter = rand::rng().random_range(0.5..1.5);
        wait(error.pause.unwrap_or_else(|| pause.mul_f64(jitter).min(policy.timeout)), cancel)?;
        pause *= 2;
    }
}

fn wait(pause: Duration, cancel: &Cancel) -> Result<(), Failure> {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        cancel.check()?;
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { retries: 2, timeout: Duration::from_millis(5) };

    #[test]
    fn only_what_passes_is_tried_again_and_not_for_ever() {
        let mut tries = 0;
        let failed = retry(POLICY, &Cancel::default(), || -> Result<(), AttemptError> {
            tries += 1;
            Err(AttemptError::passing(Code::ServerError, "503".into()))
        });
        assert_eq!((tries, failed.unwrap_err().message.as_str()), (3, "503 (tried 3 times)"));
        tries = 0;
        let failed = retry(POLICY, &Cancel::default(), || -> Result<(), AttemptError> {
            tries += 1;
            Err(AttemptError::lasting(Failure::new(Code::Refused, "401")))
        });
        assert_eq!((tries, failed.unwrap_err().message.as_str()), (1, "401"));
    }

    #[test]
    fn a_cancelled_attempt_is_not_repeated() {
        let cancel = Cancel::default();
        let failed = retry(POLICY, &cancel, || -> Result<(), AttemptError> {
            cancel.cancel();
            Err(AttemptError::passing(Code::Timeout, "late".into()))
        });
        assert_eq!(failed.unwrap_err().kind, Code::Interrupted);
    }
}
