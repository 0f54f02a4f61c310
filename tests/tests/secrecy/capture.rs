//! What goes over a cable, whole.

use std::path::PathBuf;

use underpass_tests::{Running, artifacts};

use crate::line::Line;

/// A cable that is watched.
pub(crate) struct Capture {
    process: Running,
    file: PathBuf,
}

/// What went over it.
pub(crate) struct Captured(Vec<Vec<u8>>);

/// A segment of TCP over IPv4.
pub(crate) struct Segment<'a> {
    pub(crate) hosts: [[u8; 4]; 2],
    pub(crate) ports: [u16; 2],
    pub(crate) payload: &'a [u8],
}

impl Capture {
    /// Watches a cable of the line from its left end.
    pub(crate) fn new(line: &Line, cable: usize) -> Self {
        let file = line.world.directory().join(format!("cable-{cable}"));
        let script = artifacts::workspace().join("tests/programs/capture.py");
        let python = line.left_of(cable, "/usr/bin/python3").arg(script).arg("right").arg(&file);
        let mut process = python.limit(std::time::Duration::MAX).spawn();
        assert_eq!(process.next_line(), "captures");
        Self { process, file }
    }

    /// All of it so far; nothing was lost.
    pub(crate) fn end(mut self) -> Captured {
        self.process.close_input();
        let said = self.process.next_line();
        let bytes = std::fs::read(&self.file).expect("it was written");
        let mut rest = bytes.as_slice();
        let mut frames = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            frames.push(frame.to_vec());
            rest = after;
        }
        assert_eq!(said, format!("{} frames, 0 lost", frames.len()));
        Captured(frames)
    }
}

impl Captured {
    /// Whether the bytes are anywhere in it.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|frame| frame.windows(bytes.len()).any(|window| window == bytes))
    }

    /// All segments. Whatever else there is but ARP, which the kernel speaks, is a failure.
    pub(crate) fn segments(&self) -> Vec<Segment<'_>> {
        let frames = self.0.iter().filter(|frame| frame[12..14] != [8, 6]);
        frames
            .map(|frame| Segment::read(frame).unwrap_or_else(|| panic!("what is this? {frame:x?}")))
            .collect()
    }
}

impl<'a> Segment<'a> {
    fn read(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, ip) = frame.split_at_checked(14)?;
        if ethernet[12..] != [8, 0] || ip.len() < 40 || ip[9] != 6 {
            return None;
        }
        let tcp = &ip[usize::from(ip[0] & 15) * 4..];
        let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let header = usize::from(tcp[12] >> 4) * 4;
        let payload = ip.get(..length)?.get(ip.len() - tcp.len() + header..)?;
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let host = |at: usize| ip[at..at + 4].try_into().expect("four bytes");
        Some(Self { hosts: [host(12), host(16)], ports: [port(0), port(2)], payload })
    }
}
