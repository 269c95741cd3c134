//! Decoding with `simd-json`: the reference that the on-demand decoder is compared with.

use std::borrow::Cow;
use std::mem;

use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape};

use super::Fields;
use super::value::Value;
use crate::limits::{KEPT_SCRATCH_BYTES, MAX_FRAME_DEPTH};

/// Why a frame has no fields.
pub(super) enum NoFields {
    /// It is no JSON, or holds a value that cannot be converted.
    Unread,
    NotObject,
}

/// Its buffers are kept from frame to frame.
pub(super) struct Reference {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Reference {
    pub(super) fn new() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::with_max_depth(0, MAX_FRAME_DEPTH),
            tape: Tape(Vec::new()),
        }
    }

    /// Reads a frame and does something with the last `uid` and the last `ts` at its root.
    pub(super) fn read<T>(
        &mut self,
        frame: &[u8],
        fields: &Fields,
        and: impl FnOnce(Option<Value<'_>>, Option<Value<'_>>) -> T,
    ) -> Result<T, NoFields> {
        self.scratch.clear();
        self.scratch.extend_from_slice(frame);
        self.scratch.resize(frame.len() + INPUT_PADDING, b' ');
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(
            &mut self.scratch,
            frame.len(),
            &mut self.buffers,
            &mut tape,
        );
        let result = match parsed {
            Ok(()) => {
                root_fields(&tape.0, fields).map(|(uid, ts)| and(uid.map(value), ts.map(value)))
            }
            Err(_) => Err(NoFields::Unread),
        };
        self.tape = tape.reset();
        if self.scratch.capacity() > KEPT_SCRATCH_BYTES {
            *self = Self::new();
        }
        result
    }
}

type RootFields<'t> = (Option<&'t Node<'t>>, Option<&'t Node<'t>>);

/// Finds `uid` and `ts` at the root; of a duplicate key the last one wins, as in most JSON readers.
fn root_fields<'t>(tape: &'t [Node<'t>], fields: &Fields) -> Result<RootFields<'t>, NoFields> {
    let Some(Node::Object { len, .. }) = tape.first() else {
        return Err(NoFields::NotObject);
    };
    let (mut uid, mut ts) = (None, None);
    let mut at = 1;
    for _ in 0..*len {
        let (Some(Node::String(key)), Some(value)) = (tape.get(at), tape.get(at + 1)) else {
            // The tape's own invariant: keys and values alternate. Refusing the frame beats a panic.
            return Err(NoFields::Unread);
        };
        if *key == fields.uid {
            uid = Some(value);
        }
        if *key == fields.ts {
            ts = Some(value);
        }
        at += match value {
            Node::Object { count, .. } | Node::Array { count, .. } => 2 + count,
            Node::String(_) | Node::Static(_) => 2,
        };
    }
    Ok((uid, ts))
}

fn value<'t>(node: &'t Node<'t>) -> Value<'t> {
    match node {
        Node::String(text) => Value::Text(text.as_bytes()),
        Node::Static(StaticNode::I64(n)) => Value::Integer {
            digits: Cow::Owned(n.to_string().into_bytes()),
            count: u64::try_from(*n).ok(),
        },
        Node::Static(StaticNode::U64(n)) => Value::Integer {
            digits: Cow::Owned(n.to_string().into_bytes()),
            count: Some(*n),
        },
        Node::Static(StaticNode::F64(n)) => Value::Float(*n),
        Node::Static(StaticNode::Null) => Value::Null,
        _ => Value::Other,
    }
}
