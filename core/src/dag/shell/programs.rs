//! Programs that read an argument as code: shells with `-c`, `ssh`, interpreters, `eval`. No quoting for the shell that
//! starts them makes a value data there, so such values get a remark. Words are looked at one by one, by name only: a
//! program that a script starts under another name is not seen.

/// What makes an argument code.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// The word after one of these options, or what is joined to it.
    Option(&'static [&'static str]),
    /// The same before the first word that is no option: a file with the code.
    OptionOrFile(&'static [&'static str]),
    /// The word after a group of letters that holds `c`, as shells have it.
    Letter,
    /// The first word that is no option.
    First,
    /// Every word behind the host.
    BehindHost,
    /// Every word.
    All,
}

const PROGRAMS: [(&[&str], Takes); 12] = [
    (&["sh", "bash", "dash", "ash", "zsh", "ksh", "fish"], Takes::Letter),
    (&["su", "runuser"], Takes::Option(&["-c", "--command", "--session-command"])),
    (&["python", "python2", "python3"], Takes::OptionOrFile(&["-c"])),
    (&["perl"], Takes::OptionOrFile(&["-e", "-E"])),
    (&["ruby"], Takes::OptionOrFile(&["-e"])),
    (&["node"], Takes::OptionOrFile(&["-e", "--eval", "-p", "--print"])),
    (&["php"], Takes::OptionOrFile(&["-r"])),
    (&["psql"], Takes::Option(&["-c", "--command"])),
    (&["mysql", "mariadb"], Takes::Option(&["-e", "--execute"])),
    (&["awk", "gawk", "mawk"], Takes::First),
    (&["ssh"], Takes::BehindHost),
    (&["xargs"], Takes::All),
];

/// Commands of the shell itself that read their arguments as code.
const BUILTINS: [&str; 5] = ["eval", "trap", "alias", "source", "."];

/// Options of ssh that take the next word.
const SSH_OPTIONS: &str = "BbcDEeFIiJLlmOopQRSWw";

/// How far the words of one command were read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Program {
    /// The last program of the table that was named, and how it takes code.
    known: Option<(&'static str, Takes)>,
    next: Next,
}

/// What the next word is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Any,
    /// What the option before it takes.
    OptionValue,
    Code,
}

impl Program {
    /// The program that would read as code what is placed into a word that begins with `so_far`.
    pub(super) fn reads_as_code(&self, so_far: &str) -> Option<&'static str> {
        let (name, takes) = self.known?;
        let is_code = match takes {
            _ if self.next == Next::Code => true,
            _ if self.next == Next::OptionValue => false,
            Takes::All => true,
            Takes::First => !so_far.starts_with('-'),
            Takes::Option(options) | Takes::OptionOrFile(options) => {
                options.iter().any(|option| so_far.starts_with(option))
            }
            Takes::Letter | Takes::BehindHost => false,
        };
        is_code.then_some(name)
    }

    /// The program, if it reads its standard input as code now.
    pub(super) fn reads_input(&self) -> Option<&'static str> {
        let (name, takes) = self.known?;
        match takes {
            Takes::Letter | Takes::BehindHost | Takes::Option(_) | Takes::OptionOrFile(_) => Some(name),
            Takes::First | Takes::All => None,
        }
    }

    /// Goes on behind a word where a command's name is expected.
    pub(super) fn name(&mut self, text: &str) {
        match BUILTINS.iter().find(|name| **name == text) {
            Some(name) => self.known = Some((name, Takes::All)),
            None => self.word(text),
        }
    }

    /// Goes on behind a complete word.
    pub(super) fn word(&mut self, text: &str) {
        let was = std::mem::take(&mut self.next);
        let base = text.rsplit('/').next().unwrap_or(text);
        let named = PROGRAMS
            .iter()
            .find_map(|(names, takes)| names.iter().find(|name| **name == base).map(|name| (*name, *takes)));
        match self.known {
            // What follows the code is given to it as plain words.
            Some((_, Takes::Letter | Takes::Option(_) | Takes::OptionOrFile(_))) if was == Next::Code => {
                self.known = None;
            }
            Some((_, Takes::BehindHost)) if was == Next::Code => self.next = Next::Code,
            _ if was == Next::OptionValue => {}
            Some((_, takes)) if !matches!(takes, Takes::All) || named.is_none() => {
                self.next = following(takes, text);
                if !text.starts_with('-')
                    && matches!(takes, Takes::Letter | Takes::First | Takes::OptionOrFile(_))
                {
                    // A script's file or the program's text: what follows is for it. It may name a program again.
                    self.known = named;
                }
            }
            _ => self.known = named.or(self.known),
        }
    }
}

/// What an option or a word of a program says about the next one.
fn following(takes: Takes, text: &str) -> Next {
    let letters = text.strip_prefix('-').filter(|rest| !rest.is_empty() && !rest.starts_with('-'));
    match takes {
        Takes::Option(options) | Takes::OptionOrFile(options) if options.contains(&text) => Next::Code,
        // Of awk.
        Takes::First if matches!(text, "-v" | "-f" | "-F") => Next::OptionValue,
        Takes::Letter => match letters {
            Some(letters) if letters.contains('c') && !letters.ends_with(['o', 'O']) => Next::Code,
            Some(letters) if letters.ends_with(['o', 'O']) => Next::OptionValue,
            Some(_) | None => Next::Any,
        },
        Takes::BehindHost => match letters {
            Some(letters) if letters.len() == 1 && SSH_OPTIONS.contains(letters) => Next::OptionValue,
            Some(_) => Next::Any,
            None => Next::Code,
        },
        Takes::Option(_) | Takes::OptionOrFile(_) | Takes::First | Takes::All => Next::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the words, from 0, that are read as code.
    fn code(command: &str) -> Vec<usize> {
        let mut program = Program::default();
        let mut found = Vec::new();
        for (no, word) in command.split(' ').enumerate() {
            // A value stands at `@`.
            let so_far = word.split('@').next().unwrap_or_default();
            if word.contains('@') && program.reads_as_code(so_far).is_some() {
                found.push(no);
            }
            if no == 0 { program.name(word) } else { program.word(word) }
        }
        found
    }

    #[test]
    fn arguments_that_are_code_are_told_from_those_that_are_data() {
        let cases: [(&str, &[usize]); 20] = [
            ("bash -c @ @", &[2]),
            ("/bin/sh -euc @ sh @", &[2]),
            ("bash -euo pipefail -c @ x @", &[4]),
            ("bash @ @", &[]),
            ("bash ./script.sh -c @", &[]),
            ("sudo -u x bash -c @", &[5]),
            ("find / -name @ -exec sh -c @ sh @", &[7]),
            ("su app -c @", &[3]),
            ("xargs -n 1 @", &[3]),
            ("xargs sh -c @ sh", &[3]),
            ("ssh @ uptime", &[]),
            ("ssh -p 22 -i @ host ls @", &[7]),
            ("ssh host @ @", &[2, 3]),
            ("eval @ @", &[1, 2]),
            ("python3 -c @ @", &[2]),
            ("python3 load.py -c @", &[]),
            ("psql --command=@ db", &[1]),
            ("awk -v x=@ @", &[3]),
            ("echo eval @ bash", &[]),
            ("env A=@ perl -e@", &[3]),
        ];
        for (command, expected) in cases {
            assert_eq!(code(command), expected, "{command}");
        }
    }
}
