//! Takes secrets out of what a server answers: one that repeats what it was sent would hand them to
//! the guest, and through its messages to logs and pages.

use memchr::memmem::Finder;

use super::{HttpError, HttpResponse};
use crate::guest::grant::Granted;

/// In place of a secret.
const MASK: &str = "***";
/// Shorter values are no secrets; their bytes stand in every answer by chance.
const SECRET_BYTES_MIN: usize = 4;

/// Masks every secret of the guest, as it stands; one that a server encoded anew is not known.
/// Errors too, for they may name where a server redirects to.
pub fn redacted(
    mut answer: Result<HttpResponse, HttpError>,
    granted: &Granted,
) -> Result<HttpResponse, HttpError> {
    let mut values: Vec<&str> = granted.secrets.values().map(|secret| secret.expose()).collect();
    values.retain(|value| value.len() >= SECRET_BYTES_MIN);
    // A secret that begins with another one is masked whole.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    match &mut answer {
        Ok(response) => {
            for value in values {
                mask(&mut response.body, value.as_bytes());
                response.headers.iter_mut().for_each(|(_, text)| mask_text(text, value));
            }
        }
        Err(
            HttpError::Denied(why)
            | HttpError::Unreachable(why)
            | HttpError::Invalid(why)
            | HttpError::Other(why),
        ) => {
            for value in values {
                mask_text(why, value);
                // As a host name it comes in small letters.
                mask_text(why, &value.to_ascii_lowercase());
            }
        }
        Err(HttpError::TimedOut | HttpError::TooLarge(_)) => {}
    }
    answer
}

fn mask_text(text: &mut String, value: &str) {
    if text.contains(value) {
        *text = text.replace(value, MASK);
    }
}

fn mask(body: &mut Vec<u8>, value: &[u8]) {
    let mut masked = Vec::new();
    let mut from = 0;
    for at in Finder::new(value).find_iter(body) {
        masked.extend_from_slice(&body[from..at]);
        masked.extend_from_slice(MASK.as_bytes());
        from = at + value.len();
    }
    if from > 0 {
        masked.extend_from_slice(&body[from..]);
        *body = masked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::grant::Secret;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let secrets = [("A", "hunter2"), ("B", "hunter2-long"), ("C", "abc"), ("D", "")];
        let secrets = secrets.map(|(name, value)| (name.into(), Secret::new(value)));
        let granted = Granted { secrets: secrets.into_iter().collect(), ..Granted::default() };
        for (body, expected) in [
            ("", ""),
            ("nothing, abc", "nothing, abc"),
            ("hunter2", "***"),
            ("a hunter2-long b hunter2hunter2 c", "a *** b ****** c"),
            ("hunter", "hunter"),
        ] {
            let headers = vec![("x".to_owned(), body.to_owned())];
            let response = HttpResponse { status: 200, headers, body: body.into() };
            let response = redacted(Ok(response), &granted).expect("it was none");
            assert_eq!(response.headers[0].1, expected);
            assert_eq!(response.body, expected.as_bytes());
            let error = redacted(Err(HttpError::Denied(body.to_owned())), &granted);
            assert_eq!(error, Err(HttpError::Denied(expected.to_owned())));
        }
    }
}
