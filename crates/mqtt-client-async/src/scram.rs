//! SCRAM-SHA-256: a proof of the password by both sides that neither sends it nor lets the server
//! keep it (RFC 5802, RFC 7677). Without channel binding.

use std::fmt;

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::authentication::{AuthenticationExchange, AuthenticationMethod};
use crate::error::AuthenticationError;

/// How often the password is hashed at least: what RFC 7677 asks of servers. One that asks for less
/// may want to make the proof easy to guess from.
const FEWEST_ITERATIONS: u32 = 4096;

/// How often it is hashed at most: some seconds of work that a server can ask for.
const MOST_ITERATIONS: u32 = 10_000_000;

/// Random bytes in a nonce.
const NONCE: usize = 18;

/// No channel binding, and no other identity: what begins every message and is repeated, encoded,
/// in the last one.
const HEADER: &str = "n,,";

type HmacSha256 = Hmac<Sha256>;

/// The method `SCRAM-SHA-256`, for
/// [`ClientBuilder::authentication_method`](crate::ClientBuilder::authentication_method).
///
/// The server never learns the password, and has to prove that it knows what it was told when the
/// password was set: a server that cannot is not spoken to.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use mqtt_client_async::{Client, Scram};
///
/// let scram = Scram::sha256("meter-17", "correct horse")?;
/// let client = Client::builder("mqtts://localhost").authentication_method(scram).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Scram {
    /// Escaped.
    user_name: String,
    password: String,
}

impl Scram {
    /// Logs in as `user_name`, which `password` proves. Both are prepared as RFC 4013 says.
    ///
    /// # Errors
    ///
    /// [`ScramError::Text`] if one of them has characters that may not stand there.
    pub fn sha256(user_name: &str, password: &str) -> Result<Self, ScramError> {
        let user_name = stringprep::saslprep(user_name).map_err(|_| ScramError::Text)?;
        let password = stringprep::saslprep(password).map_err(|_| ScramError::Text)?;
        Ok(Self {
            user_name: user_name.replace('=', "=3D").replace(',', "=2C"),
            password: password.into_owned(),
        })
    }

    fn exchange(&self, nonce: String) -> Exchange {
        Exchange {
            first: format!("n={},r={nonce}", self.user_name),
            nonce,
            password: self.password.clone(),
            signature: None,
        }
    }
}

impl fmt::Debug for Scram {
    /// Never shows the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scram").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

/// Why SCRAM did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScramError {
    /// The user name or the password has characters that no password may have (RFC 4013).
    #[error("the user name or password has characters that SCRAM does not allow")]
    Text,
    /// No random numbers can be had.
    #[error("no random numbers can be had")]
    Random,
    /// What the server sent is no message of SCRAM, or none that may come now.
    #[error("the server does not speak SCRAM-SHA-256 as it should: {0}")]
    Malformed(&'static str),
    /// The server's nonce does not go with that of the client: somebody repeats an old exchange.
    #[error("the server answered another exchange than this one")]
    Nonce,
    /// The server wants the password to be hashed too seldom to be safe, or too often to be serious.
    #[error(
        "the server wants {0} iterations; from {FEWEST_ITERATIONS} to {MOST_ITERATIONS} are done"
    )]
    Iterations(u32),
    /// The server has said what is wrong.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The server does not know the password, nor what follows from it: it is not the one that it
    /// should be.
    #[error("the server could not prove that it knows the password; is it the right one?")]
    Signature,
}

impl From<ScramError> for AuthenticationError {
    fn from(error: ScramError) -> Self {
        Self::new(error)
    }
}

impl AuthenticationMethod for Scram {
    fn name(&self) -> &str {
        "SCRAM-SHA-256"
    }

    fn begin(&self) -> Result<Box<dyn AuthenticationExchange>, AuthenticationError> {
        let mut random = [0; NONCE];
        getrandom::fill(&mut random).map_err(|_| ScramError::Random)?;
        Ok(Box::new(self.exchange(Base64::encode_string(&random))))
    }
}

/// One exchange.
struct Exchange {
    /// The first message without its header.
    first: String,
    nonce: String,
    password: String,
    /// The signature that only a server knows that knows the password.
    signature: Option<HmacSha256>,
}

impl AuthenticationExchange for Exchange {
    fn first(&mut self) -> Result<Vec<u8>, AuthenticationError> {
        Ok(format!("{HEADER}{}", self.first).into_bytes())
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthenticationError> {
        if self.signature.is_some() {
            return Err(ScramError::Malformed("a second challenge").into());
        }
        let challenge = text(challenge)?;
        let mut parts = challenge.split(',');
        let mut part =
            |name: &str| parts.next().and_then(|it| it.strip_prefix(name)?.strip_prefix('='));
        let nonce = part("r").ok_or(ScramError::Malformed("no nonce"))?;
        let salt = part("s").ok_or(ScramError::Malformed("no salt"))?;
        let iterations = part("i").ok_or(ScramError::Malformed("no number of iterations"))?;
        if nonce.strip_prefix(&*self.nonce).is_none_or(str::is_empty) {
            return Err(ScramError::Nonce.into());
        }
        let salt = Base64::decode_vec(salt)
            .map_err(|_| ScramError::Malformed("a salt that is not base64"))?;
        let iterations = iterations
            .parse()
            .map_err(|_| ScramError::Malformed("iterations that are no number"))?;
        if !(FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(ScramError::Iterations(iterations).into());
        }
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted);

        let answer = format!("c={},r={nonce}", Base64::encode_string(HEADER.as_bytes()));
        let spoken = format!("{},{challenge},{answer}", self.first);
        let client_key = hashed(&salted, b"Client Key");
        let signed = hashed(&Sha256::digest(client_key), spoken.as_bytes());
        let mut proof = client_key;
        for (byte, sign) in proof.iter_mut().zip(signed) {
            *byte ^= sign;
        }
        self.signature = Some(keyed(&hashed(&salted, b"Server Key"), spoken.as_bytes()));
        Ok(format!("{answer},p={}", Base64::encode_string(&proof)).into_bytes())
    }

