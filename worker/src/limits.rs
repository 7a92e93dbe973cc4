//! Limits of tasks' processes (`getrlimit(2)`). The standard library sets none between fork and exec without unsafe code, and
//! afterwards is too late: on a busy machine the process has long begun. So a process with limits is started by way of this same
//! program, which sets them for itself and then becomes the task's. That costs one exec more, and nothing where no limit is chosen.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The hidden first argument by which this program becomes another one.
pub const STARTER: &str = "__start";
/// What a shell answers for a program that cannot be executed.
const NOT_EXECUTED: u8 = 126;

/// The names, and whether the value is a size in bytes.
const NAMES: [(&str, Resource, bool); 6] = [
    ("core", Resource::Core, true),
    ("cpu-seconds", Resource::Cpu, false),
    ("file-size", Resource::Fsize, true),
    ("memory", Resource::As, true),
    ("open-files", Resource::Nofile, false),
    ("processes", Resource::Nproc, false),
];

/// The limits of each process, as they were written and found good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    entries: Vec<String>,
}

impl Limits {
    /// Takes `memory=4GiB`, `processes=200` and the like, one an entry; of two of one name the later one counts.
    ///
    /// # Errors
    /// In words: an entry that is none, with what is expected.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let entries: Vec<String> = entries.into_iter().map(|entry| entry.trim().to_owned()).collect();
        entries.iter().try_for_each(|entry| limit(entry).map(drop))?;
        Ok(Self { entries })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What this program is called with to become `program` within these limits.
    pub(crate) fn arguments<'a>(&self, program: &'a Path, argv: &'a [String]) -> Vec<OsString> {
        let head = [OsString::from(STARTER), self.entries.join(",").into(), program.into()];
        head.into_iter().chain(argv.iter().map(OsString::from)).collect()
    }
}

/// Becomes another program within limits: `LIMITS PROGRAM NAME ARGUMENT...`. Returns only if that cannot be done.
pub fn starter_main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(limits), Some(program), Some(name)) = (args.next(), args.next(), args.next()) else {
        return say("the starter is called by a worker, never by hand");
    };
    for entry in limits.to_string_lossy().split(',') {
        let set = limit(entry)
            .and_then(|(resource, value)| set(resource, value).map_err(|error| error.to_string()));
        if let Err(why) = set {
            return say(&format!("the limit {entry} cannot be set: {why}"));
        }
    }
    let error = Command::new(&program).arg0(&name).args(args).exec();
    say(&format!("cannot start {}: {error}", OsStr::new(&program).display()))
}

fn say(words: &str) -> ExitCode {
    // It stands in the task's log, unless nobody reads that.
    let _unheard = writeln!(io::stderr(), "rota: {words}");
    ExitCode::from(NOT_EXECUTED)
}

/// Nobody can raise what is hard already.
fn set(resource: Resource, value: u64) -> io::Result<()> {
    let value = getrlimit(resource).maximum.map_or(value, |most| value.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// One entry.
fn limit(entry: &str) -> Result<(Resource, u64), String> {
    let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
    let known = NAMES.iter().find(|(known, ..)| *known == name.trim());
    let Some((_, resource, is_size)) = known else {
        let names: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
        return Err(format!("`{}` is no limit; there are {}", name.trim(), names.join(", ")));
    };
    let value = number(value.trim(), *is_size).ok_or_else(|| {
        let form = if *is_size { "a size such as 512MiB or 4GiB" } else { "a whole number" };
        format!("`{entry}`: expected {form}")
    })?;
    Ok((*resource, value))
}

/// A whole number, of bytes with a unit where it is a size.
fn number(text: &str, is_size: bool) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start() {
        "" => 1,
        _ if !is_size => return None,
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units() {
        assert_eq!(limit("memory=2GiB"), Ok((Resource::As, 2 << 30)));
        assert_eq!(limit("file-size= 1 MiB"), Ok((Resource::Fsize, 1 << 20)));
        assert_eq!(limit("core=0"), Ok((Resource::Core, 0)));
        assert_eq!(limit("processes= 200"), Ok((Resource::Nproc, 200)));
    }

    #[test]
    fn a_program_is_called_by_its_name_with_its_arguments() {
        let limits = Limits::parse(["core=0", " memory=1GiB"]).unwrap();
        let argv = ["sh".to_owned(), "-c".to_owned(), "--help".to_owned()];
        let arguments = limits.arguments(Path::new("/bin/sh"), &argv);
        assert_eq!(arguments, ["__start", "core=0,memory=1GiB", "/bin/sh", "sh", "-c", "--help"]);
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_is() {
        for (entry, said) in [
            ("ram=1GiB", "`ram` is no limit; there are core, cpu-seconds, file-size, memory"),
            ("memory", "`memory`: expected a size"),
            ("memory=-1", "`memory=-1`: expected a size"),
            ("memory=1GB", "expected a size"),
            ("processes=1KiB", "expected a whole number"),
            ("memory=99999999999999TiB", "expected a size"),
            ("", "`` is no limit"),
        ] {
            let error = Limits::parse([entry]).unwrap_err();
            assert!(error.contains(said), "{entry}: {error}");
        }
    }
}
