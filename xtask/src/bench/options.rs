//! What the comparisons with others are asked: which rows, of whom, how often and where.

use std::num::NonZeroUsize;

use crate::{args::Args, error::Error};

/// What the arguments choose.
#[derive(Debug)]
pub(super) struct Options<R: 'static, P: 'static> {
    pub(super) rows: Vec<&'static R>,
    pub(super) peers: Vec<&'static P>,
    pub(super) rounds: usize,
    pub(super) quick: bool,
    pub(super) json: Option<String>,
    /// The core of the load, and the core of what is measured.
    pub(super) cores: (usize, usize),
    pub(super) list: bool,
}

/// What a list in the arguments names.
#[derive(Debug)]
pub(super) struct Choice<T: 'static> {
    /// The word behind the two dashes.
    pub(super) what: &'static str,
    pub(super) all: &'static [T],
    pub(super) name: fn(&T) -> &'static str,
}

impl<R, P> Options<R, P> {
    /// Takes the arguments that all comparisons have.
    pub(super) fn take(
        args: &mut Args,
        rows: &Choice<R>,
        peers: &Choice<P>,
    ) -> Result<Self, Error> {
        let quick = args.flag("--quick");
        let rounds = args.value("--rounds")?.map(NonZeroUsize::get);
        Ok(Self {
            rows: rows.take(args)?,
            peers: peers.take(args)?,
            rounds: rounds.unwrap_or(if quick { 1 } else { 3 }),
            quick,
            json: args.value("--json")?,
            cores: args.value("--cores")?.map_or(Ok((0, 1)), two_numbers)?,
            list: args.flag("--list"),
        })
    }
}

impl<T> Choice<T> {
    /// The items that a comma-separated list names, in the order of the table; all without one.
    fn take(&self, args: &mut Args) -> Result<Vec<&'static T>, Error> {
        let Self { what, all, name } = self;
        let Some(list) = args.value::<String>(&format!("--{what}"))? else {
            return Ok(all.iter().collect());
        };
        let wanted: Vec<_> = list.split(',').collect();
        for wanted in &wanted {
            if !all.iter().any(|item| name(item) == *wanted) {
                let names = all.iter().map(name).collect::<Vec<_>>().join(", ");
                return Err(Error::new(format!("there is no {what} {wanted}; there are {names}")));
            }
        }
        Ok(all.iter().filter(|item| wanted.contains(&name(item))).collect())
    }
}

fn two_numbers(text: String) -> Result<(usize, usize), Error> {
    text.split_once(',')
        .and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)))
        .ok_or_else(|| Error::new(format!("--cores {text}: that is not two numbers, such as 0,1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(line: &str) -> Result<Options<&'static str, &'static str>, Error> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let mut args = Args::new(&args);
        let rows = Choice { what: "row", all: &["one", "two", "three"], name: |row| *row };
        let peers = Choice { what: "broker", all: &["ours", "theirs"], name: |peer| *peer };
        let options = Options::take(&mut args, &rows, &peers)?;
        args.finish().map(|()| options)
    }

    #[test]
    fn without_options_everything_is_measured_in_three_rounds() {
        let options = take("").unwrap();
        assert_eq!((options.rows.len(), options.peers.len()), (3, 2));
        assert_eq!((options.rounds, options.quick, options.cores), (3, false, (0, 1)));
    }

    #[test]
    fn a_list_chooses_in_the_order_of_the_table() {
        let options = take("--row three,one --broker theirs --quick --cores 3,2").unwrap();
        assert_eq!(options.rows, [&"one", &"three"]);
        assert_eq!(options.peers, [&"theirs"]);
        assert_eq!((options.rounds, options.cores), (1, (3, 2)));
        assert_eq!(take("--quick --rounds 2").unwrap().rounds, 2);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = take("--row nothing").unwrap_err().to_string();
        assert!(error.contains("one, two, three"), "{error}");
        for wrong in
            ["--rounds", "--rounds many", "--rounds 0", "--cores 1", "--cores a,b", "--fast"]
        {
            assert!(take(wrong).is_err(), "{wrong}");
        }
    }
}
