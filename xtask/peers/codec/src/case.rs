//! The packets that are measured: `codec.hex`, a line each of name, number of packets and bytes.

const CASES: &str = include_str!("../codec.hex");

/// One line of the file.
#[derive(Debug)]
pub struct Case {
    /// How many packets the bytes are.
    pub packets: usize,
    /// The packets, one behind the other.
    pub bytes: Vec<u8>,
}

impl Case {
    /// The case with this name.
    ///
    /// # Errors
    ///
    /// A text if there is none, or if its line is damaged.
    pub fn named(name: &str) -> Result<Self, String> {
        let line = CASES
            .lines()
            .find(|line| line.split(' ').next() == Some(name))
            .ok_or_else(|| format!("there is no case {name}"))?;
        let mut words = line.split(' ').skip(1);
        let packets = words.next().and_then(|word| word.parse().ok());
        let bytes = words.next().and_then(bytes_of_hex);
        match (packets, bytes) {
            (Some(packets), Some(bytes)) => Ok(Self { packets, bytes }),
            _ => Err(format!("the line of {name} is damaged")),
        }
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high << 4 | low).ok(),
            _ => None,
        })
        .collect()
}
