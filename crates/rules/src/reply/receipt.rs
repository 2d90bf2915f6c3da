//! Receipts: the signed operation ids in status URLs.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{OperationId, Problem, ProblemType, ResourceId};

const ID_BYTES: usize = 16;
const MAC_BYTES: usize = 12;

/// The key that signs receipts.
///
/// A receipt is not a password: the API's authorizer decides who may ask. Without the signature, a
/// forged status URL would be answered with `pending`.
#[derive(Clone)]
pub struct ReceiptKey(Hmac<Sha256>);

impl ReceiptKey {
    /// Minimum length of a key in bytes: that of the output of SHA-256.
    pub const MIN_BYTES: usize = 32;

    /// The key with these bytes; `None` if there are fewer than [`Self::MIN_BYTES`].
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < Self::MIN_BYTES {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    /// `base64url(id ‖ HMAC-SHA256(key, resource ‖ id) cut to 12 bytes)`, 38 characters.
    #[must_use]
    pub fn sign(&self, resource: &ResourceId, id: OperationId) -> String {
        let mac = self.mac(resource, id).finalize().into_bytes();
        let mut receipt = id.to_bytes().to_vec();
        receipt.extend_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(receipt)
    }

    /// The operation id of a receipt that this key signed for `resource`.
    #[must_use]
    pub fn verify(&self, resource: &ResourceId, receipt: &str) -> Option<OperationId> {
        let bytes = URL_SAFE_NO_PAD.decode(receipt).ok()?;
        let (id, mac) = bytes.split_first_chunk::<ID_BYTES>()?;
        let id = OperationId::from_bytes(*id)?;
        let is_whole = mac.len() == MAC_BYTES;
        (is_whole && self.mac(resource, id).verify_truncated_left(mac).is_ok()).then_some(id)
    }

    /// The operation id has a fixed length, so no two pairs of ids give the MAC the same bytes.
    fn mac(&self, resource: &ResourceId, id: OperationId) -> Hmac<Sha256> {
        self.0.clone().chain_update(resource.as_str()).chain_update(id.to_bytes())
    }
}

/// The keys of this service.
#[derive(Clone, Debug)]
pub struct ReceiptKeys {
    /// The key that signs.
    pub current: ReceiptKey,
    /// The next or the previous signing key: its receipts are genuine too.
    pub other: Option<ReceiptKey>,
}

impl ReceiptKeys {
    /// The receipt of an operation, signed with the current key.
    #[must_use]
    pub fn sign(&self, resource: &ResourceId, id: OperationId) -> String {
        self.current.sign(resource, id)
    }

    /// The operation id of a receipt that one of the keys signed for `resource`.
    ///
    /// # Errors
    /// [`ProblemType::OperationNotFound`]
    pub fn verify(&self, resource: &ResourceId, receipt: &str) -> Result<OperationId, Problem> {
        let mut keys = std::iter::once(&self.current).chain(&self.other);
        keys.find_map(|key| key.verify(resource, receipt)).ok_or_else(|| {
            let detail = "This receipt was not issued for this resource; use the URL in the Location of a 202.";
            Problem::new(ProblemType::OperationNotFound, detail).field("path.receipt")
        })
    }
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiptKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;
    use proptest::prelude::*;
    use std::time::Duration;

    fn key(byte: u8) -> ReceiptKey {
        ReceiptKey::new(&[byte; 32]).unwrap()
    }

    fn id(random: u64) -> OperationId {
        OperationId::new(Tick::from_unix(Duration::from_secs(1_700_000_000)), random)
    }

    #[test]
    fn short_keys_are_refused() {
        assert!(ReceiptKey::new(&[0; 31]).is_none());
    }

    #[test]
    fn a_receipt_is_for_one_resource_and_one_key() {
        let resource = ResourceId::new("42").unwrap();
        let receipt = key(1).sign(&resource, id(7));
        assert_eq!(receipt.len(), 38);
        assert_eq!(key(1).verify(&resource, &receipt), Some(id(7)));
        assert_eq!(key(2).verify(&resource, &receipt), None);
        assert_eq!(key(1).verify(&ResourceId::new("43").unwrap(), &receipt), None);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_receipt(random: u64, at in 0..38usize, to in "[A-Za-z0-9_=+/.~-]") {
            let resource = ResourceId::new("42").unwrap();
            let receipt = key(1).sign(&resource, id(random));
            let mut changed = receipt.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != receipt);
            prop_assert_eq!(key(1).verify(&resource, &changed), None);
            prop_assert_eq!(key(1).verify(&resource, &receipt[..at]), None);
            prop_assert_eq!(key(1).verify(&resource, &(receipt + &to)), None);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            prop_assert_eq!(key(1).verify(&ResourceId::new("42").unwrap(), &text), None);
        }
    }
}
