//! Values stay data: whatever a parameter holds, and wherever it stands in a script, real shells give it back as it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rota_core::dag::{self, DefaultShell};
use serde_json::json;

use super::support::{Given, command, output_of, parse, script};

/// Scripts and what they print for the value `x`, written as `@`.
const PLACES: [(&str, &str); 24] = [
    ("printf '[%s]' {{ params.x }}", "[@]"),
    ("printf '[%s]' \"{{ params.x }}\"", "[@]"),
    ("printf '[%s]' 'a{{ params.x }}b'", "[a@b]"),
    ("printf '[%s]' --x={{ params.x }}.txt", "[--x=@.txt]"),
    ("printf '[%s]' \"a\\\"b{{ params.x }}\"", "[a\"b@]"),
    ("printf '[%s]' \"a '{{ params.x }}'\"", "[a '@']"),
    ("printf '[%s]' \"$(printf '%s_' {{ params.x }})\"", "[@_]"),
    ("printf '[%s]' \"$(printf '%s_' \"{{ params.x }}\")\"", "[@_]"),
    ("printf '[%s]' \"${NONE:-d}\"{{ params.x }}", "[d@]"),
    ("x={{ params.x }}; printf '[%s]' \"$x\"", "[@]"),
    ("# don't\nprintf '[%s]' {{ params.x }}", "[@]"),
    ("printf '[%s]' ok # isn't {{ params.x }}\n", "[ok]"),
    ("printf '[%s]' ok;# {{ params.x }}", "[ok]"),
    ("printf '[%s]' a \\\n {{ params.x }}", "[a][@]"),
    ("printf '[%s]' a \\\n# {{ params.x }}\n", "[a]"),
    ("case {{ params.x }} in *) printf '[%s]' {{ params.x }};; esac", "[@]"),
    ("(cd / && printf '[%s]' {{ params.x }})", "[@]"),
    ("f() { printf '[%s]' \"$1\"; }; f {{ params.x }}", "[@]"),
    ("for w in {{ [params.x, 'b c'] }}; do printf '[%s]' \"$w\"; done", "[@][b c]"),
    ("cat <<E_O_F\n<{{ params.x }}>\nE_O_F\n", "<@>\n"),
    ("cat <<'E_O_F'\n<{{ params.x }}>\nE_O_F\n", "<@>\n"),
    (
        "cat <<A; cat <<\\B\n<{{ params.x }}>\nA\n<$(id){{ params.x }}>\nB\nprintf '[%s]' {{ params.x }}",
        "<@>\n<$(id)@>\n[@]",
    ),
    ("printf '[%s]' $((1 << 3)) {{ params.x }}", "[8][@]"),
    ("printf '[%s]' \"$#\" {{ params.x }} # {{ params.x }}", "[0][@]"),
];

const NASTY: [&str; 22] = [
    "$(id)",
    "`id`",
    "{{7*7}}",
    "a\nb",
    "it's \"quoted\"",
    "'; id; '",
    "\"; id; \"",
    "\\",
    "\\'; id #",
    "a\\\nb",
    "$HOME ${HOME} $((1+1)) $'x'",
    "* ? [a-z] ~",
    "-n",
    "a;b|c&d<e>f(g)h",
    "#x",
    "!!",
    "\n; id\n",
    "\tTAB ",
    "E_O_F",
    "ünï ☃",
    "=x",
    "%s%n",
];

pub(crate) fn shells() -> Vec<DefaultShell> {
    let bash = Path::new("/bin/bash").exists().then_some(DefaultShell::Bash);
    bash.into_iter().chain([DefaultShell::Sh]).collect()
}

/// What the script prints for `x`.
fn printed(run: &str, x: &str, shell: DefaultShell) -> String {
    let quoted = serde_json::to_string(run).unwrap();
    let dag = parse(&format!("params: {{x: ''}}\ntasks:\n  t: {{run: {quoted}}}\n"));
    let given = Given { shell, ..Given::params(json!({ "x": x })) };
    output_of(&command(&dag, &given).unwrap_or_else(|error| panic!("{run}: {error}")))
}

fn check(x: &str) {
    for shell in shells() {
        for (run, expected) in PLACES {
            assert_eq!(printed(run, x, shell), expected.replace('@', x), "{shell:?}, {x:?} in:\n{run}");
        }
    }
}

#[test]
fn values_that_look_like_code_stay_literal_in_every_place_of_a_script() {
    for x in NASTY {
        check(x);
    }
}

#[test]
fn random_values_stay_literal_in_every_place_of_a_script() {
    let value = "[$(){}'\"`;|&<>#!~*?\\\\ \nab=-]{0,12}";
    let mut runner = TestRunner::new(Config { cases: 5, failure_persistence: None, ..Config::default() });
    runner
        .run(&value, |x| {
            check(&x);
            Ok(())
        })
        .unwrap();
}

