//! Decisions on their way to the broker.

use mqtt_session::{ConnectAnswer, ConnectRefusal, ConnectRequest};

use super::Driver;
use crate::access::Answer;

impl Driver {
    /// Tells the broker what was decided.
    pub(super) fn answer(&mut self, answer: Answer) {
        let now = self.now;
        match answer {
            Answer::Connect(request, answer) => {
                if let ConnectAnswer::Refuse(refusal) = &answer {
                    log_refusal(&request, refusal);
                }
                self.broker.answer_connect(now, *request, answer);
            }
            Answer::Authenticate(request, answer) => {
                self.broker.answer_authenticate(now, request, answer);
            }
            Answer::Publish(request, answer) => self.broker.answer_publish(now, request, answer),
            Answer::Subscribe(request) => self.broker.answer_subscribe(now, request),
            Answer::Read(request, allowed) => self.broker.answer_read(now, request, allowed),
        }
    }
}

/// The line that tools which watch the log look for; the book promises its words.
fn log_refusal(request: &ConnectRequest, refusal: &ConnectRefusal) {
    let peer = request.peer().address.map(|address| address.ip().to_canonical());
    tracing::warn!(
        address = peer.map(tracing::field::display),
        reason = format_args!("{:#04x}", u8::from(refusal.reason)),
        // The debug form escapes what a client may have put into its names.
        user = request.user_name().map(tracing::field::debug),
        client_id = ?request.client_id(),
        "authentication failed"
    );
}
