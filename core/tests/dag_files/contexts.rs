//! Values in every place where a shell may calculate, name or run: contexts times payloads, in real shells. A refusal is
//! safe; that nothing but refusals is safe is kept out by the contexts that must work.

use std::path::Path;

use proptest::prelude::any;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rota_core::dag::{self, Command, DefaultShell};
use serde_json::json;

use super::inject::{Trap, shells};
use super::support::{Given, command, output_of, parse};

/// Places for a value, `@`. `%` is a second value, always [`SECOND`].
const CONTEXTS: [&str; 124] = [
    "[[ @ -gt 0 ]]",
    "[[ 0 -lt @ ]]",
    "[[ \"@\" -eq 1 ]]",
    "[[ '@' -ne 1 ]]",
    "[[ x@ -le 1 ]]",
    "[[ @x -ge 1 ]]",
    "[[ ( @ -gt 0 ) ]]",
    "[[ -n a && @ -gt 0 ]]",
    "[[ ! @ -gt 0 ]]",
    "[[ @\\\n -gt 0 ]]",
    "[[ $(echo @) -gt 0 ]]",
    "[[ -v @ ]]",
    "[[ -v \"@\" ]]",
    "[[ ! -v @ ]]",
    "[[ -R @ ]]",
    "[[ @ % ]]",
    "[[ @ == % ]]",
    "[[ a =~ @ ]]",
    "[[ -n @ ]]",
    "[[ a @ 1 ]]",
    "[ -v @ ]",
    "[ -v '@' ]",
    "test -v @",
    "test ! -v @",
    "[ @ % ]",
    "[ ! @ % ]",
    "[ a = b -o @ % ]",
    "[ -@ % ]",
    "[ {{ [params.x, params.y] }} ]",
    "[ @ -gt 0 ]",
    "[ @ = a ]",
    "a[@]=9",
    "a[@]+=9",
    "a['@']=9",
    "a[\"@\"]=9",
    "a[1 + @]=9",
    "a[ @ ]=9",
    "a[$(echo @)]=9",
    "a[b[@]]=9",
    "x=1 a[@]=9",
    "a=([@]=9)",
    "a=(x [@]=9 @)",
    "a+=([@]=9)",
    "a=(@ %)",
    "declare -a a=([@]=9)",
    "declare -A a=([@]=9); echo ${a[x]}",
    "declare -a a=@",
    "declare -a a; declare a=@",
    "a=(1); declare -g a=@",
    "f() { local a=(1); local a=@; }; f",
    "readonly -a a=@",
    "let @",
    "let x=@",
    "let 'x = @'",
    "let \"x=@\"",
    "let a[@]=1",
    "let 1 + 1 @",
    "declare -i x=@",
    "declare -ir x=@",
    "typeset -i x=\"@\"",
    "f() { local -i x=@; }; f",
    "declare -i x; x=@",
    "declare -i x; x+=@",
    "x=@; declare -i x; x+=1",
    "declare -i x; for x in @; do :; done",
    "declare -ia a=(@)",
    "declare -n r=@; echo $r",
    "declare -n r; r=@; echo $r",
    "declare @",
    "declare @=1",
    "declare x@=1",
    "declare a[@]=1",
    "export @",
    "export @=1",
    "readonly @=%",
    "f() { local @=1; }; f",
    "typeset @",
    "printf -v @ x",
    "printf -v '@' x",
    "printf -v a[@] x",
    "printf -v@ x",
    "printf @ x",
    "printf -@ x",
    "printf {{ [params.x, params.y] }} x",
    "printf '%s' @ %",
    "printf '%d' @",
    "read @ <<< x",
    "read -r @ <<< x",
    "read -a @ <<< x",
    "read -ra '@' <<< x",
    "mapfile @ <<< x",
    "mapfile -C @ -c 1 y <<< x",
    "unset @",
    "unset -v \"@\"",
    "unset a[@]",
    "getopts ab @ -a",
    "sleep 0 & wait -n -p @",
    "sleep 0 & wait -n @",
    "echo ${x:@}",
    "x=abc; echo ${x:@}",
    "x=abc; echo ${x:0:$(echo @)}",
    "echo ${a[@]:-${b[@]}}",
    "echo $((@))",
    "echo $(( 1 + $(echo @) ))",
    "((@))",
    "((x = '@'))",
    "for ((i = @; i < 1; i++)); do :; done",
    "echo $[@]",
    "@ %",
    "command @ %",
    "builtin @ %",
    "@=1",
    "@=%",
    "RANDOM=@",
    "OPTIND=@ true",
    "PS4=@; set -x; true",
    "for @ in a; do :; done",
    "compgen -W @",
    "eval \"$(printf -v @ x)\"",
    "echo | xargs echo $(unset @)",
    "bash -c true $(let @)",
    "coproc N { let @; }; wait",
    "coproc let @; wait",
    "source /dev/null $(read @ <<< x)",
];

