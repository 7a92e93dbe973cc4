//! Scripts that need no shell: one program with plain arguments. A shell would do nothing but replace itself with that
//! program, at the price of its own start, which for a short command is most of the time it takes.

/// What bash and sh do themselves, by name. `true` and `false` are left out: the programs of these names do the same.
const BUILTINS: &[&str] = &[
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
];

/// The words of a script that is one command of plain words: letters, digits and `_./:@%+,=-`, or texts in single quotes.
/// `None` if anything in it might mean more to a shell than itself.
pub fn plain_command(script: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = script.trim();
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_start_matches([' ', '\t']);
    }
    let program: &String = words.first()?;
    let is_itself = !program.is_empty() && !program.contains('=') && !program.starts_with('-');
    (is_itself && !BUILTINS.contains(&program.as_str())).then_some(words)
}

/// The first word of a text that begins with one, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (inside, after) = quoted.split_once('\'')?;
            word.push_str(inside);
            rest = after;
            continue;
        }
        let end = rest.find(|sign| !is_plain(sign)).unwrap_or(rest.len());
        word.push_str(&rest[..end]);
        rest = &rest[end..];
        match rest.chars().next() {
            None | Some(' ' | '\t') => return Some((word, rest)),
            Some('\'') => {}
            Some(_) => return None,
        }
    }
}

fn is_plain(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "_./:@%+,=-".contains(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_are_a_command() {
        let cases: [(&str, &[&str]); 5] = [
            ("true", &["true"]),
            (" ./extract.sh --day 2026-11-20 \n", &["./extract.sh", "--day", "2026-11-20"]),
            ("python3 -m etl 'a b' ''", &["python3", "-m", "etl", "a b", ""]),
            ("cp x'y z'w /tmp/a=b", &["cp", "xy zw", "/tmp/a=b"]),
            ("'./my script' '$(id)'", &["./my script", "$(id)"]),
        ];
        for (script, words) in cases {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(plain_command(script), Some(words), "{script}");
        }
    }

    #[test]
    fn whatever_a_shell_might_read_otherwise_is_left_to_it() {
        let scripts = [
            "",
            "cd /tmp",
            "echo hi",
            "A=1 env",
            "true; false",
            "true && x",
            "a | b",
            "a > b",
            "a &",
            "a $HOME",
            "a `b`",
            "a \"b\"",
            "a \\b",
            "ls *",
            "ls ~",
            "ls a?",
            "a # b",
            "{ a; }",
            "! a",
            "a\nb",
            "a 'b",
            "x=",
            "[ a ]",
            "a[1]",
            "é",
            "if true",
            "-x",
            "a {b,c}",
            "a !b",
            "exec a",
            "(a)",
            "time a",
            "a\u{a0}b",
            "a 'b'\"c\"",
        ];
        for script in scripts {
            assert_eq!(plain_command(script), None, "{script:?}");
        }
    }
}
