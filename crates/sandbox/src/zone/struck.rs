//! What goes wrong on purpose at requests that come by a socket.

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::RecordType,
};

use super::zones::Zones;
use crate::parts::faults::{Point, Struck};

/// What goes wrong at a request: `query`, `update` or `transfer` of a name without its final dot.
pub(super) fn struck(zones: &Zones, request: &[u8]) -> Struck {
    let Some(faults) = zones.faults() else { return Struck::default() };
    let Ok(message) = Message::from_vec(request) else { return Struck::default() };
    let asked = message.queries.first();
    let operation = match (message.metadata.op_code, asked.map(|query| query.query_type())) {
        (OpCode::Update, _) => "update",
        (_, Some(RecordType::AXFR | RecordType::IXFR)) => "transfer",
        _ => "query",
    };
    let target = asked.map(|query| query.name().to_ascii().to_ascii_lowercase()).unwrap_or_default();
    faults.next(&Point { service: "dns", operation, target: target.trim_end_matches('.') })
}

/// A refusal in the words of DNS, which has one for all: the server could not do it. It is not signed, for nothing was
/// looked at.
pub(super) fn refused(request: &[u8]) -> Vec<Vec<u8>> {
    let Ok(message) = Message::from_vec(request) else { return Vec::new() };
    let mut refused =
        Message::error_msg(message.metadata.id, message.metadata.op_code, ResponseCode::ServFail);
    refused.queries = message.queries;
    refused.to_vec().into_iter().collect()
}