/// Places where the reader of the script must not lose track; what follows shows if it did.
const TRACKS: [&str; 20] = [
    "echo a~#' @ '",
    "echo ~#' @ '",
    ";~#' @ '",
    "cat <<E~\n' @\nE\n",
    "cat <<E ~\n' @\nE\n",
    "cat <<~E\n' @\nE\n",
    "x=$(case~a in a) echo @;; esac)",
    "[[ -n~@ ]]",
    "let~@",
    "echo $(true)#' @ '",
    "((1))# it's\necho @",
    "((1)) # it's\necho @",
    "(true)# it's\necho @",
    "a=(x)#' @ '",
    "f()# it's\n{ echo @; }; f",
    "echo <(true)#' @ '",
    "echo \"$$(\" @ '\"'",
    "echo $${a 'x}' @ }",
    "echo $$'a\\' @ '",
    "foo[ 1 # it's\n @ ]",
];

/// What stands in for `~`: a shell takes none of them for white space.
const NO_BLANKS: [&str; 6] = ["\u{a0}", "\r", "\u{b}", "\u{c}", "\u{2003}", "\u{85}"];

/// What a context may stand in, at `@`.
const WRAPPERS: [&str; 14] = [
    "@",
    "true; @",
    "if true; then @\nfi",
    "if @\nthen :; fi",
    "f() { @\n}; f",
    "{ @\n}",
    "( @\n)",
    "x=$(@\n)",
    "echo \"$(@\n)\"",
    "for i in 1; do @\ndone",
    "while @\ndo break; done",
    "true && ! @",
    "y=1 true || :; time @",
    "case a in a) @\n;; esac",
];

const SECOND: &str = "PATH[$(pwn)]";

/// Values that run `pwn` where they become code.
const PAYLOADS: [&str; 24] = [
    SECOND,
    "a[$(pwn)]",
    "x=PATH[$(pwn)]",
    "1+PATH[$(pwn)]",
    "-vPATH[$(pwn)]",
    "-v",
    "v",
    "-gt",
    "-v PATH[$(pwn)]",
    "($(pwn))",
    "([$(pwn)]=1)",
    "[$(pwn)]=1",
    "$(pwn)",
    "`pwn`",
    "q; pwn",
    "q\npwn\n",
    "'; pwn; '",
    "\"; pwn; \"",
    "]; pwn; [",
    "]] || pwn; [[ a",
    "eval",
    "let",
    "declare",
    "0\nE\npwn",
];

/// The command of a script for the values, unless the file or the value is refused.
fn placed(run: &str, x: &str, shell: DefaultShell) -> Option<Command> {
    let quoted = serde_json::to_string(run).expect("a text is JSON");
    let source = format!("params: {{x: '', y: ''}}\ntasks:\n  t: {{run: {quoted}}}\n");
    let dag = dag::parse("t.yaml", &source).ok()?;
    command(&dag, &Given { shell, ..Given::params(json!({ "x": x, "y": SECOND })) }).ok()
}

fn written(context: &str) -> String {
    context.replace('@', "{{ params.x }}").replace('%', "{{ params.y }}")
}

fn check(trap: &Trap, context: &str, wrapper: &str, x: &str) {
    let run = wrapper.replace('@', &written(context));
    for shell in shells() {
        if let Some(command) = placed(&run, x, shell) {
            assert!(
                !trap.springs(&command.argv),
                "{shell:?} ran the value {x:?} in:\n{}",
                command.argv.join(" ")
            );
        }
    }
}

#[test]
fn no_value_becomes_code_where_shells_calculate_or_take_names() {
    let trap = Trap::new("contexts");
    for context in CONTEXTS {
        for x in PAYLOADS {
            check(&trap, context, "@", x);
        }
    }
}