    fn finish(&mut self, last: &[u8]) -> Result<(), AuthenticationError> {
        let last = text(last)?;
        let last = last.split(',').next().unwrap_or_default();
        if let Some(refusal) = last.strip_prefix("e=") {
            return Err(ScramError::Refused(refusal.to_owned()).into());
        }
        let given =
            last.strip_prefix("v=").ok_or(ScramError::Malformed("no signature at the end"))?;
        let given = Base64::decode_vec(given)
            .map_err(|_| ScramError::Malformed("a signature that is not base64"))?;
        // Without a challenge there is nothing that the server could have signed.
        let signature =
            self.signature.take().ok_or(ScramError::Malformed("an end without a challenge"))?;
        signature.verify_slice(&given).map_err(|_| ScramError::Signature.into())
    }
}

fn text(data: &[u8]) -> Result<&str, ScramError> {
    str::from_utf8(data).map_err(|_| ScramError::Malformed("a message that is no text"))
}

/// HMAC with a key that fits into a block, which is padded with zeros.
fn keyed(key: &[u8], message: &[u8]) -> HmacSha256 {
    let mut block = [0; 64];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut mac = HmacSha256::new(&block.into());
    mac.update(message);
    mac
}

/// What HMAC makes of a message.
fn hashed(key: &[u8], message: &[u8]) -> [u8; 32] {
    keyed(key, message).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn exchange() -> Exchange {
        Scram::sha256("user", "pencil").unwrap().exchange(NONCE.to_owned())
    }

    fn answered() -> Exchange {
        let mut exchange = exchange();
        exchange.answer(CHALLENGE.as_bytes()).unwrap();
        exchange
    }

    #[test]
    fn the_example_of_rfc_7677_is_spoken_as_it_stands_there() {
        let mut exchange = exchange();
        assert_eq!(exchange.first().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = exchange.answer(CHALLENGE.as_bytes()).unwrap();
        assert_eq!(
            str::from_utf8(&answer).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        exchange.finish(LAST.as_bytes()).unwrap();
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let text = |result: Result<(), AuthenticationError>| result.unwrap_err().to_string();
        let other = LAST.replace("6rri", "7rri");
        assert!(text(answered().finish(other.as_bytes())).contains("could not prove"));
        assert!(text(answered().finish(b"")).contains("no signature"));
        assert!(text(answered().finish(b"v=6rri")).contains("could not prove"));
        assert!(text(answered().finish(b"e=invalid-proof")).contains("invalid-proof"));
        // Success without a challenge proves nothing.
        assert!(text(exchange().finish(LAST.as_bytes())).contains("without a challenge"));
    }

    #[test]
    fn a_challenge_that_is_not_for_this_exchange_or_makes_no_sense_is_not_answered() {
        let refused =
            |challenge: &str| exchange().answer(challenge.as_bytes()).unwrap_err().to_string();
        assert!(refused(&CHALLENGE.replace("r=rOp", "r=xOp")).contains("another exchange"));
        assert!(refused("r=rOprNGfwEbeRWgbNEkqO,s=QSXCR+Q6sek8bf92,i=4096").contains("another"));
        assert!(refused(&CHALLENGE.replace("4096", "4095")).contains("4095 iterations"));
        assert!(refused(&CHALLENGE.replace("4096", "10000001")).contains("10000001 iterations"));
        assert!(refused(&CHALLENGE.replace("4096", "many")).contains("no number"));
        assert!(refused(&CHALLENGE.replace("s=W", "s=!")).contains("not base64"));
        assert!(refused("m=ext,r=a,s=b,i=1").contains("no nonce"));
        assert!(exchange().answer(b"\xff").unwrap_err().to_string().contains("no text"));
        let second = answered().answer(CHALLENGE.as_bytes()).unwrap_err();
        assert!(second.to_string().contains("second challenge"));
    }

    #[test]
    fn names_are_prepared_and_escaped_and_nonces_differ() {
        let scram = Scram::sha256("a=b,c\u{ad}d", "pass\u{2168}").unwrap();
        assert_eq!((&*scram.user_name, &*scram.password), ("a=3Db=2Ccd", "passIX"));
        assert_eq!(Scram::sha256("a\u{7}", "b").unwrap_err(), ScramError::Text);
        let first = || scram.begin().unwrap().first().unwrap();
        assert_ne!(first(), first());
        assert!(!format!("{scram:?}").contains("passIX"));
    }
}
