//! Signed requests and answers (RFC 8945).

use std::collections::BTreeMap;

use hickory_proto::{
    op::Message,
    rr::{
        Name, TSigResponseContext, TSigner,
        rdata::tsig::{TSIG, TsigError, make_tsig_record},
    },
};

/// How a request is signed.
pub(super) enum Signed {
    /// Not at all.
    Not,
    /// Well, with this key.
    By(Signature),
    /// Badly; this is the answer's record.
    Badly(Refused),
}

/// A good signature, to be answered.
pub(super) struct Signature {
    pub signer: TSigner,
    pub mac: Vec<u8>,
}

/// Why a signature is none.
pub(super) enum Refused {
    UnknownKey(Name),
    BadSignature(TSigner),
    BadTime { signature: Signature, theirs: u64 },
}

/// Checks the signature of a request.
pub(super) fn check(keys: &BTreeMap<Name, TSigner>, bytes: &[u8], message: &Message, now: u64) -> Signed {
    let Some(record) = message.signature() else { return Signed::Not };
    let known = keys.get(&record.name).filter(|key| *key.algorithm() == record.data.algorithm);
    let Some(signer) = known else { return Signed::Badly(Refused::UnknownKey(record.name.clone())) };
    match signer.verify_message_byte(bytes, None, true) {
        Err(_) => Signed::Badly(Refused::BadSignature(signer.clone())),
        Ok((mac, theirs, _)) => {
            let signature = Signature { signer: signer.clone(), mac };
            match theirs.abs_diff(now) > u64::from(record.data.fudge) {
                true => Signed::Badly(Refused::BadTime { signature, theirs }),
                false => Signed::By(signature),
            }
        }
    }
}

/// The bytes of an answer to a badly signed request.
pub(super) fn refuse(mut answer: Message, refused: Refused, now: u64) -> Option<Vec<u8>> {
    let id = answer.metadata.id;
    let unsigned = answer.to_vec().ok()?;
    let record = match refused {
        Refused::UnknownKey(name) => TSigResponseContext::unknown_key(id, now, name).sign(&unsigned).ok()?,
        Refused::BadSignature(signer) => {
            TSigResponseContext::bad_signature(id, now, signer).sign(&unsigned).ok()?
        }
        Refused::BadTime { signature: Signature { signer, mac }, theirs } => {
            // The record has the client's time, so that the client can check it, and the server's beside it.
            let other = now.to_be_bytes()[2..].to_vec();
            let algorithm = signer.algorithm().clone();
            let stub =
                TSIG::new(algorithm, theirs, signer.fudge(), Vec::new(), id, Some(TsigError::BadTime), other);
            let signed = signer.encode_response_tbs(&mac, &unsigned, &stub).ok()?;
            let mac = signer.sign(&signed).ok()?;
            Box::new(make_tsig_record(signer.signer_name().clone(), stub.set_mac(mac)))
        }
    };
    answer.set_signature(record);
    answer.to_vec().ok()
}

/// The bytes of answers to one request, each signed, and each bound to the one before.
pub(super) fn sign(answers: Vec<Message>, signature: Signature, now: u64) -> Option<Vec<Vec<u8>>> {
    let Signature { signer, mut mac } = signature;
    let mut signed = Vec::new();
    for (place, mut answer) in answers.into_iter().enumerate() {
        let unsigned = answer.to_vec().ok()?;
        let algorithm = signer.algorithm().clone();
        let stub =
            TSIG::new(algorithm, now, signer.fudge(), Vec::new(), answer.metadata.id, None, Vec::new());
        let to_sign = match place {
            0 => signer.encode_response_tbs(&mac, &unsigned, &stub).ok()?,
            // Of later answers only the times are signed beside the message (section 5.3.1).
            _ => [
                u16::try_from(mac.len()).ok()?.to_be_bytes().as_slice(),
                &mac,
                &unsigned,
                &now.to_be_bytes()[2..],
                &signer.fudge().to_be_bytes(),
            ]
            .concat(),
        };
        mac = signer.sign(&to_sign).ok()?;
        answer.set_signature(Box::new(make_tsig_record(
            signer.signer_name().clone(),
            stub.set_mac(mac.clone()),
        )));
        signed.push(answer.to_vec().ok()?);
    }
    Some(signed)
}
