//! Options of a bench, as `--rows 1_000_000`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Result;

/// Numbers by name, and where the plot goes.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    numbers: BTreeMap<&'static str, u64>,
    /// Written only when asked for, so that a quick try does not replace the plot that is kept.
    pub(crate) plot: Option<PathBuf>,
}

impl Options {
    /// Reads the command line. Each option that a bench knows has a default.
    pub(crate) fn read(defaults: &[(&'static str, u64)]) -> Result<Self> {
        Self::from(defaults, std::env::args().skip(1))
    }

    fn from(
        defaults: &[(&'static str, u64)],
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self> {
        let mut options = Self {
            numbers: defaults.iter().copied().collect(),
            plot: None,
        };
        while let Some(argument) = arguments.next() {
            // Added by `cargo bench`.
            if argument == "--bench" {
                continue;
            }
            let name = argument.trim_start_matches("--");
            if name == "plot" {
                options.plot = Some(arguments.next().ok_or("--plot: give a file")?.into());
            } else if let Some(number) = options.numbers.get_mut(name) {
                let value = arguments.next().unwrap_or_default();
                *number = match value.replace('_', "").parse() {
                    Ok(value) if value > 0 => value,
                    _ => {
                        return Err(format!(
                            "{argument}: give a whole number above 0, not `{value}`"
                        )
                        .into());
                    }
                };
            } else {
                let known: Vec<_> = defaults
                    .iter()
                    .map(|(name, value)| format!("--{name} {value}"))
                    .collect();
                return Err(format!(
                    "{argument}: not known; there are, with their defaults: {} --plot (none)",
                    known.join(" ")
                )
                .into());
            }
        }
        Ok(options)
    }

    /// The number of one of the bench's options.
    pub(crate) fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<T> {
        let number = *self.numbers.get(name).ok_or(format!("no option {name}"))?;
        T::try_from(number).map_err(|_| format!("--{name}: {number} is too large").into())
    }
}
