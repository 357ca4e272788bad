//! The codec from outside, through its public interface alone. One binary, one module a question.

#[cfg(test)]
mod fragments;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod known_answers;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refused_encoding;
#[cfg(test)]
mod round_trip;
#[cfg(all(test, feature = "serde"))]
mod serde_forms;
#[cfg(test)]
mod shrink;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod vectors;
