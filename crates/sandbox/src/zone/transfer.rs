//! Transfers of a whole zone (RFC 5936).

use hickory_proto::{op::Message, serialize::binary::BinEncodable};

use super::data::Data;

/// How many bytes of records one message of a transfer may have. Names are not written shorter when counting, so that
/// the message with its signature always fits into the 65,535 bytes of TCP.
const BYTES: usize = 32_000;

/// The messages of a transfer: from the SOA record to the SOA record.
pub(super) fn messages(zone: &Data, first: Message) -> Vec<Message> {
    let soa = zone.soa_record();
    let mut later = Message::response(first.metadata.id, first.metadata.op_code);
    later.metadata = first.metadata;
    let mut messages = Vec::new();
    let mut message = first;
    let mut bytes = 0;
    for record in std::iter::once(soa.clone()).chain(zone.records()).chain([soa]) {
        let length = record.to_bytes().map_or(0, |bytes| bytes.len());
        if bytes > 0 && bytes + length > BYTES {
            messages.push(std::mem::replace(&mut message, later.clone()));
            bytes = 0;
        }
        bytes += length;
        message.add_answer(record);
    }
    messages.push(message);
    messages
}
