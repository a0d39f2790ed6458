//! What the SDK reports, as the kinds that callers tell apart, in a sentence that says what to look at.

use std::error::Error;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::{pace::Broken, place::Place};
use crate::{
    error::{chain, one_line},
    store::StoreError,
};

/// What a call was about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The bucket, and where in it.
    pub place: &'a Place,
    /// The file, for calls about one.
    pub path: Option<&'a str>,
    /// Which server, for a sentence.
    pub server: &'a str,
}

impl About<'_> {
    /// The error of a call that failed.
    pub fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(refused) = error else { return self.unanswered(error) };
        let response = refused.raw();
        let answer = Answer {
            status: response.status().as_u16(),
            code: refused.err().code().unwrap_or_default(),
            message: refused.err().message().unwrap_or_default(),
            region: response.headers().get("x-amz-bucket-region"),
        };
        self.refused(&answer)
    }

    /// Nobody answered, or not as S3 does.
    fn unanswered(&self, error: &dyn Error) -> StoreError {
        let cause = chain(error);
        let credentials = ["credential", "Credential"].iter().any(|word| cause.contains(word));
        if let Some(advice) = untrusted(&cause).filter(|_| !credentials) {
            return StoreError::Denied(format!("{self} is not trusted: {advice} ({cause})"));
        }
        StoreError::Unreachable(if credentials {
            format!(
                "no credentials for {self}: {cause}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, \
                 `models.s3.credentials_file` or a role, or `models.s3.anonymous: true` for a public bucket"
            )
        } else {
            format!("{self} cannot be reached: {cause}")
        })
    }

    /// The body of an answer broke off.
    pub fn interrupted(&self, error: &Broken) -> StoreError {
        let cause = chain(error);
        if cause.contains("checksum mismatch") {
            return StoreError::Damaged(self.path.unwrap_or_default().to_owned());
        }
        StoreError::Unreachable(format!("{self} broke off: {cause}; the next try goes on from there"))
    }

    fn refused(&self, answer: &Answer<'_>) -> StoreError {
        let path = || self.path.unwrap_or_default().to_owned();
        let advice = match (answer.status, answer.code) {
            (404, "NoSuchBucket") => format!("there is no bucket `{}`; look at its name", self.place.bucket),
            (404, "" | "NotFound" | "NoSuchKey") if self.path.is_some() => return StoreError::Missing(path()),
            (412 | 416, _) => return StoreError::Changed(path()),
            (429 | 500.., _) | (_, "SlowDown" | "RequestTimeout") => {
                return StoreError::Unreachable(format!("{self} is out of order: {answer}"));
            }
            (301 | 307, _) | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                let region = answer.region.map_or_else(|| "its".to_owned(), |region| format!("`{region}`, its"));
                format!("the bucket is in another region; set `models.s3.region` to {region} own")
            }
            (_, "InvalidAccessKeyId" | "XAdminUserNotFound") => "the server does not know this access key".to_owned(),
            (_, "SignatureDoesNotMatch") => "the secret does not belong to the access key".to_owned(),
            (_, "RequestTimeTooSkewed") => "the clock of this machine is wrong".to_owned(),
            (_, "ExpiredToken" | "InvalidToken") => "the credentials have expired; renew them".to_owned(),
            (403, _) => {
                "the credentials may not do this; it takes s3:ListBucket on the bucket and s3:GetObject on what is \
                         in it (s3:PutObject for uploads)"
                    .to_owned()
            }
            _ => "look at `models.s3` and the bucket's name".to_owned(),
        };
        StoreError::Denied(format!("{self} refuses: {advice} ({answer})"))
    }
}

/// What to do about a certificate that TLS refuses, as rustls words it.
fn untrusted(cause: &str) -> Option<&'static str> {
    let (_, problem) = cause.split_once("invalid peer certificate: ")?;
    Some(if problem.starts_with("UnknownIssuer") {
        "its certificate is signed by an authority that is not known here; set `models.s3.ca_file` or AWS_CA_BUNDLE to the \
         PEM file of that authority"
    } else if problem.contains("not valid for name") || problem.starts_with("NotValidForName") {
        "its certificate is for another name; set `models.s3.endpoint` to a name that is in it"
    } else if problem.contains("expired") || problem.starts_with("Expired") {
        "its certificate has expired; renew it, or look at the clock of this machine"
    } else if problem.starts_with("Other(OtherError(CaUsedAsEndEntity))") {
        "its certificate is one of an authority itself; give the server a certificate that the authority has signed, one with \
         `basicConstraints=CA:FALSE`"
    } else {
        "its certificate is refused; give the server another one"
    })
}

/// `s3://bucket/prefix/ at http://minio:9000`, or a file there.
impl std::fmt::Display for About<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}{}` at {}", self.place, self.path.unwrap_or_default(), self.server)
    }
}

/// What a server said when it refused.
struct Answer<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    /// Where the bucket is, if it says so.
    region: Option<&'a str>,
}

/// `403 AccessDenied: Access Denied`, on one line.
impl std::fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", one_line(self.message))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str, path: Option<&str>) -> StoreError {
        let place = Place::parse("s3://models/prod").unwrap();
        let about = About { place: &place, path, server: "http://minio:9000" };
        about.refused(&Answer { status, code, message: "as the\n server says", region: Some("eu-west-1") })
    }

    #[test]
    fn what_somebody_must_set_right_is_told_from_an_outage() {
        for (status, code) in [(503, "SlowDown"), (500, "InternalError"), (429, ""), (400, "RequestTimeout")] {
            assert!(matches!(refused(status, code, None), StoreError::Unreachable(_)), "{status} {code}");
        }
        for (status, code, advice) in [
            (404, "NoSuchBucket", "no bucket `models`"),
            (403, "InvalidAccessKeyId", "access key"),
            (403, "SignatureDoesNotMatch", "secret"),
            (403, "AccessDenied", "s3:ListBucket"),
            (301, "PermanentRedirect", "`eu-west-1`"),
            (400, "ExpiredToken", "expired"),
            (404, "", "models.s3"),
        ] {
            let error = refused(status, code, None);
            let text = error.to_string();
            assert!(matches!(error, StoreError::Denied(_)) && text.contains(advice), "{text}");
            assert!(
                text.contains("`s3://models/prod/` at http://minio:9000") && text.contains("as the server says"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_that_is_gone_or_replaced_is_no_fault_of_the_server() {
        assert!(matches!(refused(404, "NoSuchKey", Some("iris/1/x")), StoreError::Missing(path) if path == "iris/1/x"));
        let stranger = refused(404, "XAdminUserNotFound", Some("iris/1/x"));
        assert!(matches!(stranger, StoreError::Denied(_)), "not every 404 is about the file: {stranger}");
        assert!(matches!(refused(412, "PreconditionFailed", Some("iris/1/x")), StoreError::Changed(_)));
    }
}