/// Keeps the contexts honest: with quotes alone most of them run the value.
#[test]
fn quotes_alone_would_not_be_enough_in_most_contexts() {
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let trap = Trap::new("naive");
    let quoted = |x: &str| format!("'{}'", x.replace('\'', r"'\''"));
    let springs = |context: &&&str| {
        ["PATH[$(pwn)]", "-vPATH[$(pwn)]", "($(pwn))", "([$(pwn)]=1)", "-v"].iter().any(|x| {
            let script = context.replace('@', &quoted(x)).replace('%', &quoted(SECOND));
            trap.springs(&["bash", "-euo", "pipefail", "-c", &script].map(str::to_owned))
        })
    };
    let sprung = CONTEXTS.iter().filter(springs).count();
    assert!(sprung >= 75, "{sprung} of {}", CONTEXTS.len());
}

#[test]
fn no_value_becomes_code_where_a_reader_may_lose_track() {
    let trap = Trap::new("tracks");
    for context in TRACKS {
        let signs = if context.contains('~') { &NO_BLANKS[..] } else { &["~"] };
        for sign in signs {
            for x in ["q'; pwn; '", "q\"; pwn; \"", "$(pwn)", "q\npwn\n", "PATH[$(pwn)]", "q\nE\npwn\n"] {
                check(&trap, &context.replace('~', sign), "@", x);
            }
        }
    }
}

