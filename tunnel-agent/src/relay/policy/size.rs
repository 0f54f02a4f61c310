//! Numbers of bytes: `4096`, `64K`, `10M`, `1G`, `2T`, in powers of 1024, as curl has them.

use std::str::FromStr;

/// A number of bytes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a number of bytes: write 4096, 64K, 10M, 1G or 2T";
        let last = text.bytes().last().ok_or(WRONG)?;
        let shift = match last.to_ascii_uppercase() {
            b'K' => 10,
            b'M' => 20,
            b'G' => 30,
            b'T' => 40,
            _ => 0,
        };
        let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
        let number: u64 = digits.parse().map_err(|_| WRONG)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let size = number.checked_mul(1 << shift).filter(|size| *size > 0 && plain);
        size.map(Self).ok_or(WRONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_digits_and_a_letter() {
        for (text, size) in [("1", 1), ("4096", 4096), ("64k", 65536), ("10M", 10 << 20), ("1G", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Size(size)), "{text}");
        }
        for text in ["", "0", "0K", "K", "-1", "+1", "1.5M", "1 M", "1MB", "1é", "99999999T", "1KK"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
