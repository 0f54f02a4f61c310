//! A host name on the stack, or the names of one host.
#![forbid(unsafe_code)]

use underpass_core::wire::MAX_NAME;

/// At most [`MAX_NAME`] bytes; what is longer is no name, and empty.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; MAX_NAME],
    len: u8,
}

impl Name {
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut own = Self { bytes: [0; MAX_NAME], len: 0 };
        if let (Some(room), Ok(len)) = (own.bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            room.copy_from_slice(name);
            own.len = len;
        }
        own
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The first of the names, and the others with blanks between them.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        let all = self.as_bytes();
        match all.iter().position(|b| *b == b' ') {
            Some(blank) => {
                all.split_at_checked(blank).map_or((all, b""), |(first, rest)| (first, rest.trim_ascii()))
            }
            None => (all, b""),
        }
    }
}