#[test]
fn no_value_becomes_code_in_contexts_within_contexts() {
    let trap = Trap::new("wrapped");
    let cases = std::env::var("ROTA_INJECT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (
        (select(&CONTEXTS[..]), any::<bool>(), select(&CONTEXTS[..])),
        (select(&WRAPPERS[..]), select(&WRAPPERS[..])),
        select(&PAYLOADS[..]),
    );
    let result = runner.run(&strategy, |((context, is_pair, other), (inner, outer), x)| {
        let both = if is_pair { format!("{context}\n{other}") } else { context.to_owned() };
        check(&trap, &both, &outer.replace('@', inner), x);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// What must work: a script, a value, what it prints. `bash:` before a script that dash has no words for.
const WORKS: [(&str, &str, &str); 52] = [
    ("bash:[[ @ -gt 40 ]] && echo y", "41", "y\n"),
    ("bash:[[ 40 -lt @ ]] && echo y", " 41\n", "y\n"),
    ("bash:[[ ( @ -gt 40 ) && 1 -eq 1 ]] && echo y", "41", "y\n"),
    ("bash:[[ @ == 'a b' ]] && echo y", "a b", "y\n"),
    ("bash:[[ -n @ && 1 -eq 1 ]] && echo y", "a b", "y\n"),
    ("bash:[[ @ == -v ]] && echo y", "-v", "y\n"),
    ("bash:[[ \"x@\" == 'xa*' ]] && echo y", "a*", "y\n"),
    ("bash:[[ 'za b' =~ ^z@$ ]] && echo y", "a b", "y\n"),
    ("bash:[[ @ =~ ^(a|b)$ ]] && echo y", "a", "y\n"),
    ("[ @ -gt 40 ] && echo y", "41", "y\n"),
    ("[ @ = 'a b' ] && echo y", "a b", "y\n"),
    ("[ -n @ ] && echo y", "a b", "y\n"),
    ("[ @ ] && echo y", "a b", "y\n"),
    ("[ -z \"@\" ] || echo y", "a b", "y\n"),
    ("test @ != x && echo y", "a b", "y\n"),
    ("[ \"$(printf '%s' @)\" = 'a b' ] && echo y", "a b", "y\n"),
    ("[ \"$(printf '%s' @ | wc -c)\" -gt 2 ] && echo y", "a b", "y\n"),
    ("bash:a[@]=9; echo ${a[41]}", "41", "9\n"),
    ("bash:a[1 + @]=9; echo ${a[42]}", "41", "9\n"),
    ("bash:a=([@]=9); echo ${a[41]}", "41", "9\n"),
    ("bash:a=(@ x); echo \"${a[0]}\"", "(a b)", "(a b)\n"),
    ("bash:a+=(@); echo \"${a[0]}\"", "[0]=x", "[0]=x\n"),
    ("bash:declare -A m; k=@; m[$k]=9; echo \"${m[a b]}\"", "a b", "9\n"),
    ("bash:let x=@; echo $x", "41", "41\n"),
    ("bash:declare -i n=@; echo $n", "41", "41\n"),
    ("bash:declare -i n; n=@; echo $n", "41", "41\n"),
    ("bash:declare x=@; echo \"$x\"", "(a b)", "(a b)\n"),
    ("bash:f() { local x=@; echo \"$x\"; }; f", "(a b)", "(a b)\n"),
    ("bash:readonly x=@; echo \"$x\"", "a b", "a b\n"),
    ("export X=@ Y=2; echo \"$X$Y\"", "(a b)", "(a b)2\n"),
    ("X=@ env | grep ^X=", "a b", "X=a b\n"),
    ("x=@; echo \"$x\"", "a[0]=b", "a[0]=b\n"),
    ("bash:read -r x <<< @; echo \"$x\"", "a b", "a b\n"),
    ("bash:read -rp @ x <<< y; echo \"$x\"", "a b", "y\n"),
    ("printf '%s\\n' @", "-v", "-v\n"),
    ("printf -- @", "-v", "-v"),
    ("printf @", "a b", "a b"),
    ("printf '%5.1f|%s\\n' 2 @", "a b", "  2.0|a b\n"),
    ("case @ in 'a b') echo y;; esac", "a b", "y\n"),
    ("case test in @) echo y;; esac", "test", "y\n"),
    ("case @ in in) echo y;; esac", "in", "y\n"),
    ("for w in @ x; do echo $w; done", "do", "do\nx\n"),
    ("bash:for ((i = @; i < 42; i++)); do echo $i; done", "41", "41\n"),
    ("echo $(( @ + 1 ))", "41", "42\n"),
    ("echo \"$(( @ + 1 ))\" $(( 1 + ( @ ) ))", "-41", "-40 -40\n"),
    ("(exit @) || echo $?", "41", "41\n"),
    ("@ a", "echo", "a\n"),
    ("n=$(printf '%s' @ | wc -c); echo $((n + 1))", "a b", "4\n"),
    ("echo @ > \"@.txt\"; cat @.txt", "a b", "a b\n"),
    ("cat <<E; echo @\n<@>\nE\n", "a b", "<a b>\na b\n"),
    ("if [ @ = a ]; then echo no; else echo @; fi # it's @", "a b", "a b\n"),
    ("set -- @; echo \"$1\" $#", "-v", "-v 1\n"),
];

#[test]
fn what_must_work_does() {
    let trap = Trap::new("works");
    for (run, x, expected) in WORKS {
        let (run, only_bash) = run.strip_prefix("bash:").map_or((run, false), |run| (run, true));
        for shell in shells() {
            if only_bash && (shell != DefaultShell::Bash || !Path::new("/bin/bash").exists()) {
                continue;
            }
            let run = run.replace('@', "{{ params.x }}");
            let quoted = serde_json::to_string(&run).expect("a text is JSON");
            let dag = parse(&format!("params: {{x: ''}}\ntasks:\n  t: {{run: {quoted}}}\n"));
            let given = Given { shell, ..Given::params(json!({ "x": x })) };
            let mut command = command(&dag, &given).unwrap_or_else(|error| panic!("{run}: {error}"));
            let script = command.argv.pop().expect("a script");
            command.argv.push(format!("cd {}\n{script}", trap.dir().display()));
            assert_eq!(output_of(&command), *expected, "{shell:?}: {run}");
        }
    }
}

#[test]
fn names_are_refused_in_files_and_texts_when_they_come() {
    let refused_in_files =
        ["printf -v @ x", "export @=1", "unset @", "[ -v @ ]", "[[ -v @ ]]", "@=1", "read -r @"];
    for context in refused_in_files {
        let run = serde_json::to_string(&written(context)).expect("a text is JSON");
        let source = format!("params: {{x: ''}}\ntasks:\n  t: {{run: {run}}}\n");
        let said = super::support::errors(&source);
        assert!(said.contains("cannot be the name of a variable"), "{context}: {said}");
        let id = "f".parse().expect("a valid name");
        assert!(dag::parse_version(&id, &source).is_ok(), "a stored version goes on: {context}");
    }
    for (context, words) in [
        ("[[ @ -gt 0 ]]", "only a whole number is safe beside -eq"),
        ("a[@]=9", "only a whole number is safe as the subscript"),
        ("let @", "only a whole number is safe in arguments of `let`"),
        ("declare -i x=@", "only a whole number is safe in a variable that the shell calculates with"),
        ("printf @", "would be read as an option"),
        ("[ @ a ]", "would be read as the operator `-v`"),
    ] {
        let error = super::support::script(&written(context), "-v").expect_err(context).to_string();
        assert!(error.contains(words), "{context}: {error}");
    }
}
