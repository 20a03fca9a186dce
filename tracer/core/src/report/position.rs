//! A position in the WAL, as PostgreSQL writes it.

/// Its number; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let [high, low] = [high, low].map(|half| u32::from_str_radix(half, 16).ok());
    Some((u64::from(high?) << 32) | u64::from(low?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_two_numbers() {
        assert_eq!(parse("0/3002208"), Some(0x0300_2208));
        assert_eq!(parse("1A/FF"), Some(0x1a_0000_00ff));
        for none in ["", "3002208", "0/", "x/1", "1/2/3", "100000000/0"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