#[test]
fn arguments_and_environment_keep_values_as_they_are() {
    let dag = parse(
        "params: {x: ''}\nenv: {A: '{{ params.x }}'}\n\
         tasks:\n  t: {run: [sh, -c, 'printf \"%s|%s|%s\" \"$1\" \"$A\" \"$ROTA_PARAM_X\"', sh, '{{ params.x }}']}\n",
    );
    for x in NASTY {
        let rendered = command(&dag, &Given::params(json!({ "x": x }))).unwrap();
        assert_eq!(output_of(&rendered), format!("{x}|{x}|{x}"));
    }
}

#[test]
fn a_nul_is_refused_before_it_reaches_a_command() {
    let dag = parse("params: {x: ''}\ntasks:\n  t: {run: 'echo {{ params.x }}'}\n");
    let given = rota_core::dag::parse_params(&dag, &Given::params(json!({"x": "a\0b"})).params);
    assert!(given.unwrap_err().to_string().contains("NUL"));
}

#[test]
fn raw_is_the_only_way_to_pass_code() {
    assert_eq!(script("{{ params.x | raw }}", "$(id); `x`").unwrap(), "$(id); `x`");
    assert_eq!(script("{{ params.x | upper }}", "$(id)").unwrap(), "'$(ID)'");
    assert_eq!(script("{{ [params.x] | join(' ') }}", "$(id)").unwrap(), "'$(id)'");
}

/// Pieces that random scripts are made of; `{{ params.x }}` among them.
const PIECES: [&str; 51] = [
    "{{ params.x }}",
    "{{ params.x }}",
    "{{ params.x }}",
    "{{ params.x }}",
    "'",
    "\"",
    "'",
    "\"",
    "`",
    "\\",
    "$",
    "(",
    ")",
    "{",
    "}",
    "<<E\n",
    "<<'E'\n",
    "<<-E\n",
    "\nE\n",
    "#",
    " ",
    " ",
    "\n",
    "echo ",
    "case a in ",
    "a) ",
    ";; esac",
    "$(",
    "$((",
    "))",
    "${x:-",
    "$'",
    ";",
    "a",
    "[[ ",
    "((",
    " ]]",
    " -gt ",
    " -v ",
    "a[",
    "]=",
    "let ",
    "declare -i x",
    "printf ",
    "=",
    "\u{a0}",
    "\r",
    ") #",
    ")#",
    "$$",
    "a=(",
];

/// Values that would run `pwn` if they became code somewhere. Their first word is `q`, so that a script that runs
/// what it prints does not count.
const ATTACKS: [&str; 17] = [
    "q'; pwn; '",
    "q\"; pwn; \"",
    "q$(pwn)",
    "q`pwn`",
    "q\npwn\n",
    "q\nE\npwn\n",
    "q}; pwn; {",
    "q); pwn; (",
    "q\n); pwn #",
    "q\\'; pwn #",
    "a[$(pwn)]",
    "q; pwn ;",
    "q))\npwn\n((",
    "q;; esac; pwn;",
    "PATH[$(pwn)]",
    "-vPATH[$(pwn)]",
    "([$(pwn)]=q)",
];

/// A directory with the program `pwn`, which leaves a file, the witness.
pub(crate) struct Trap {
    bin: PathBuf,
    scratch: PathBuf,
}

impl Trap {
    pub(crate) fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let bin = std::env::temp_dir().join(format!("rota-inject-{}-{name}", std::process::id()));
        let scratch = bin.join("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        let pwn = bin.join("pwn");
        std::fs::write(&pwn, format!("#!/bin/sh\n: > {}\n", bin.join("pwned").display())).unwrap();
        std::fs::set_permissions(&pwn, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { bin, scratch }
    }

    /// Where scripts may leave files.
    pub(crate) fn dir(&self) -> &Path {
        &self.scratch
    }

    /// Whether running it left the witness.
    pub(crate) fn springs(&self, argv: &[String]) -> bool {
        let status = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(&self.scratch)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.expect("a shell starts");
        std::fs::remove_file(self.bin.join("pwned")).is_ok()
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.bin);
    }
}

#[test]
fn no_value_becomes_code_in_random_scripts() {
    let trap = Trap::new("random");
    let proof = ["sh", "-c", "q; pwn ;"].map(str::to_owned);
    assert!(trap.springs(&proof), "the trap itself works");
    let cases = std::env::var("ROTA_INJECT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy =
        (vec(select(&PIECES[..]), 0..6), vec(select(&PIECES[..]), 0..5), select(&ATTACKS[..]), any::<bool>());
    let result = runner.run(&strategy, |(before, after, x, prefer_bash)| {
        let run = format!("{}{{{{ params.x }}}}{}", before.concat(), after.concat());
        let quoted = serde_json::to_string(&run).unwrap();
        let source = format!("params: {{x: ''}}\ntasks:\n  t: {{run: {quoted}}}\n");
        let Ok(dag) = dag::parse("t.yaml", &source) else { return Ok(()) };
        let shell = if prefer_bash { shells()[0] } else { DefaultShell::Sh };
        let given = Given { shell, ..Given::params(json!({ "x": x })) };
        if let Ok(command) = command(&dag, &given) {
            assert!(!trap.springs(&command.argv), "{shell:?} ran the value {x:?} in:\n{}", command.argv[4]);
        }
        Ok(())
    });
    result.unwrap();
}
